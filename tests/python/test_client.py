"""An independent client, written only from proto/: it gets what the rules say and nothing else."""

import hashlib
import sqlite3

import grpc
import pytest
from conftest import personal_number, reason
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

TAX = "市都民税賦課業務"
ASSISTANCE = "生活保護事務"
BASIC = "1234567890"
NUMBER = personal_number(31415926535)
OTHER_NUMBER = personal_number(27182818284)
THIRD_NUMBER = personal_number(16180339887)


@pytest.fixture(scope="module")
def filled(town):
    """One person known to everybody, with one record of each dataset and every field of it set."""
    c = town.contract
    for system, local in [("pension", "000000000000019"), ("resident-tax", "TAX1"), ("public-assistance", "PA1"), ("welfare", "WF1")]:
        town.register(system, local, NUMBER)
    town.register("school-affairs", "SCHOOL1")
    record = lambda key, **body: c.PushedRecord(local_address_number="000000000000019", record_key=key, revision=1, **body)
    results = town.push(
        record("Q-1", qualification=c.Qualification(
            basic_pension_number=BASIC, insured_type=1, acquisition=c.Acquisition(date="2005-04-01", reason=1),
            type_change=c.TypeChange(date="2010-04-01", reason=1), loss=c.Loss(date="2020-04-01", reason=3),
            notification_date="2005-04-10", pension_fund_joined_date="2006-04-01", remarks="internal note")),
        record("P-1", payment=c.Payment(
            basic_pension_number=BASIC, fiscal_year=2025, additional_premium_start_date="2025-04-01",
            additional_premium_end_date="2025-10-01", remarks="internal note",
            months=[c.PaymentMonth(month="2025-04", status="B", amount_yen=17910), c.PaymentMonth(month="2025-05", status="サ")])),
        record("E-1", exemption=c.Exemption(
            basic_pension_number=BASIC, kind=1, application_date="2025-07-10", decision=2, decision_date="2025-09-01",
            approved_from="2025-07", approved_to="2026-06", remarks="internal note")),
        record("B-1", benefit=c.Benefit(
            basic_pension_number=BASIC, pension_code="5350", certificate_number=BASIC + "5350", kind=2, disability_grade=2,
            award_date="2020-06-01", payment_start_month="2020-07", annual_amount_yen=831700, unpaid_benefit_claimed=True,
            suspension=c.Suspension(reason=1, **{"from": "2025-01", "to": "2025-12"}), remarks="internal note")),
        record("W-1", welfare_pension=c.WelfarePension(
            certificate_number="A1", status=1, award_date="1986-04-01", payment_start_month="1986-05",
            annual_amount_yen=400000, income_report_date="2026-08-01", remarks="internal note")),
    )
    assert [c.PushOutcome.Name(result.outcome) for result in results] == ["PUSH_OUTCOME_STORED"] * 5
    return town


def leaves(message, path=""):
    """Paths of every field that is set."""
    found = set()
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        if field.message_type is None:
            found.add(name)
        else:
            for inner in value if field.is_repeated else [value]:
                found |= leaves(inner, name + ".")
    return found


def get(town, system, local, affair, *datasets):
    c = town.contract
    return town.linkage(system).GetRecords(
        c.GetRecordsRequest(affair=affair, datasets=datasets, local_address_numbers=[local]))


@pytest.mark.parametrize("system, local, affair, datasets", [
    ("resident-tax", "TAX1", TAX, [2, 3]),
    ("public-assistance", "PA1", ASSISTANCE, [2, 3, 5]),
])
def test_a_consumer_gets_exactly_the_fields_of_its_entitlements(filled, system, local, affair, datasets):
    c = filled.contract
    entitlements = filled.linkage(system).ListEntitlements(c.ListEntitlementsRequest()).entitlements
    allowed = {item.dataset: set(item.fields) for item in entitlements if item.affair == affair}
    assert sorted(allowed) == datasets, "deny-by-default: no dataset beyond the rule"
    answer = get(filled, system, local, affair, *datasets)
    assert [delivery.dataset for delivery in answer.deliveries] == datasets
    for delivery in answer.deliveries:
        [record] = delivery.records
        got = leaves(getattr(record, record.WhichOneof("body")))
        assert got == allowed[delivery.dataset]
        assert not any("basic_pension_number" in path or "remarks" in path for path in got)
        assert "Q-1" not in record.record_id and "P-1" not in record.record_id, "own-number-only"
        assert BASIC.encode() not in delivery.SerializeToString()


