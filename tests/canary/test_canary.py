"""number-confinement, shown from outside: a thousand planted numbers are looked for in everything that comes out of a gateway.

Finding nothing proves nothing unless the search can find: a build that leaks on purpose is caught on every channel.
"""

import itertools
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from conftest import BINARY, LEAKING, Cluster, Told, make_home, processes, serve, town_module
from scanner import Scanner, number_forms, text_forms

personal_number = town_module.personal_number
PLANTED = 1000
TAX, ASSISTANCE, OWN = "市都民税賦課業務", "生活保護事務", "宛名管理事務"
NUMBERS = [personal_number(31_415_926_535 + 7_654_321 * at) for at in range(PLANTED)]
# Right but for the check digit: what is refused must not be repeated either.
WRONG = [number[:11] + str((int(number[11]) + 1) % 10) for number in NUMBERS[:20]]
REPLACED = [personal_number(27_182_818_284 + 9_876_541 * at) for at in range(10)]
NAMES = [f"金糸雀　検{at:04}" for at in range(20)]
BASIC = [f"90{at:02}71{at:02}83" for at in range(20)]
ADDRESS = "東京都町田市金糸雀一丁目二番三号検査荘"

# Keys are meant to be there. A file of a signed head that is being replaced goes while it is copied.
NOT_COPIED = shutil.ignore_patterns("pki", "keys.toml", "*.new-*")


def scanner():
    return Scanner([*NUMBERS, *WRONG, *REPLACED], [*NAMES, *BASIC, ADDRESS])


def person(c, at, number):
    return c.Person(
        personal_number=number, name=c.PersonName(full_name=NAMES[at % 20]), sex=1,
        birth_date=c.UncertainDate(date="1985-04-01"), address=c.Address(town=ADDRESS))


def register_all(town, told, system, prefix, numbers):
    c = town.contract
    items = [c.PersonRegistration(local_address_number=f"{prefix}{at}", person=person(c, at, number)) for at, number in enumerate(numbers)]
    chunks = [c.RegisterPersonsRequest(request_id=str(uuid.uuid4()), registrations=items[at:at + 250]) for at in range(0, len(items), 250)]
    return told.call(town.address_service(system).RegisterPersons, iter(chunks)) or []


