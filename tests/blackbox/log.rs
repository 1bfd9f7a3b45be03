//! tamper-evident beyond one machine: auditors fetch the log, a witness watches it, gateways share it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use atena_ledger::{
    Frontier, Note, VerifierKey, decode_bundle, leaf_hash, open_checkpoint, tiles_of, verify_cosignature,
};
use atena_proto::v1;
use atena_proto::v1::pushed_record::Body as Pushed;
use tonic::body::Body;
use tonic::codegen::http::{Request, StatusCode};
use tower::{Service as _, ServiceExt as _};

use crate::people::{personal_number, qualification, record, registration};
use crate::town::{Town, atena, printed, reason, seen};

/// One GET over the connection of `system`.
pub(crate) async fn get(town: &Town, system: &str, path: &str) -> (StatusCode, Vec<u8>) {
    let mut channel = town.channel(system);
    let request = Request::get(format!("https://localhost{path}")).body(Body::empty()).unwrap();
    let answer = channel.ready().await.unwrap().call(request).await.unwrap();
    let status = answer.status();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    (status, body.to_vec())
}

pub(crate) async fn register_some(town: &Town, from: u64, count: u64) {
    let registrations =
        (from..from + count).map(|one| registration(&format!("P{one}"), Some(&personal_number(one)))).collect();
    let chunk = v1::RegisterPersonsRequest { request_id: String::new(), registrations };
    let mut service = town.address_service("pension");
    let mut answers = service.register_persons(tokio_stream::once(chunk)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert!(answer.results.iter().all(|result| result.error.is_none()));
}

pub(crate) async fn head(town: &Town) -> v1::GetCheckpointResponse {
    town.transfer_log("auditor").get_checkpoint(v1::GetCheckpointRequest {}).await.unwrap().into_inner()
}

/// Asks for the newest head until it is as wanted: heads are signed, and cosigned, soon after the log has grown.
pub(crate) async fn head_when(town: &Town, wanted: impl Fn(&Note) -> bool) -> Note {
    seen("the head that is wanted", async || Note::parse(&head(town).await.checkpoint).ok().filter(|note| wanted(note)))
        .await
}

pub(crate) fn size(note: &Note) -> u64 {
    atena_ledger::Checkpoint::parse(&note.text).unwrap().size
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors_fetch_the_log_over_https_and_nobody_else_does() {
    let town = Town::start();
    register_some(&town, 0, 600).await;
    head_when(&town, |note| size(note) >= 600).await;
    for system in ["pension", "resident-tax", "address-administrator"] {
        for path in ["/log/checkpoint", "/log/tile/0/000", "/log/tile/entries/000"] {
            assert_eq!(get(&town, system, path).await.0, StatusCode::FORBIDDEN, "{system} {path}");
        }
    }
    let key = VerifierKey::parse(&head(&town).await.verifier_key).unwrap();
    let (status, note) = get(&town, "auditor", "/log/checkpoint").await;
    assert_eq!(status, StatusCode::OK);
    let signed = open_checkpoint(std::str::from_utf8(&note).unwrap(), &key).unwrap();
    let mut tree = Frontier::empty();
    for tile in tiles_of(signed.size) {
        let (status, content) = get(&town, "auditor", &format!("/log/{tile}")).await;
        assert_eq!(status, StatusCode::OK, "{tile}");
        if tile.kind == atena_ledger::TileKind::Entries {
            for entry in decode_bundle(&content).unwrap() {
                tree.push(leaf_hash(entry), |_, _, _| {});
            }
        }
    }
    assert_eq!((tree.size(), tree.root()), (signed.size, signed.root));
    // Who fetched the log is in the log: each refusal, and one record for all that the auditor fetched.
    let fetched = town.transfers("method = \"Log/Fetch\"").await;
    let released: Vec<_> = fetched.iter().filter(|it| it.outcome == i32::from(v1::TransferOutcome::Released)).collect();
    assert_eq!((fetched.len(), released.len()), (10, 1), "log-before-release");
    assert_eq!(released[0].system_id, "auditor");
    assert_eq!(released[0].fields[0], "log:transfers");
    assert!(released[0].fields[1].strip_prefix("leaves:").unwrap().parse::<u64>().unwrap() >= signed.size);
    for beyond in ["/log/tile/0/009", "/log/tile/7/000", "/log/tile/0/../../keys.toml", "/log/tile/entries/x"] {
        assert_eq!(get(&town, "auditor", beyond).await.0, StatusCode::NOT_FOUND, "{beyond}");
    }
}

/// A witness in a process of its own.
pub(crate) struct Witness {
    process: Child,
    pub(crate) key: VerifierKey,
    pub(crate) address: String,
    _stdout: BufReader<ChildStdout>,
}

impl Witness {
    pub(crate) fn start(town: &Town) -> Self {
        let key = printed(&atena(&["log", "key", "--home", town.home_text()]));
        Self::start_with(town, key.trim(), "127.0.0.1:0")
    }

    /// One that is told this key of the log, and goes on with what it kept.
    pub(crate) fn start_with(town: &Town, log_key: &str, listen: &str) -> Self {
        let folder = town.home().join("witness");
        let mut process = Command::new(env!("CARGO_BIN_EXE_atena"))
            .args(["witness", "--dir", folder.to_str().unwrap(), "--log-key", log_key, "--listen", listen])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.trim().to_owned()
        };
        let key = VerifierKey::parse(line().strip_prefix("witness key ").unwrap()).unwrap();
        let address = line().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, key, address, _stdout: stdout }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tamper_evident_a_witness_cosigns_a_growing_log_and_refuses_a_rewound_one() {
    let mut town = Town::prepare();
    let witness = Witness::start(&town);
    town.change("atena.toml", |text| {
        let entry =
            format!("[[log.witness]]\nurl = \"http://{}\"\nkey = \"{}\"\n\n[telemetry]", witness.address, witness.key);
        text.replace("[telemetry]", &entry)
    });
    town.serve();
    let cosigned = |note: &Note| verify_cosignature(note, &witness.key).is_ok();
    register_some(&town, 0, 10).await;
    head_when(&town, |note| size(note) >= 10 && cosigned(note)).await;
    town.stop();
    let yesterday = town.copy();
    town.serve();
    register_some(&town, 10, 10).await;
    head_when(&town, |note| size(note) >= 20 && cosigned(note)).await;
    town.stop();

    // The operator restores yesterday's copy, the signed head beside it included, and goes on.
    town.restore(yesterday);
    town.serve();
    register_some(&town, 100, 3).await;
    head_when(&town, |note| size(note) >= 13 && !cosigned(note)).await;
    let told = town.wait_for_log("a witness did not cosign the transfer log");
    assert!(told.contains("the log was rewound"), "{told}");
    // And when it has grown past what the witness saw, it is found to be another log.
    register_some(&town, 200, 30).await;
    let told = town.wait_for_log("status 422");
    assert!(told.contains("forked"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_on_one_database_keep_one_log() {
    let mut town = Town::start();
    let other = town.another_gateway();
    let work = async |gateway: &Town| {
        for one in 0..40 {
            let number = personal_number(one);
            let system = if one % 2 == 0 { "pension" } else { "resident-tax" };
            gateway.register(system, registration(&format!("A{one}"), Some(&number))).await.unwrap();
        }
    };
    let check = async || {
        for _ in 0..3 {
            let home = town.home_text().to_owned();
            let fsck = move || printed(&atena(&["log", "fsck", "--home", &home]));
            let told = tokio::task::spawn_blocking(fsck).await.unwrap();
            assert!(told.contains("sound"), "also while it grows: {told}");
        }
    };
    tokio::join!(work(&town), work(&other), check());
    let issued = town.transfers("method = \"AddressService/RegisterPerson\" AND outcome = \"RECEIVED\"").await;
    assert_eq!(issued.len(), 80, "nothing acknowledged is missing");
    drop(other);
    town.stop();
    let told = printed(&atena(&["log", "fsck", "--home", town.home_text()]));
    assert!(told.contains("sound"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_about_a_person_are_found_before_and_after_they_are_indexed() {
    let town = Town::start();
    for one in 0..3 {
        let number = personal_number(one);
        town.register("resident-tax", registration(&format!("A{one}"), Some(&number))).await.unwrap();
    }
    let about = async || town.transfers("person = \"resident-tax/A1\"").await.len();
    assert_eq!(about().await, 1, "not indexed yet");
    let mut linkage = town.linkage("resident-tax");
    for _ in 0..45 {
        let mut people: Vec<_> = (0..99).map(|one| format!("NOBODY{one}")).collect();
        people.push("A1".to_owned());
        let request = v1::GetRecordsRequest {
            affair: "市都民税賦課業務".to_owned(),
            datasets: vec![v1::Dataset::Payment.into()],
            local_address_numbers: people,
            ..Default::default()
        };
        linkage.get_records(request).await.unwrap();
    }
    town.wait_for_log("the log's search index was extended");
    assert_eq!(about().await, 47, "the registration, the 45 questions for records, and the auditor's own");
}

/// *right-person*: an auditor finds what was refused about a person by the person, whatever was
/// wrong.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_about_a_linked_person_are_found_by_the_person() {
    let town = Town::start();
    for (place, system) in (0..).zip(["pension", "resident-tax"]) {
        town.register(system, registration("A1", Some(&personal_number(0)))).await.unwrap();
        town.register(system, registration("A2", Some(&personal_number(1 + place)))).await.unwrap();
    }
    let push = async |local: &str, revision: u64, key: &str, remarks: &str| {
        let body = Pushed::Qualification(v1::Qualification { remarks: remarks.to_owned(), ..qualification() });
        let results = town.push(vec![record(local, key, revision, body)]).await;
        results[0].error.as_ref().map(|error| error.reason.clone()).unwrap_or_default()
    };
    assert_eq!(push("A1", 2, "Q-1", "one").await, "");
    assert_eq!(push("A1", 1, "Q-1", "one").await, "STALE_REVISION");
    assert_eq!(push("A1", 2, "Q-1", "other").await, "REVISION_CONFLICT");
    assert_eq!(push("A1", 3, "Q-1", &"long".repeat(10_000)).await, "INVALID_FIELD");
    // A record of another person, pushed for this one.
    assert_eq!(push("A2", 1, "Q-2", "one").await, "");
    assert_eq!(push("A1", 2, "Q-2", "one").await, "INVALID_FIELD");
    let refused = async |registration: v1::PersonRegistration| {
        town.register("pension", registration).await.err().map(|refused| reason(&refused)).unwrap_or_default()
    };
    assert_eq!(refused(registration("A1", Some(&personal_number(7)))).await, "LOCAL_NUMBER_CONFLICT");
    let mut malformed = registration("A1", Some(&personal_number(0)));
    malformed.person.as_mut().unwrap().sex = Some(9);
    assert_eq!(refused(malformed).await, "INVALID_FIELD");
    let mut found: Vec<_> = town.transfers("person = \"pension/A1\" AND outcome = REFUSED").await;
    found.retain(|transfer| transfer.local_address_number == "A1");
    let mut reasons: Vec<_> = found.into_iter().map(|transfer| transfer.reason).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "INVALID_FIELD",
            "INVALID_FIELD",
            "INVALID_FIELD",
            "LOCAL_NUMBER_CONFLICT",
            "REVISION_CONFLICT",
            "STALE_REVISION"
        ]
    );
    // A person who is named twice is a refusal about them.
    let twice = v1::GetRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![v1::Dataset::Payment.into()],
        local_address_numbers: vec!["A1".to_owned(), "A1".to_owned()],
        ..Default::default()
    };
    town.linkage("resident-tax").get_records(twice).await.unwrap();
    assert_eq!(
        town.transfers("person = \"resident-tax/A1\" AND outcome = REFUSED AND system_id = \"resident-tax\"")
            .await
            .len(),
        1
    );
}
