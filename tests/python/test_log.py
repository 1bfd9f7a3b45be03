"""The transfer log proves itself, to software that Atena's authors did not write; and whoever changes it is found out."""

import base64
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
from pathlib import Path

import grpc
import pytest
from conftest import BINARY, ROOT, Town, personal_number, reason
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tlog import Checkpoint, ConsistencyProof

TAX = "市都民税賦課業務"
PEOPLE = 40


def atena(*arguments, code=0):
    run = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout + run.stderr


def pull(town):
    c = town.contract
    request = c.PullRecordsRequest(affair=TAX, datasets=[c.DATASET_QUALIFICATION], page_size=3)
    return [delivery for chunk in town.linkage("resident-tax").PullRecords(request) for delivery in chunk.deliveries]


@pytest.fixture(scope="module")
def logged(tmp_path_factory, contract):
    """A town with a log of some hundred leaves, a head kept from an earlier day, and the deliveries of the last pull."""
    town = Town(tmp_path_factory.mktemp("logged") / "home", contract)
    c = contract
    for person in range(PEOPLE):
        town.register("pension", f"P{person}", personal_number(7000 + person))
        town.register("resident-tax", f"T{person}", personal_number(7000 + person))
    town.push(*[c.PushedRecord(local_address_number=f"P{person}", record_key=f"Q-{person}", revision=1, qualification=c.Qualification(
        basic_pension_number="1234567890", insured_type=1, acquisition=c.Acquisition(date="2005-04-01", reason=1)))
        for person in range(PEOPLE)])
    pull(town)
    town.earlier = head_over(town, 1)
    town.deliveries = [delivery for _ in range(4) for delivery in pull(town)]
    yield town
    town.stop()


def head_over(town, size):
    """A signed head of at least so many leaves: the gateway signs soon after a commit."""
    c = town.contract
    while True:
        text = town.transfers().GetCheckpoint(c.GetCheckpointRequest()).checkpoint
        if text and Checkpoint.from_text(text).size >= size:
            return text


def key_of(town):
    return town.transfers().GetCheckpoint(town.contract.GetCheckpointRequest()).verifier_key


def test_reconstructible_an_auditor_with_that_right_gets_the_exact_bytes_again_and_nobody_else(logged):
    c = logged.contract
    delivery = logged.deliveries[0]
    request = c.ReconstructTransferRequest(transfer_id=delivery.transfer_id)
    answer = logged.transfers("internal-audit").ReconstructTransfer(request)
    assert answer.content == delivery.SerializeToString()
    assert answer.content_sha256 == hashlib.sha256(answer.content).hexdigest()
    for system in ["auditor", "resident-tax", "pension"]:
        with pytest.raises(grpc.RpcError) as refused:
            logged.transfers(system).ReconstructTransfer(request)
        assert reason(refused.value) == "ROLE_REQUIRED"
    [recorded] = logged.transfers().ListTransfers(c.ListTransfersRequest(
        filter='method = "TransferLogService/ReconstructTransfer" AND outcome = "RELEASED"')).transfers
    assert (recorded.system_id, recorded.content_sha256) == ("internal-audit", answer.content_sha256)


def test_everything_about_one_person_is_one_question_across_systems_and_numbers(logged):
    c = logged.contract
    logged.address_service("pension").ReplacePersonalNumber(c.ReplacePersonalNumberRequest(
        local_address_number="P5", new_personal_number=personal_number(8005), effective_date="2026-10-01"))
    seen, token = [], ""
    while True:
        page = logged.transfers().ListPersonTransfers(c.ListPersonTransfersRequest(
            system_id="pension", local_address_number="P5", page_size=2, page_token=token))
        seen += page.transfers
        token = page.next_page_token
        if not token:
            break
    assert len({transfer.transfer_id for transfer in seen}) == len(seen)
    methods = [transfer.method.split("/")[1] for transfer in seen if "TransferLog" not in transfer.method]
    assert methods == ["ReplacePersonalNumber"] + ["PullRecords"] * 5 + ["PushRecords", "RegisterPerson", "RegisterPerson"]
    assert {t.local_address_number for t in seen if t.system_id == "resident-tax"} == {"T5"}
    with pytest.raises(grpc.RpcError) as refused:
        logged.transfers().ListPersonTransfers(c.ListPersonTransfersRequest(system_id="pension", local_address_number="P999"))
    assert reason(refused.value) == "LOCAL_NUMBER_NOT_LINKED"


