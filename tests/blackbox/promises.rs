//! What the comments of the contract promise is checked.

use atena_proto::v1;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::people::{personal_number, qualification, record, registration};
use crate::town::{Town, reason};

/// The fields that a refusal names.
fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn born(date: &str) -> v1::Person {
    v1::Person {
        birth_date: Some(v1::UncertainDate { date: text(date), ..Default::default() }),
        ..named("試験　花子", "")
    }
}

fn named(name: &str, kana: &str) -> v1::Person {
    let name = v1::PersonName { full_name: text(name), full_name_kana: text(kana), ..Default::default() };
    v1::Person { name: Some(name), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_as_the_contract_says() {
    let town = Town::start();
    let unknown = |field: i32| v1::Person { sex: Some(field), resident_status: Some(field), ..named("試験", "") };
    for (person, expected) in [
        (born("9999-12-31"), &["person.birth_date.date"][..]),
        (born("2999-01-01"), &["person.birth_date.date"]),
        (born("1867-12-31"), &["person.birth_date.date"]),
        (named("試験", "しけん"), &["person.name.full_name_kana"]),
        (named("試験", "ｼｹﾝ"), &["person.name.full_name_kana"]),
        (named("試\u{fffd}", ""), &["person.name.full_name"]),
        (named("試\u{7}", ""), &["person.name.full_name"]),
        (named("　 ", ""), &["person.name"]),
        (unknown(-1), &["person.sex", "person.resident_status"]),
        (unknown(99), &["person.sex", "person.resident_status"]),
    ] {
        let mut bad = registration("P1", None);
        bad.person = Some(person);
        let refused = town.register("pension", bad).await.err().unwrap();
        assert_eq!((reason(&refused).as_str(), fields(&refused)), ("INVALID_FIELD", expected.map_owned()));
    }
    let zeros = town.register("pension", registration("P1", Some("000000000000"))).await.err().unwrap();
    assert_eq!(reason(&zeros), "INVALID_PERSONAL_NUMBER");
    for local in ["0", "000000000000000"] {
        let refused = town.register("pension", registration(local, None)).await.err().unwrap();
        assert_eq!(fields(&refused), ["local_address_number"], "{local}");
    }
}

/// Owned texts of a list of names.
trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_tells_of_nothing_that_lies_ahead() {
    let town = Town::start();
    town.register("pension", registration("P1", Some(&personal_number(81)))).await.unwrap();
    let ahead = v1::Qualification {
        basic_pension_number: "0000000000".to_owned(),
        acquisition: Some(v1::Acquisition {
            date: "2999-04-01".to_owned(),
            reason: v1::AcquisitionReason::Age20.into(),
        }),
        notification_date: "2999-04-02".to_owned(),
        remarks: "\u{fffd}".to_owned(),
        ..qualification()
    };
    let body = v1::pushed_record::Body::Qualification(ahead);
    let results = town.push(vec![record("P1", "Q-1", 1, body)]).await;
    let error = results[0].error.as_ref().unwrap();
    let named: Vec<_> = error.violations.iter().map(|violation| violation.field.as_str()).collect();
    let field = |name: &str| format!("qualification.{name}");
    let expected = ["basic_pension_number", "acquisition.date", "notification_date", "remarks"].map(field);
    assert_eq!((error.reason.as_str(), named), ("INVALID_FIELD", expected.iter().map(String::as_str).collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_has_one_form_and_belongs_to_its_chunk() {
    let town = Town::start();
    let id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    let request = |request_id: &str, local: &str| v1::RegisterPersonRequest {
        request_id: request_id.to_owned(),
        registration: Some(registration(local, None)),
    };
    for wrong in [
        id.replace('-', ""),
        format!("{{{id}}}"),
        format!("urn:uuid:{id}"),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        "1".to_owned(),
    ] {
        let refused = town.address_service("pension").register_person(request(&wrong, "P1")).await.err().unwrap();
        assert_eq!((reason(&refused).as_str(), fields(&refused)), ("INVALID_FIELD", ["request_id"].map_owned()));
    }
    town.address_service("pension").register_person(request(&id.to_uppercase(), "P1")).await.unwrap();
    let second = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c";
    let chunk = |request_id: &str, local: &str| v1::RegisterPersonsRequest {
        request_id: request_id.to_owned(),
        registrations: vec![registration(local, None)],
    };
    let chunks = tokio_stream::iter([chunk(id, "P2"), chunk(second, "P3"), chunk("", "P4")]);
    let mut answers = town.address_service("pension").register_persons(chunks).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    let mut kept: Vec<_> = town
        .transfers("direction = INBOUND AND outcome = RECEIVED")
        .await
        .into_iter()
        .map(|transfer| (transfer.local_address_number, transfer.request_id))
        .collect();
    kept.sort();
    let expected = [("P1", id), ("P2", id), ("P3", second), ("P4", "")];
    assert_eq!(kept, expected.map(|(local, id)| (local.to_owned(), id.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_goes_on_with_its_own_query_alone() {
    let town = Town::start();
    for local in ["P1", "P2", "P3", "P4"] {
        town.register("pension", registration(local, None)).await.unwrap();
    }
    let list = |filter: &str, token: &str| v1::ListTransfersRequest {
        filter: filter.to_owned(),
        page_size: 1,
        page_token: token.to_owned(),
    };
    let mut auditor = town.transfer_log("auditor");
    let filter = "system_id = pension";
    let first = auditor.list_transfers(list(filter, "")).await.unwrap().into_inner();
    let token = first.next_page_token;
    let second = auditor.list_transfers(list(filter, &token)).await.unwrap().into_inner();
    assert_eq!(second.transfers[0].local_address_number, "P3");
    for (filter, token) in
        [("", token.as_str()), ("system_id = welfare", &token), (filter, "3"), (filter, &token.to_uppercase())]
    {
        let refused = auditor.list_transfers(list(filter, token)).await.err().unwrap();
        assert_eq!((reason(&refused).as_str(), fields(&refused)), ("INVALID_FIELD", ["page_token"].map_owned()));
    }
    let of_person = v1::ListPersonTransfersRequest {
        system_id: "pension".to_owned(),
        local_address_number: "P1".to_owned(),
        page_size: 1,
        page_token: token,
    };
    let refused = auditor.list_person_transfers(of_person).await.err().unwrap();
    assert_eq!(fields(&refused), ["page_token"]);
    for id in ["00000000-0000-0000-0000-000000000000", "x"] {
        let refused = auditor.get_transfer(v1::GetTransferRequest { transfer_id: id.to_owned() }).await.err().unwrap();
        assert_eq!(fields(&refused), ["transfer_id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_twice_in_one_call() {
    let town = Town::start();
    let number = personal_number(91);
    for (system, local) in [("pension", "P1"), ("resident-tax", "T1"), ("address-administrator", "Z1")] {
        town.register(system, registration(local, Some(&number))).await.unwrap();
    }
    let payment = v1::Dataset::Payment;
    let get = |datasets: &[v1::Dataset]| v1::GetRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: datasets.iter().map(|dataset| (*dataset).into()).collect(),
        local_address_numbers: ["T1", "T2", "T1"].map_owned(),
        ..Default::default()
    };
    let answer = town.linkage("resident-tax").get_records(get(&[payment])).await.unwrap().into_inner();
    assert_eq!(answer.deliveries.len(), 1);
    let errors: Vec<_> = answer.errors.iter().map(|error| (error.index, error.reason.as_str())).collect();
    assert_eq!(errors, [(1, "LOCAL_NUMBER_NOT_LINKED"), (2, "INVALID_FIELD")]);
    let refused = town.linkage("resident-tax").get_records(get(&[payment, payment])).await.err().unwrap();
    assert_eq!((reason(&refused).as_str(), fields(&refused)), ("INVALID_FIELD", ["datasets[1]"].map_owned()));
    let pull = v1::PullRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![payment.into(), payment.into()],
        ..Default::default()
    };
    let mut pulled = town.linkage("resident-tax").pull_records(pull).await.unwrap().into_inner();
    assert_eq!(fields(&pulled.message().await.err().unwrap()), ["datasets[1]"]);
    let resolve = v1::ResolveNumbersRequest { local_address_numbers: ["Z1", "Z1"].map_owned(), ..Default::default() };
    let answer = town.address_service("address-administrator").resolve_numbers(resolve).await.unwrap().into_inner();
    assert_eq!((answer.numbers.len(), answer.errors[0].index), (1, 1));
    assert_eq!(answer.errors[0].violations[0].field, "local_address_numbers[1]");
}