@pytest.mark.parametrize("system, local, affair, dataset", [
    ("resident-tax", "TAX1", TAX, 5), ("resident-tax", "TAX1", TAX, 4), ("resident-tax", "TAX1", ASSISTANCE, 2),
    ("public-assistance", "PA1", ASSISTANCE, 6), ("welfare", "WF1", TAX, 2), ("school-affairs", "SCHOOL1", TAX, 3),
    ("auditor", "TAX1", TAX, 2),
])
def test_nobody_gets_a_dataset_that_no_rule_names(filled, system, local, affair, dataset):
    with pytest.raises(grpc.RpcError) as refused:
        get(filled, system, local, affair, dataset)
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert reason(refused.value) == "RELEASE_NOT_PERMITTED"


def test_number_confinement_the_refusal_is_the_same_for_every_number(filled):
    c = filled.contract
    answers = set()
    for number in [NUMBER, OTHER_NUMBER, "123456789019", "1", "９" * 12]:
        with pytest.raises(grpc.RpcError) as refused:
            filled.register("school-affairs", "SCHOOL9", number)
        assert reason(refused.value) == "PERSONAL_NUMBER_NOT_PERMITTED"
        trailers = {item.key: item.value for item in refused.value.trailing_metadata()}
        answers.add((refused.value.details(), trailers["grpc-status-details-bin"]))
    assert len(answers) == 1, "stored, not stored and malformed numbers can't be told apart"
    with pytest.raises(grpc.RpcError) as refused:
        filled.address_service("school-affairs").GetPerson(
            c.GetPersonRequest(local_address_number="SCHOOL1", affair="宛名管理事務", include_personal_number=True))
    assert reason(refused.value) == "PERSONAL_NUMBER_NOT_PERMITTED"


def test_an_authorised_system_gets_its_own_view_and_nobody_gets_the_unified_number(filled):
    c = filled.contract
    answer = filled.address_service("pension").GetPerson(
        c.GetPersonRequest(local_address_number="000000000000019", affair="宛名管理事務", include_personal_number=True))
    assert answer.person.personal_number == NUMBER
    assert answer.unified_address_number == ""
    with pytest.raises(grpc.RpcError) as refused:
        filled.address_service("pension").ResolveNumbers(
            c.ResolveNumbersRequest(local_address_numbers=["000000000000019"]))
    assert reason(refused.value) == "ROLE_REQUIRED"


def test_names_survive_code_point_for_code_point(filled):
    name = "神\ufa19葛󠄀邉󠄂\U0010de92　太郎"
    filled.register("pension", "NAME1", THIRD_NUMBER, name=name)
    answer = filled.address_service("pension").GetPerson(
        filled.contract.GetPersonRequest(local_address_number="NAME1", affair="宛名管理事務"))
    assert answer.person.name.full_name == name
    assert answer.person.personal_number == "", "only when asked for"


def test_what_an_update_leaves_out_stays_and_what_it_empties_is_cleared(filled):
    c = filled.contract
    secret = c.Address(town="森野", block="秘密二番地")
    update = lambda **person: filled.register("pension", "PART1", name="試験　花子", **person).outcome
    view = lambda: filled.address_service("pension").GetPerson(
        c.GetPersonRequest(local_address_number="PART1", affair="宛名管理事務")).person
    assert update(address=secret, protected=True, sex=2) == c.REGISTRATION_OUTCOME_ISSUED
    assert update() == c.REGISTRATION_OUTCOME_UNCHANGED, "a part of what is kept"
    kept = view()
    assert kept.protected and not kept.HasField("address") and kept.sex == 2
    assert update(sex=0) == c.REGISTRATION_OUTCOME_UPDATED
    kept = view()
    assert kept.protected and not kept.HasField("sex"), "cleared; the protection stays"
    assert update(protected=False, address=c.Address(town="")) == c.REGISTRATION_OUTCOME_UPDATED
    kept = view()
    assert not kept.protected and kept.address == c.Address(block="秘密二番地")