def test_a_receiver_gets_a_receipt_for_its_own_transfers_and_for_no_others(logged):
    c = logged.contract
    delivery = logged.deliveries[1]
    request = c.GetInclusionProofRequest(transfer_id=delivery.transfer_id)
    proof = logged.transfers("resident-tax").GetInclusionProof(request)
    opened = hashlib.sha256(b"atena/content/1\0" + bytes.fromhex(proof.content_salt) + bytes.fromhex(proof.content_sha256))
    assert f"content {opened.hexdigest()}\n".encode() in proof.leaf, "the leaf vouches for the bytes that were received"
    assert proof.content_sha256 == hashlib.sha256(delivery.SerializeToString()).hexdigest()
    for secret in ["T1", "P1", "1234567890"]:
        assert f" {secret}\n".encode() not in proof.leaf
    for system in ["pension", "public-assistance", "school-affairs"]:
        with pytest.raises(grpc.RpcError) as refused:
            logged.transfers(system).GetInclusionProof(request)
        assert reason(refused.value) == "TRANSFER_NOT_FOUND"


def write_proofs(town, folder):
    """Receipts and consistency proofs, as a receiver would keep them."""
    c = town.contract
    for delivery in random.Random(1).sample(town.deliveries, 12):
        proof = town.transfers("resident-tax").GetInclusionProof(c.GetInclusionProofRequest(transfer_id=delivery.transfer_id))
        (folder / f"{delivery.transfer_id}.leaf").write_bytes(proof.leaf)
        (folder / f"{delivery.transfer_id}.tlog-proof").write_text(proof.receipt)
    newest = head_over(town, 1)
    old, new = Checkpoint.from_text(town.earlier), Checkpoint.from_text(newest)
    answer = town.transfers().GetConsistencyProof(c.GetConsistencyProofRequest(old_size=old.size, new_size=new.size))
    (folder / "heads.old").write_text(town.earlier)
    (folder / "heads.new").write_text(newest)
    (folder / "heads.consistency").write_text("".join(base64.b64encode(hash).decode() + "\n" for hash in answer.hashes))
    (folder / "log.vkey").write_text(key_of(town) + "\n")
    ConsistencyProof(old.size, new.size, list(answer.hashes)).check(old.root_hash, new.root_hash)


@pytest.fixture(scope="module")
def go_verify(tmp_path_factory):
    """Runs tests/go/verify.go with a key on a folder; tells how many proofs it checked."""
    modules = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog")
    if not (shutil.which("go") and modules.is_dir()):
        assert "ATENA_CI" not in os.environ, "install golang-go and golang-golang-x-mod-dev"
        pytest.skip("Go and golang.org/x/mod are not installed (Debian: golang-go golang-golang-x-mod-dev)")
    cache = str(tmp_path_factory.mktemp("go"))
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "GOCACHE": cache}

    def verify(key, folder, code=0):
        (folder / "key").write_text(key + "\n")
        run = subprocess.run(["go", "run", str(ROOT / "tests/go/verify.go"), str(folder / "key"), str(folder)],
                             env=environment, capture_output=True, text=True)
        assert run.returncode == code, run.stderr
        return run.stdout.strip()

    return verify


def test_tamper_evident_gos_note_and_tlog_accept_every_proof_and_refuse_every_flipped_bit(logged, go_verify, tmp_path):
    write_proofs(logged, tmp_path)
    assert go_verify(key_of(logged), tmp_path) == "13"


