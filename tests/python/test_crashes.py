"""What must hold when something breaks: kill -9 at any moment, a log that can't be written, clients that go away."""

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from conftest import BINARY, Town, personal_number, reason

TAX = "市都民税賦課業務"


def record(c, local, key, month="2025-04", revision=1):
    return c.PushedRecord(local_address_number=local, record_key=key, revision=revision, payment=c.Payment(
        basic_pension_number="1234567890", fiscal_year=2025, months=[c.PaymentMonth(month=month, status="A", amount_yen=17510)]))


@pytest.fixture()
def town(tmp_path, contract):
    town = Town(tmp_path / "home", contract)
    town.people = [f"P{n:04}" for n in range(40)]
    chunk = lambda prefix: contract.RegisterPersonsRequest(registrations=[
        contract.PersonRegistration(local_address_number=prefix + local[1:], person=contract.Person(
            personal_number=personal_number(10_000_000_019 + n * 7_919), name=contract.PersonName(full_name="町田　花子")))
        for n, local in enumerate(town.people)])
    for system, prefix in [("pension", "P"), ("resident-tax", "T")]:
        [answer] = town.address_service(system).RegisterPersons(iter([chunk(prefix)]))
        assert not any(result.HasField("error") for result in answer.results)
    yield town
    if town.process.poll() is None:
        assert town.stop() == 0