def test_reflection_is_offered_in_both_versions(filled):
    for version in ["v1", "v1alpha"]:
        ask = filled.channel("pension").stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
        answer = next(ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
        services = {service.name for service in answer.list_services_response.service}
        assert "atena.v1.AddressService" in services, version


def test_the_auditor_sees_every_transfer_with_the_digest_of_its_bytes(filled):
    c = filled.contract
    answer = get(filled, "public-assistance", "PA1", ASSISTANCE, 2, 5)
    for delivery in answer.deliveries:
        transfer = filled.transfers().GetTransfer(c.GetTransferRequest(transfer_id=delivery.transfer_id)).transfer
        assert transfer.content_sha256 == hashlib.sha256(delivery.SerializeToString()).hexdigest()
        assert transfer.rule_id == "transfer-2" and "条例" in transfer.legal_basis
        assert transfer.local_address_number == "PA1"
        assert [item.record_key for item in transfer.records] == [{2: "Q-1", 5: "B-1"}[delivery.dataset]]
    about = 'person = "pension/000000000000019" AND system_id = "public-assistance" AND direction = "OUTBOUND"'
    listed = filled.transfers().ListTransfers(c.ListTransfersRequest(filter=about)).transfers
    assert {item.transfer_id for item in listed} >= {item.transfer_id for item in answer.deliveries}
    with pytest.raises(grpc.RpcError) as refused:
        filled.transfers("pension").ListTransfers(c.ListTransfersRequest())
    assert reason(refused.value) == "ROLE_REQUIRED"


def test_a_pull_goes_on_from_its_cursor_and_hides_what_the_consumer_may_not_see(filled):
    c = filled.contract
    tax = filled.linkage("resident-tax")
    pull = lambda cursor=b"": list(tax.PullRecords(c.PullRecordsRequest(affair=TAX, datasets=[2, 3], cursor=cursor)))
    full = pull()
    assert full[-1].complete and sum(len(d.records) for chunk in full for d in chunk.deliveries) == 2
    cursor = full[-1].next_cursor

    note = lambda revision, text: c.PushedRecord(
        local_address_number="000000000000019", record_key="N-1", revision=revision,
        qualification=c.Qualification(basic_pension_number=BASIC, insured_type=1, remarks=text,
                                      acquisition=c.Acquisition(date="2005-04-01", reason=1)))
    filled.push(note(1, "a"))
    changed = pull(cursor)
    assert sum(len(d.records) for chunk in changed for d in chunk.deliveries) == 1
    cursor = changed[-1].next_cursor
    filled.push(note(2, "b"))
    hidden = pull(cursor)
    assert [len(chunk.deliveries) for chunk in hidden] == [0], "a change in a hidden field is no change"
    assert len(hidden[-1].next_cursor) == len(cursor)

    filled.push(c.PushedRecord(local_address_number="000000000000019", record_key="N-1", revision=3, deletion=c.Deletion(dataset=2)))
    ended = pull(hidden[-1].next_cursor)
    assert [len(d.tombstones) for chunk in ended for d in chunk.deliveries] == [1]

    for wrong in [cursor[:-1] + bytes([cursor[-1] ^ 1]), b"x", b"\0" * len(cursor)]:
        with pytest.raises(grpc.RpcError) as refused:
            pull(wrong)
        assert reason(refused.value) == "INVALID_FIELD"
    with pytest.raises(grpc.RpcError) as refused:
        list(filled.linkage("public-assistance").PullRecords(
            c.PullRecordsRequest(affair=ASSISTANCE, datasets=[2, 3], cursor=cursor)))
    assert reason(refused.value) == "INVALID_FIELD", "a cursor of another consumer"


def test_bad_records_come_back_with_every_violation_and_good_ones_are_kept(filled):
    c = filled.contract
    bad = c.PushedRecord(local_address_number="000000000000019", record_key="X-1", revision=1, payment=c.Payment(
        basic_pension_number="12", fiscal_year=2025,
        months=[c.PaymentMonth(month="2025-13", status="?", amount_yen=-1)]))
    good = c.PushedRecord(local_address_number="000000000000019", record_key="X-2", revision=1, payment=c.Payment(
        basic_pension_number=BASIC, fiscal_year=2024, months=[c.PaymentMonth(month="2024-04", status="*")]))
    nobody = c.PushedRecord(local_address_number="NOBODY", record_key="X-3", revision=1, payment=good.payment)
    rejected, stored, unlinked = filled.push(bad, good, nobody)
    assert {violation.field for violation in rejected.error.violations} == {
        "payment.basic_pension_number", "payment.months[0].month", "payment.months[0].status", "payment.months[0].amount_yen"}
    assert stored.outcome == c.PUSH_OUTCOME_STORED
    assert unlinked.error.reason == "LOCAL_NUMBER_NOT_LINKED"
    [again] = filled.push(good)
    assert again.outcome == c.PUSH_OUTCOME_UNCHANGED
    good.payment.remarks = "other"
    [conflict] = filled.push(good)
    assert conflict.error.reason == "REVISION_CONFLICT"
    with pytest.raises(grpc.RpcError) as refused:
        list(filled.records("resident-tax").PushRecords(iter([c.PushRecordsRequest(records=[good])])))
    assert reason(refused.value) == "NOT_DATASET_OWNER"


def test_side_doors_are_closed(filled):
    c = filled.contract
    for request, expected in [
        (c.GetRecordsRequest(affair=TAX, datasets=[2], local_address_numbers=[f"N{n}" for n in range(101)]), "TOO_MANY_PERSONS"),
        (c.GetRecordsRequest(affair=TAX, datasets=[99], local_address_numbers=["TAX1"]), "UNKNOWN_DATASET"),
        (c.GetRecordsRequest(affair=TAX, datasets=[1], local_address_numbers=["TAX1"]), "UNKNOWN_DATASET"),
        (c.GetRecordsRequest(affair=TAX, local_address_numbers=["TAX1"]), "UNKNOWN_DATASET"),
        (c.GetRecordsRequest(affair="\0", datasets=[2], local_address_numbers=["TAX1"]), "UNKNOWN_AFFAIR"),
        (c.GetRecordsRequest(affair=TAX, datasets=[2], request_id=NUMBER, local_address_numbers=["TAX1"]), "INVALID_FIELD"),
    ]:
        with pytest.raises(grpc.RpcError) as refused:
            filled.linkage("resident-tax").GetRecords(request)
        assert reason(refused.value) == expected
    answer = get(filled, "resident-tax", "１２３", TAX, 2)
    assert [error.reason for error in answer.errors] == ["INVALID_FIELD"]
    answer = get(filled, "resident-tax", NUMBER, TAX, 2)
    assert [error.reason for error in answer.errors] == ["INVALID_FIELD"], "12 digits could be a personal number"
    # Fields that the contract does not have (a mask, say) change nothing.
    request = c.GetRecordsRequest(affair=TAX, datasets=[2], local_address_numbers=["TAX1"]).SerializeToString()
    raw = filled.channel("resident-tax").unary_unary("/atena.v1.LinkageService/GetRecords")
    answer = c.GetRecordsResponse.FromString(raw(request + b"\x9a\x06\x01*" + b"\xa2\x06\x07remarks"))
    assert not any("remarks" in path for delivery in answer.deliveries for path in leaves(delivery))


def test_the_services_can_be_discovered(filled):
    services = ProtoReflectionDescriptorDatabase(filled.channel("pension")).get_services()
    assert {"atena.v1.AddressService", "atena.v1.RecordService", "atena.v1.LinkageService",
            "atena.v1.TransferLogService", "grpc.health.v1.Health"} <= set(services)


def test_a_client_without_certificate_gets_nowhere(filled):
    credentials = grpc.ssl_channel_credentials((filled.home / "pki/ca.crt").read_bytes())
    channel = grpc.secure_channel(filled.address, credentials, options=[("grpc.ssl_target_name_override", "localhost")])
    with pytest.raises(grpc.RpcError) as refused:
        filled.contract.LinkageServiceStub(channel).ListEntitlements(
            filled.contract.ListEntitlementsRequest(), timeout=10)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def forms(number):
    """A personal number as it could turn up."""
    yield number.encode()
    yield number.encode("utf-16-le")
    yield number.encode("utf-16-be")
    yield number.encode().hex().encode()
    yield bytes.fromhex(number)
    yield number.translate(str.maketrans("0123456789", "０１２３４５６７８９")).encode()
    yield f"{number[:4]}-{number[4:8]}-{number[8:]}".encode()


def test_number_confinement_no_personal_number_in_database_or_log(filled):
    places = [path for path in filled.home.iterdir() if path.name.startswith("atena.db") or path.name == "gateway.log"]
    assert len(places) >= 2
    for place in places:
        content = place.read_bytes()
        for number in [NUMBER, OTHER_NUMBER, THIRD_NUMBER]:
            for form in forms(number):
                assert form not in content, place.name
        for secret in ["internal note", BASIC, "2006-04-01", "町田　太郎"]:
            assert secret.encode() not in content, "pension data and names are sealed"
    with sqlite3.connect(f"file:{filled.home / 'atena.db'}?mode=ro", uri=True) as database:
        leaves = b"".join(row[0] for row in database.execute("SELECT leaves FROM log_chunk"))
    assert b"PERSONAL_NUMBER_NOT_PERMITTED" in leaves, "the control: a leaf says in the open why a call was refused"
    for secret in [NUMBER, OTHER_NUMBER, "TAX1", "SCHOOL1", "000000000000019"]:
        assert secret.encode() not in leaves, "a leaf has no personal data"