def test_tamper_evident_gos_note_knows_each_head_while_the_key_is_changed_and_old_proofs_for_ever(go_verify, tmp_path, contract):
    home = tmp_path / "home"
    town = Town(home, contract)
    c = contract
    [registered] = [town.register("pension", f"P{one}", personal_number(1 + one)) for one in range(1)]
    old = key_of(town)
    folders = {name: tmp_path / name for name in ["old", "both", "new"]}
    for folder in folders.values():
        folder.mkdir()

    def keep(name, wanted):
        """The newest head once it is as wanted; tells the newest key."""
        while True:
            note = town.transfers().GetCheckpoint(c.GetCheckpointRequest()).checkpoint
            if note and wanted(note.count("\n\u2014 ")):
                break
        (folders[name] / "newest.head").write_text(note)
        return key_of(town)

    proof = town.transfers("pension").GetInclusionProof(c.GetInclusionProofRequest(transfer_id=registered.transfer_id))
    (folders["old"] / "one.leaf").write_bytes(proof.leaf)
    (folders["old"] / "one.tlog-proof").write_text(proof.receipt)
    keep("old", lambda signatures: signatures == 1)
    atena("keys", "rotate", "--home", home, "--key", "log")
    new = keep("both", lambda signatures: signatures == 2)
    assert new != old and new.split("+")[0] == old.split("+")[0]
    atena("keys", "rotate", "--home", home, "--key", "log", "--end-old")
    town.register("pension", "P77", personal_number(77))
    keep("new", lambda signatures: signatures == 1)
    assert town.stop() == 0
    assert go_verify(old, folders["old"]) == "2", "also after the key is ended"
    assert go_verify(old, folders["both"]) == go_verify(new, folders["both"]) == "1"
    assert go_verify(new, folders["new"]) == "1"
    go_verify(old, folders["new"], code=1)
    # The copy is of one log for standard tools, from before the change to after it.
    atena("log", "export", "--home", home, "--out", tmp_path / "copy")
    reader = TilesReader(LocalBackend(tmp_path / "copy"))
    head = reader.get_checkpoint()
    head.verify(Vkey.from_string(new))
    reader.set_size(head.size)
    assert reader.calculate_root_hash() == head.root_hash


def test_atena_verify_accepts_receipts_and_refuses_changed_ones(logged, tmp_path):
    write_proofs(logged, tmp_path)
    receipt = next(tmp_path.glob("*.tlog-proof"))
    leaf = receipt.with_suffix(".leaf")
    assert "verified" in atena("verify", "receipt", "--key", tmp_path / "log.vkey", "--leaf", leaf, "--receipt", receipt)
    leaf.write_bytes(leaf.read_bytes().replace(b"RELEASED", b"REFUSED"))
    assert "NOT verified" in atena("verify", "receipt", "--key", tmp_path / "log.vkey", "--leaf", leaf, "--receipt", receipt, code=1)


@pytest.fixture(scope="module")
def stopped(logged, tmp_path_factory):
    """The home of the town after its gateway has stopped; each test changes a copy of it."""
    key = key_of(logged)
    assert logged.stop() == 0
    logged.key = key

    def copy():
        home = tmp_path_factory.mktemp("copy") / "home"
        shutil.copytree(logged.home, home)
        return home

    return copy


def test_a_copy_of_the_log_is_read_by_standard_tools(logged, stopped, tmp_path):
    home = stopped()
    atena("log", "export", "--home", home, "--out", tmp_path / "copy")
    vkey = Vkey.from_string(logged.key)
    reader = TilesReader(LocalBackend(tmp_path / "copy"))
    head = reader.get_checkpoint()
    head.verify(vkey)
    reader.set_size(head.size)
    assert reader.calculate_root_hash() == head.root_hash
    entry = reader.get_entry(head.size - 1)
    assert entry.startswith(b"atena-transfer/1\n")
    old = Checkpoint.from_text(logged.earlier)
    reader.get_consistency_proof(old.size, head.size).check(old.root_hash, head.root_hash)
    assert atena("log", "key", "--home", home).strip() == logged.key

    (tmp_path / "earlier").write_text(logged.earlier)
    verify = ["verify", "export", "--key", logged.key, "--extends", tmp_path / "earlier", tmp_path / "copy"]
    assert "verified" in atena(*verify)
    bundle = tmp_path / "copy/tile/entries/000"
    content = bundle.read_bytes()
    for place in random.Random(2).sample(range(len(content)), 40):
        bundle.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1:])
        assert "NOT verified" in atena(*verify, code=1)
    bundle.write_bytes(content)
    (tmp_path / "copy/tile/0/000").write_bytes(bytes(8192))
    assert "NOT verified" in atena(*verify, code=1)


def change(home, *statements):
    """What somebody with the database's password could do."""
    with sqlite3.connect(home / "atena.db") as database:
        for name, in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            if callable(statement):
                statement(database)
            else:
                assert database.execute(statement).rowcount != 0, statement
    database.close()


