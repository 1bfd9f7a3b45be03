//! acknowledged-is-durable and log-before-release while no file can grow, and work that goes on once there is room again.
//!
//! A limit on the size of files stands for the full disk: it needs no mount, and every write fails at a known byte.

use std::process::Command;

use atena_proto::v1;
use tonic::Status;

use crate::people::{one_of_each, personal_number, registration};
use crate::town::{Town, atena, printed, reason};

/// The signal that the limit sends is ignored, so that a write fails as it does on a full disk.
const STARTER: [&str; 4] = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];

/// Lets the files of the gateway grow to `size` and no further.
fn limit_files(town: &Town, size: &str) {
    let limit = format!("--fsize={size}:unlimited");
    let done = Command::new("prlimit").args(["--pid", &town.process_id().to_string(), &limit]).status().unwrap();
    assert!(done.success());
}

async fn register(town: &Town, person: u64) -> Result<v1::RegistrationResult, Status> {
    let number = personal_number(person);
    town.register("resident-tax", registration(&format!("T{person}"), Some(&number))).await
}

async fn get(town: &Town) -> Result<v1::GetRecordsResponse, Status> {
    let request = v1::GetRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![v1::Dataset::Payment.into()],
        local_address_numbers: vec!["T1".to_owned()],
        ..Default::default()
    };
    Ok(town.linkage("resident-tax").get_records(request).await?.into_inner())
}

async fn push(town: &Town) -> Result<v1::PushRecordsResponse, Status> {
    let chunk = v1::PushRecordsRequest { request_id: String::new(), records: one_of_each("P1") };
    let mut answers = town.records("pension").push_records(tokio_stream::once(chunk)).await?.into_inner();
    Ok(answers.message().await?.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_without_a_restart_once_there_is_room() {
    let mut town = Town::prepare();
    town.start_by(&STARTER);
    town.serve();
    town.register("pension", registration("P1", Some(&personal_number(1)))).await.unwrap();
    register(&town, 1).await.unwrap();
    push(&town).await.unwrap();
    get(&town).await.unwrap();

    // Twice: a connection that replaced another one is replaced as well.
    for round in 0..2 {
        limit_files(&town, "1");
        for person in 10..13 {
            let (registered, got, pushed) = tokio::join!(register(&town, person), get(&town), push(&town));
            let unavailable = ["LOG_UNAVAILABLE", "STORE_UNAVAILABLE"];
            for refused in [registered.map(drop), got.map(drop), pushed.map(drop)] {
                let refused = refused.unwrap_err();
                assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
                assert!(unavailable.contains(&reason(&refused).as_str()), "{refused:?}");
            }
        }
        limit_files(&town, "unlimited");

        let registered = register(&town, 10 + round).await.unwrap();
        assert_eq!(registered.outcome(), v1::RegistrationOutcome::Issued, "nothing was half done");
        assert_eq!(get(&town).await.unwrap().deliveries.len(), 1);
        push(&town).await.unwrap();
    }
    for (method, answered) in
        [("AddressService/RegisterPerson", 4), ("LinkageService/GetRecords", 3), ("RecordService/PushRecords", 15)]
    {
        let kept = town.transfers(&format!("method = \"{method}\"")).await.len();
        assert_eq!(kept, answered, "what was answered left a record, what failed left none: {method}");
    }
    town.stop();
    let fsck = printed(&atena(&["log", "fsck", "--home", town.home_text()]));
    assert!(fsck.contains("sound"), "{fsck}");
}