def drive(town, told):
    """Every RPC, with good, bad and failing input."""
    c = town.contract
    for system, prefix in [("pension", "P"), ("resident-tax", "T"), ("public-assistance", "A")]:
        answers = register_all(town, told, system, prefix, NUMBERS)
        assert sum(len(answer.results) for answer in answers) == PLANTED
        assert not any(result.HasField("error") for answer in answers for result in answer.results)
    register_all(town, told, "resident-tax", "X", WRONG)
    # Systems that may not use numbers try all the same; whatever they are told is kept.
    for system in ["school-affairs", "health-management", "auditor", "address-administrator"]:
        for number in [*NUMBERS[:5], *WRONG[:5]]:
            request = c.RegisterPersonRequest(registration=c.PersonRegistration(local_address_number="S1", person=person(c, 1, number)))
            told.call(town.address_service(system).RegisterPerson, request, messages=True)
        told.call(town.address_service(system).ReplacePersonalNumber, c.ReplacePersonalNumberRequest(
            local_address_number="S1", new_personal_number=NUMBERS[0]), messages=True)
        told.call(town.address_service(system).GetPerson, c.GetPersonRequest(
            local_address_number=NUMBERS[0], affair=OWN, include_personal_number=True), messages=True)
        told.call(town.address_service(system).ResolveNumbers, c.ResolveNumbersRequest(local_address_numbers=["S1"]), messages=True)
    for at, number in enumerate(REPLACED):
        told.call(town.address_service("pension").ReplacePersonalNumber, c.ReplacePersonalNumberRequest(
            request_id=str(uuid.uuid4()), local_address_number=f"P{at}", new_personal_number=number, effective_date="2026-04-01"))
        told.call(town.address_service("pension").ReplacePersonalNumber, c.ReplacePersonalNumberRequest(
            local_address_number=f"P{at}", new_personal_number=WRONG[at]))
    # The answer to an authorised system is where numbers belong; its metadata is not.
    answer = told.call(town.address_service("pension").GetPerson, c.GetPersonRequest(
        local_address_number="P500", affair=OWN, include_personal_number=True))
    assert answer.person.personal_number == NUMBERS[500], "the control: the numbers are there"
    # Numbers where nobody expects them.
    for text in NUMBERS[:5]:
        told.call(town.address_service("pension").GetPerson, c.GetPersonRequest(request_id=text, local_address_number=text, affair=text))
        told.call(town.linkage("resident-tax").GetRecords, c.GetRecordsRequest(
            request_id=text, affair=text, datasets=[2], local_address_numbers=[text]), messages=True)
        told.call(town.linkage("resident-tax").ListEntitlements, c.ListEntitlementsRequest(),
                  metadata=[("x-atena-operator-id", text)], messages=True)
        told.call(town.transfers().ListTransfers, c.ListTransfersRequest(filter=f'person = "pension/{text}"'), messages=True)

    records = [c.PushedRecord(local_address_number=f"P{at}", record_key=f"B-{at}", revision=1, benefit=c.Benefit(
        basic_pension_number=BASIC[at % 20], pension_code="5350", certificate_number=BASIC[at % 20] + "5350", kind=2, disability_grade=2,
        award_date="2020-06-01", payment_start_month="2020-07", annual_amount_yen=831700, remarks=NAMES[at % 20])) for at in range(200)]
    records += [c.PushedRecord(local_address_number=f"P{at}", record_key=f"Q-{at}", revision=1, qualification=c.Qualification(
        basic_pension_number=BASIC[at % 20], insured_type=1, acquisition=c.Acquisition(date="2005-04-01", reason=1))) for at in range(200)]
    records += [c.PushedRecord(local_address_number="P1", record_key=NUMBERS[1], revision=1, benefit=c.Benefit(remarks=ADDRESS)),
                c.PushedRecord(local_address_number=NUMBERS[2], record_key="K", revision=1, qualification=c.Qualification(basic_pension_number=WRONG[1]))]
    for system in ["pension", "resident-tax"]:
        told.call(town.records(system).PushRecords, iter([c.PushRecordsRequest(records=records)]))
    told.call(town.records("pension").GetPushStatus, c.GetPushStatusRequest(dataset=5), messages=True)
    for system, affair, datasets in [("resident-tax", TAX, [2]), ("public-assistance", ASSISTANCE, [2, 5]), ("resident-tax", TAX, [5])]:
        told.call(town.linkage(system).PullRecords, c.PullRecordsRequest(affair=affair, datasets=datasets))
        told.call(town.linkage(system).GetRecords, c.GetRecordsRequest(
            affair=affair, datasets=datasets, local_address_numbers=[f"{'T' if system == 'resident-tax' else 'A'}{at}" for at in range(50)]))

    transfers = town.transfers()
    listed = told.call(transfers.ListTransfers, c.ListTransfersRequest(page_size=1000), messages=True).transfers
    assert len(listed) == 1000
    for transfer in itertools.islice(listed, 0, 1000, 100):
        told.call(transfers.GetTransfer, c.GetTransferRequest(transfer_id=transfer.transfer_id), messages=True)
        told.call(transfers.ReconstructTransfer, c.ReconstructTransferRequest(transfer_id=transfer.transfer_id))
        told.call(transfers.GetInclusionProof, c.GetInclusionProofRequest(transfer_id=transfer.transfer_id), messages=True)
    told.call(transfers.SummarizeTransfers, c.SummarizeTransfersRequest(), messages=True)
    told.call(transfers.ListPersonTransfers, c.ListPersonTransfersRequest(system_id="pension", local_address_number="P1"), messages=True)
    told.call(transfers.GetCheckpoint, c.GetCheckpointRequest(), messages=True)
    told.call(transfers.GetConsistencyProof, c.GetConsistencyProofRequest(old_size=1, new_size=2), messages=True)


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_nothing_of_anybody_comes_out(engine, tmp_path, contract, collector):
    cluster = Cluster(tmp_path / "postgres") if engine == "postgres" else None
    home = tmp_path / "home"
    make_home(home, collector, cluster and cluster.url)
    town, told = serve(home, contract), Told()
    drive(town, told)
    seen = {"process": processes(town)}
    limits = (Path("/proc") / str(town.process.pid) / "limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits), "no core dump"
    run = lambda *arguments: subprocess.run([BINARY, *arguments], check=True, capture_output=True).stdout
    # As it lies on the disk while the gateway runs: database, write-ahead log and all.
    shutil.copytree(home, tmp_path / "copy", ignore=NOT_COPIED)
    run("backup", "--home", home, "--out", tmp_path / "backup")
    assert town.stop() == 0
    seen["export"] = run("log", "export", "--home", home, "--out", tmp_path / "export")
    if engine == "sqlite":
        # A disk that is full: what fails must not tell either.
        failing = serve(home, contract, file_bytes_max=(home / "atena.db").stat().st_size + 200_000)
        register_all(failing, told, "welfare", "W", NUMBERS)
        failing.kill()
        seen["failing"] = bytes(failing.said)
    town.listening.join(timeout=10)
    seen |= {"stdout": bytes(town.said), "told": bytes(told.bytes), "collector": bytes(collector.received)}
    assert len(seen["told"]) > 100_000 and b"resident-tax" in seen["collector"], "the control: there is something to look through"
    assert {method.rsplit("/", 2)[1] for method in collector.methods} >= {
        "opentelemetry.proto.collector.trace.v1.TraceService", "opentelemetry.proto.collector.metrics.v1.MetricsService"}
    look = scanner()
    found = {channel: here for channel, data in seen.items() if (here := look.find(data))}
    found |= look.find_in_files(tmp_path, without=("pki", "keys.toml"))
    if cluster:
        cluster.stop()
    assert not found, found


CHANNELS = ["stdout", "stderr", "trace", "metric", "status", "process", "database", "leaf"]


@pytest.mark.parametrize("engine, channel", [
    *(("sqlite", channel) for channel in CHANNELS), ("postgres", "database"), ("postgres", "leaf")])
def test_a_build_that_leaks_is_caught(engine, channel, tmp_path, contract, collector):
    cluster = Cluster(tmp_path / "postgres") if engine == "postgres" else None
    home = tmp_path / "home"
    make_home(home, collector, cluster and cluster.url)
    before = len(collector.received)
    town, told = serve(home, contract, binary=LEAKING, environment={"ATENA_LEAK": channel}), Told()
    numbers = NUMBERS[:10]
    register_all(town, told, "pension", "P", numbers)
    seen = {"process": processes(town)}
    run = lambda *arguments: subprocess.run([BINARY, *arguments], check=True, capture_output=True).stdout
    shutil.copytree(home, tmp_path / "copy", ignore=NOT_COPIED)
    run("backup", "--home", home, "--out", tmp_path / "backup")
    assert town.stop() == 0
    run("log", "export", "--home", home, "--out", tmp_path / "export")
    seen |= {"told": bytes(told.bytes), "collector": bytes(collector.received[before:])}
    if channel != "process":
        # Processes of a leaking build outlive it and keep its stdout open.
        town.listening.join(timeout=10)
    seen["stdout"] = bytes(town.said)
    look = Scanner(numbers)
    found = {name for name, data in seen.items() if look.find(data)}
    files = look.find_in_files(tmp_path, without=("pki", "keys.toml"))
    if cluster:
        cluster.stop()
        assert any("server.log" in path for path in files), "the server's own log"
        assert any("/data/" in path for path in files), "the server's files"
    in_file = lambda part: any(part in path for path in files)
    caught = {
        "stdout": lambda: "stdout" in found,
        "stderr": lambda: in_file("gateway.log"),
        "trace": lambda: "collector" in found,
        "metric": lambda: "collector" in found,
        "status": lambda: "told" in found,
        "process": lambda: "process" in found,
        "database": lambda: in_file("backup/") and (cluster or (in_file("copy/atena.db-wal") and in_file("home/atena.db"))),
        "leaf": lambda: in_file("export/"),
    }[channel]
    assert caught(), (found, sorted(files))


def test_the_search_finds_every_form():
    look = Scanner(NUMBERS[:3], NAMES[:1])
    for forms in (number_forms(NUMBERS[1]), text_forms(NAMES[0])):
        for form, pattern in forms:
            for before in (b"", b"x", b"\xff\x00"):
                assert form in look.find(before + pattern + b"y"), form
    assert not look.find(personal_number(11_111_111_111).encode() + NAMES[1].encode())