def flip_leaf(database):
    """Turns the outcome of one leaf into another."""
    first, leaves = database.execute("SELECT first_index, leaves FROM log_chunk WHERE leaf_count > 2 LIMIT 1").fetchone()
    place = len(leaves) - 100 - 1
    database.execute("UPDATE log_chunk SET leaves = ? WHERE first_index = ?",
                     (leaves[:place] + bytes([leaves[place] ^ 1]) + leaves[place + 1:], first))


def swap_chunks(database):
    rows = database.execute("SELECT first_index, hashes, leaves FROM log_chunk WHERE leaf_count = 1 ORDER BY first_index LIMIT 2").fetchall()
    (one, *first), (two, *second) = rows
    database.execute("UPDATE log_chunk SET hashes = ?, leaves = ? WHERE first_index = ?", (*second, one))
    database.execute("UPDATE log_chunk SET hashes = ?, leaves = ? WHERE first_index = ?", (*first, two))


def insert_chunk(database):
    size, = database.execute("SELECT size FROM log_head").fetchone()
    database.execute(
        "INSERT INTO log_chunk SELECT municipality_code, ?, leaf_count, requested_min, requested_max, transfer_id_min, transfer_id_max, "
        "hashes, leaves FROM log_chunk WHERE first_index = 0", (size,))
    database.execute("INSERT INTO log_details SELECT municipality_code, ?, details FROM log_details WHERE first_index = 0", (size,))


