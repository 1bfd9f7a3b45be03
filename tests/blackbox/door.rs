//! Who comes in. Certificates of every wrong kind are tried by the Python client; here is what depends on the registry.

use atena_proto::v1;

use crate::people::registration;
use crate::town::{Town, reason};

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_system_may_do_nothing_any_more_and_its_attempts_are_recorded() {
    let mut town = Town::start();
    let result = town.register("welfare", registration("W1", None)).await.unwrap();
    assert!(result.error.is_none());
    town.restart_with("policy.toml", |text| {
        let text = text.replacen("id = \"welfare\"\n", "id = \"welfare\"\nrevoked = true\n", 1);
        text.replacen("  \"welfare\",\n", "", 1)
    });
    let refused = town.register("welfare", registration("W1", None)).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    assert_eq!(reason(&refused), "CALLER_REVOKED");
    let recorded = town.transfers("reason = \"CALLER_REVOKED\"").await;
    assert_eq!(recorded.len(), 1);
    assert!(recorded[0].system_id.ends_with("/welfare"), "{}", recorded[0].system_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_is_closed_to_those_without_its_role() {
    let town = Town::start();
    let mut refusals = Vec::new();
    let mut note = |who: &str, what: &str, refusal: Option<tonic::Status>| {
        let refusal = refusal.unwrap_or_else(|| panic!("{who} was let into {what}"));
        refusals.push((who.to_owned(), what.to_owned(), reason(&refusal)));
    };
    for system in ["auditor", "resident-tax", "school-affairs", "address-administrator"] {
        let chunk = v1::PushRecordsRequest::default();
        let mut push = town.records(system).push_records(tokio_stream::once(chunk)).await.unwrap().into_inner();
        note(system, "PushRecords", push.message().await.err());
        let request = v1::GetPushStatusRequest { dataset: v1::Dataset::Payment.into() };
        note(system, "GetPushStatus", town.records(system).get_push_status(request).await.err());
    }
    for system in ["pension", "resident-tax", "school-affairs", "address-administrator"] {
        let mut log = town.transfer_log(system);
        note(system, "ListTransfers", log.list_transfers(v1::ListTransfersRequest::default()).await.err());
        let request = v1::GetTransferRequest { transfer_id: "00000000-0000-7000-8000-000000000000".into() };
        note(system, "GetTransfer", log.get_transfer(request).await.err());
        let request = v1::SummarizeTransfersRequest::default();
        note(system, "SummarizeTransfers", log.summarize_transfers(request).await.err());
    }
    for (who, what, reason) in &refusals {
        let expected = if what.contains("Push") { "NOT_DATASET_OWNER" } else { "ROLE_REQUIRED" };
        assert_eq!(reason, expected, "{who}, {what}");
    }
    // The auditor registers nobody and pulls nothing.
    let refused = town.register("auditor", registration("A1", None)).await.err().unwrap();
    assert_eq!(reason(&refused), "ROLE_REQUIRED");
    let recorded = town.transfers("outcome = \"REFUSED\"").await;
    assert_eq!(recorded.len(), refusals.len() + 1, "log-before-release: every refusal is in the log");
}

/// A client that shows no error details shows the message, so that names the field as well.
#[tokio::test(flavor = "multi_thread")]
async fn the_plain_message_of_an_error_names_the_field_and_never_its_value() {
    let town = Town::start();
    let request = v1::ListTransfersRequest { page_size: 4711, ..Default::default() };
    let refused = town.transfer_log("auditor").list_transfers(request).await.err().unwrap();
    assert_eq!(refused.message(), "INVALID_FIELD: page_size: must be 0 to 1000");
    let mut wrong = registration("W1", None);
    wrong.person.as_mut().unwrap().birth_date.as_mut().unwrap().date = Some("1985-02-31".to_owned());
    let refused = town.register("welfare", wrong).await.err().unwrap();
    assert!(refused.message().starts_with("INVALID_FIELD: person.birth_date.date: "), "{}", refused.message());
    assert!(!refused.message().contains("1985"), "no value: {}", refused.message());
}