def restart(town):
    """The gateway again, on the same home."""
    town.process = subprocess.Popen(
        [BINARY, "serve", "--home", str(town.home), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = town.process.stdout.readline().decode()
    assert line.startswith("listening on "), line
    town.address = line.removeprefix("listening on ").strip()


def kill(town):
    os.kill(town.process.pid, signal.SIGKILL)
    town.process.wait()


@pytest.mark.parametrize("answers_before_the_kill", [0, 1, 3, 7])
def test_acknowledged_is_durable_through_a_kill_during_a_push(town, answers_before_the_kill):
    c = town.contract
    chunks = [c.PushRecordsRequest(records=[record(c, local, f"{local}-{n}") for local in town.people]) for n in range(30)]
    acknowledged = set()
    answers = town.records("pension").PushRecords(iter(chunks))
    try:
        for count, answer in enumerate(answers):
            acknowledged |= {result.record_key for result in answer.results}
            if count == answers_before_the_kill:
                kill(town)
    except grpc.RpcError:
        pass
    assert acknowledged
    restart(town)
    status = town.records("pension").GetPushStatus(c.GetPushStatusRequest(dataset=3))
    assert status.current_records >= len(acknowledged)
    assert status.current_records == status.revisions
    again = [result for chunk in chunks for answer in town.records("pension").PushRecords(iter([chunk])) for result in answer.results]
    assert all(result.outcome == c.PUSH_OUTCOME_UNCHANGED for result in again if result.record_key in acknowledged)
    assert all(result.outcome in (c.PUSH_OUTCOME_UNCHANGED, c.PUSH_OUTCOME_STORED) for result in again)
    status = town.records("pension").GetPushStatus(c.GetPushStatusRequest(dataset=3))
    assert status.current_records == status.revisions == len(town.people) * len(chunks), "each happened once"


@pytest.mark.parametrize("chunks_before_the_kill", [1, 2, 5])
def test_log_before_release_through_a_kill_during_a_pull(town, chunks_before_the_kill):
    c = town.contract
    town.push(*[record(c, local, f"{local}-{n}") for local in town.people for n in range(5)])
    received = []
    pull = town.linkage("resident-tax").PullRecords(c.PullRecordsRequest(affair=TAX, datasets=[3], page_size=10))
    cursor = b""
    try:
        for count, chunk in enumerate(pull, 1):
            received.extend(chunk.deliveries)
            cursor = chunk.next_cursor
            if count == chunks_before_the_kill:
                kill(town)
    except grpc.RpcError:
        pass
    assert received
    restart(town)
    for delivery in received:
        transfer = town.transfers().GetTransfer(c.GetTransferRequest(transfer_id=delivery.transfer_id)).transfer
        assert transfer.content_sha256 == hashlib.sha256(delivery.SerializeToString()).hexdigest()
        assert transfer.outcome == c.TRANSFER_OUTCOME_RELEASED
    rest = town.linkage("resident-tax").PullRecords(c.PullRecordsRequest(affair=TAX, datasets=[3], cursor=cursor))
    people = {delivery.local_address_number for delivery in received}
    people |= {delivery.local_address_number for chunk in rest for delivery in chunk.deliveries}
    assert len(people) == len(town.people), "the pull goes on from the cursor after the crash"


def test_log_before_release_nothing_leaves_while_the_log_fails(town):
    c = town.contract
    town.push(record(c, "P0001", "K-1"))
    request = c.GetRecordsRequest(affair=TAX, datasets=[3], local_address_numbers=["T0001"])
    with sqlite3.connect(town.home / "atena.db") as database:
        database.execute("CREATE TRIGGER broken BEFORE INSERT ON log_chunk BEGIN SELECT RAISE(ABORT, 'disk on fire'); END")
    calls = [
        lambda: town.linkage("resident-tax").GetRecords(request),
        lambda: list(town.linkage("resident-tax").PullRecords(c.PullRecordsRequest(affair=TAX, datasets=[3]))),
        lambda: town.linkage("school-affairs").GetRecords(request),
        lambda: town.address_service("pension").GetPerson(c.GetPersonRequest(local_address_number="P0001", affair="宛名管理事務")),
        lambda: town.register("pension", "NEW", personal_number(999)),
        lambda: town.push(record(c, "P0001", "K-2")),
        lambda: town.transfers().ListTransfers(c.ListTransfersRequest()),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as failed:
            call()
        assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
        assert reason(failed.value) == "LOG_UNAVAILABLE"
    with sqlite3.connect(town.home / "atena.db") as database:
        database.execute("DROP TRIGGER broken")
    assert len(town.linkage("resident-tax").GetRecords(request).deliveries[0].records) == 1
    assert town.records("pension").GetPushStatus(c.GetPushStatusRequest(dataset=3)).revisions == 1, "nothing was stored meanwhile"
    assert town.register("pension", "NEW", personal_number(999)).outcome == c.REGISTRATION_OUTCOME_ISSUED


def wait_for(town, filter):
    """Asks until the log tells of it. The record is written by a task of its own, so there is nothing else to wait for."""
    for _ in range(10_000):
        transfers = town.transfers().ListTransfers(town.contract.ListTransfersRequest(filter=filter)).transfers
        if transfers:
            return transfers
    raise AssertionError("never logged: " + filter)


def test_a_client_that_goes_away_in_the_middle_of_a_pull_is_in_the_log(town):
    c = town.contract
    town.push(*[record(c, local, f"{local}-{n}") for local in town.people for n in range(20)])
    pull = town.linkage("resident-tax").PullRecords(c.PullRecordsRequest(affair=TAX, datasets=[3], page_size=1))
    next(iter(pull))
    pull.cancel()
    [transfer] = wait_for(town, 'outcome = "CANCELLED" AND method = "LinkageService/PullRecords"')
    assert (transfer.system_id, transfer.rule_id) == ("resident-tax", "transfer-1")


def test_a_stream_that_stops_half_way_keeps_what_was_acknowledged_and_logged(town):
    c = town.contract
    hold = threading.Event()

    def half():
        yield c.PushRecordsRequest(records=[record(c, "P0001", "K-1")])
        hold.wait()

    push = town.records("pension").PushRecords(half())
    [result] = next(iter(push)).results
    assert result.outcome == c.PUSH_OUTCOME_STORED
    push.cancel()
    hold.set()
    assert town.records("pension").GetPushStatus(c.GetPushStatusRequest(dataset=3)).revisions == 1
    transfer = town.transfers().GetTransfer(c.GetTransferRequest(transfer_id=result.transfer_id)).transfer
    assert [(item.record_key, item.revision) for item in transfer.records] == [("K-1", 1)]


def test_a_call_whose_deadline_passed_is_answered_so_and_is_in_the_log(town):
    c = town.contract
    town.push(*[record(c, local, f"{local}-{n}") for local in town.people for n in range(20)])
    linkage = town.linkage("resident-tax")
    request = c.GetRecordsRequest(affair=TAX, datasets=[2, 3], local_address_numbers=["T" + local[1:] for local in town.people])
    linkage.ListEntitlements(c.ListEntitlementsRequest())  # the connection is up
    with sqlite3.connect(town.home / "atena.db") as database:
        database.execute("BEGIN IMMEDIATE")  # the log has to wait for its turn
        with pytest.raises(grpc.RpcError) as late:
            linkage.GetRecords(request, timeout=0.3)
        assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        database.rollback()
    transfers = wait_for(town, 'system_id = "resident-tax" AND method = "LinkageService/GetRecords"')
    assert {transfer.outcome for transfer in transfers} <= {c.TRANSFER_OUTCOME_TIMED_OUT, c.TRANSFER_OUTCOME_RELEASED}


def test_one_person_one_number_when_systems_register_the_same_people_at_once(town):
    c = town.contract
    numbers = [personal_number(50_000_000_000 + n * 104_729) for n in range(60)]

    def register(system):
        service = town.address_service(system)
        return [service.RegisterPerson(c.RegisterPersonRequest(registration=c.PersonRegistration(
            local_address_number=f"C{n:05}", person=c.Person(personal_number=number, name=c.PersonName(full_name="町田"))))).result.outcome
            for n, number in enumerate(numbers)]

    systems = ["pension", "resident-tax", "welfare", "long-term-care"]
    with ThreadPoolExecutor(len(systems)) as pool:
        outcomes = list(pool.map(register, systems))
    for of_person in zip(*outcomes):
        assert sorted(of_person) == sorted([c.REGISTRATION_OUTCOME_ISSUED] + [c.REGISTRATION_OUTCOME_LINKED] * 3)
    with sqlite3.connect(f"file:{town.home / 'atena.db'}?mode=ro", uri=True) as database:
        [(people,)] = database.execute("SELECT count(*) FROM person")
        [(numbered,)] = database.execute("SELECT count(DISTINCT unified_address_number) FROM personal_number")
    assert people == numbered == len(town.people) + len(numbers)


def test_acknowledged_is_durable_through_kills_at_random_moments_under_load(town):
    """Several clients register while the gateway is killed; then everything acknowledged is there, and what was not happens once."""
    c = town.contract
    acknowledged, chosen = set(), random.Random(7)
    for round_ in range(8):
        stop_after, lock = chosen.randrange(1, 60), threading.Lock()
        done = set()

        def work(worker):
            for one in range(40):
                local = f"K{round_}W{worker}N{one}"
                try:
                    town.register("welfare", local)
                except grpc.RpcError:
                    return
                with lock:
                    done.add(local)
                    if len(done) == stop_after:
                        town.process.kill()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        town.process.wait()
        acknowledged |= done
        restart(town)
    registered = {}
    token = ""
    while True:
        page = town.transfers().ListTransfers(c.ListTransfersRequest(
            filter='method = "AddressService/RegisterPerson" AND system_id = "welfare" AND outcome = "RECEIVED"', page_size=1000, page_token=token))
        for transfer in page.transfers:
            registered[transfer.local_address_number] = registered.get(transfer.local_address_number, 0) + 1
        token = page.next_page_token
        if not token:
            break
    assert acknowledged <= set(registered), "nothing acknowledged is missing"
    assert set(registered.values()) == {1}, "nothing happened twice"


def test_tamper_evident_the_log_is_sound_after_every_kill(town):
    """The tests above killed the gateway between any two steps; the log they left behind has neither fork nor gap."""
    assert town.stop() == 0
    run = subprocess.run([BINARY, "log", "fsck", "--home", str(town.home)], capture_output=True, text=True)
    assert (run.returncode, "sound" in run.stdout) == (0, True), run.stdout + run.stderr