LAST = "(SELECT max(first_index) FROM log_chunk)"
TAMPERINGS = {
    "a leaf is edited": ([flip_leaf], "was changed"),
    "a stored hash is edited": (["UPDATE log_chunk SET hashes = zeroblob(length(hashes)) WHERE first_index = 3"], "leaf 3 was changed"),
    "a row is deleted": (["DELETE FROM log_details WHERE first_index = 5", "DELETE FROM log_chunk WHERE first_index = 5"],
                         "leaf 5 is missing"),
    "two rows are swapped": ([swap_chunks], "leaves 0 to"),
    "a row is inserted": ([insert_chunk], "beyond the end"),
    "the end is cut off": ([f"DELETE FROM log_details WHERE first_index = {LAST}", f"DELETE FROM log_chunk WHERE first_index = {LAST}"],
                           "is missing"),
    "the end is cut off and the head set back": (
        [f"DELETE FROM log_details WHERE first_index = {LAST}", f"UPDATE log_head SET size = {LAST}",
         f"DELETE FROM log_chunk WHERE first_index = {LAST}", "DELETE FROM log_checkpoint WHERE size > (SELECT size FROM log_head)"],
        "is the first that is missing"),
    "the head is edited": (["UPDATE log_head SET frontier = CAST(substr(frontier, 1, 8) || zeroblob(length(frontier) - 8) AS BLOB)"], "head"),
    "a signed head is edited": (["UPDATE log_checkpoint SET root = zeroblob(32)"], "signed"),
    "a node is edited": (["UPDATE log_tile SET hashes = zeroblob(length(hashes))"], "leaves 0 to 255"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tamper_evident_fsck_names_what_differs_and_the_gateway_refuses_to_serve(stopped, name):
    statements, named = TAMPERINGS[name]
    home = stopped()
    assert "sound" in atena("log", "fsck", "--home", home)
    change(home, *statements)
    told = atena("log", "fsck", "--home", home, code=2)
    assert named in told, told
    refused = atena("serve", "--home", home, "--listen", "127.0.0.1:0", code=1)
    assert "damaged" in refused and "fsck" in refused, refused


def test_tamper_evident_changed_details_are_found_by_fsck(stopped):
    home = stopped()

    def flip(database):
        details, = database.execute("SELECT details FROM log_details WHERE first_index = 0").fetchone()
        database.execute("UPDATE log_details SET details = ? WHERE first_index = 0", (details[:-1] + bytes([details[-1] ^ 1]),))

    change(home, flip)
    assert "details of leaf 0 were changed" in atena("log", "fsck", "--home", home, code=2)


def test_a_persons_key_can_be_destroyed_and_every_proof_goes_on_verifying(logged, stopped, tmp_path):
    home = stopped()
    change(home, "DELETE FROM person_key WHERE unified_address_number = (SELECT unified_address_number FROM link "
                 "WHERE system_id = 'resident-tax' AND local_address_number = 'T7')")
    assert "sound" in atena("log", "fsck", "--home", home)
    atena("log", "export", "--home", home, "--out", tmp_path / "copy")
    assert "verified" in atena("verify", "export", "--key", logged.key, tmp_path / "copy")


def test_tamper_evident_yesterdays_copy_is_refused(logged, stopped):
    """The database is restored from an old backup; the signed head beside it is from today."""
    home = stopped()
    yesterday = (home / "atena.db").read_bytes()
    again = Town.on(home, logged.contract)
    pull(again)
    head_over(again, Checkpoint.from_text(logged.earlier).size)
    assert again.stop() == 0
    (home / "atena.db").write_bytes(yesterday)
    told = atena("log", "fsck", "--home", home, code=2)
    assert "old backup" in told, told
    assert "old backup" in atena("serve", "--home", home, "--listen", "127.0.0.1:0", code=1)


def test_details_are_erased_when_their_time_has_come_and_every_proof_goes_on_verifying(logged, stopped, tmp_path):
    home = stopped()
    settings = home / "atena.toml"
    settings.write_text(settings.read_text().replace("transfers_days = 2557", "transfers_days = 0"))
    delivery = logged.deliveries[2]
    town = Town.on(home, logged.contract)
    c = town.contract
    while True:
        erasures = town.transfers().ListTransfers(c.ListTransfersRequest(filter='outcome = "ERASED"')).transfers
        if erasures:
            break
    assert erasures[0].system_id == "atena" and erasures[0].fields[0] == "transfers"
    transfer = town.transfers().GetTransfer(c.GetTransferRequest(transfer_id=delivery.transfer_id)).transfer
    assert (transfer.outcome, transfer.system_id) == (c.TRANSFER_OUTCOME_RELEASED, "resident-tax"), "the leaf stays"
    assert (transfer.local_address_number, transfer.content_sha256, len(transfer.records)) == ("", "", 0)
    with pytest.raises(grpc.RpcError):
        town.transfers("internal-audit").ReconstructTransfer(c.ReconstructTransferRequest(transfer_id=delivery.transfer_id))
    town.deliveries, town.earlier = logged.deliveries, logged.earlier
    write_proofs(town, tmp_path)
    receipt = next(tmp_path.glob("*.tlog-proof"))
    assert "verified" in atena("verify", "receipt", "--key", logged.key, "--leaf", receipt.with_suffix(".leaf"), "--receipt", receipt)
    assert town.stop() == 0
    assert "sound" in atena("log", "fsck", "--home", home)
    # Details that go without the log saying so are missed.
    change(home, "DELETE FROM log_details WHERE first_index = (SELECT max(first_index) FROM log_details)")
    assert "details of leaf" in atena("log", "fsck", "--home", home, code=2)


def test_acknowledged_is_durable_and_nothing_else_is_harmed_when_the_disk_is_full(tmp_path, contract):
    """The file may not grow: every call that has to be logged is refused, and goes through once there is room again."""
    home = tmp_path / "home"
    town = Town(home, contract)
    c = contract
    town.register("pension", "P1", personal_number(1))
    assert town.stop() == 0
    size = max((home / name).stat().st_size for name in ["atena.db"])
    town = Town.on(home, contract, file_bytes_max=size + 300_000)
    registered = 0
    with pytest.raises(grpc.RpcError) as refused:
        while True:
            town.register("pension", f"N{registered}")
            registered += 1
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert reason(refused.value) in ["LOG_UNAVAILABLE", "STORE_UNAVAILABLE"]
    health = town.channel("pension").unary_unary("/grpc.health.v1.Health/Check")

    def is_refused():
        """log-before-release: not even an auditor is answered without a record."""
        try:
            town.transfers().ListTransfers(c.ListTransfersRequest())
            return False
        except grpc.RpcError as error:
            assert reason(error) == "LOG_UNAVAILABLE"
            return True

    # SQLite may begin its log again after a failure. Then there is room for a few more small records.
    while not (is_refused() and health(b"") == b"\x08\x02"):
        pass
    town.stop()
    assert "sound" in atena("log", "fsck", "--home", home)
    town = Town.on(home, contract)
    known = town.transfers().SummarizeTransfers(c.SummarizeTransfersRequest(
        filter='method = "AddressService/RegisterPerson" AND outcome = "RECEIVED"')).summaries
    assert sum(one.transfers for one in known) == registered + 1, "what was acknowledged is there, and nothing else"
    town.register("pension", "LATER")
    assert town.channel("pension").unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01", "SERVING"
    assert town.stop() == 0
