//! Erasing people: what is left links nobody, and every proof goes on.

use atena_proto::v1;
use atena_proto::v1::pushed_record::Body;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sqlx::{Connection as _, SqliteConnection};

use crate::people::{personal_number, qualification, record, registration, registration_with};
use crate::town::{Engine, Town, atena, printed};

pub(crate) const PEOPLE: u64 = 300;
/// Those that are erased; the others are the control.
pub(crate) const ERASED: u64 = 200;

pub(crate) fn number(person: u64) -> String {
    personal_number(7_000_000_000 + 13 * person)
}

async fn filled() -> Town {
    let town = Town::start();
    fill(&town).await;
    town
}

pub(crate) async fn fill(town: &Town) {
    for (system, prefix) in [("pension", "P"), ("resident-tax", "T")] {
        let deceased = v1::ResidentStatus::Deceased;
        let persons = |person| registration_with(&format!("{prefix}{person}"), Some(&number(person)), deceased);
        let chunk =
            v1::RegisterPersonsRequest { request_id: String::new(), registrations: (0..PEOPLE).map(persons).collect() };
        let mut client = town.address_service(system);
        let mut answers = client.register_persons(tokio_stream::once(chunk)).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().results.len(), 300);
    }
    let body = || Body::Qualification(qualification());
    for revision in 1..=2 {
        let of = |person| record(&format!("P{person}"), &format!("Q-{person}"), revision, body());
        town.push((0..PEOPLE).map(of).collect()).await;
    }
}

pub(crate) fn list(town: &Town) -> String {
    let path = town.home().join("erase.txt");
    let people: Vec<_> = (0..ERASED).map(|person| format!("pension/P{person}")).collect();
    std::fs::write(&path, people.join("\n")).unwrap();
    path.display().to_string()
}

async fn entitled(town: &Town, person: u64) -> bool {
    let request = v1::GetRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![v1::Dataset::Qualification.into()],
        local_address_numbers: vec![format!("T{person}")],
        ..Default::default()
    };
    let answer = town.linkage("resident-tax").get_records(request).await.unwrap().into_inner();
    !answer.deliveries.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_is_gone_everywhere_and_the_log_stays_whole() {
    let mut town = filled().await;
    let receipt = town.transfers("person = \"pension/P1\"").await[0].transfer_id.clone();
    let list = list(&town);
    let home = town.home_text();
    let erase = |more: &[&str]| atena(&[&["erase", "--home", home, "--list", &list], more].concat());

    let early = erase(&["--death", "2026-01-01", "--yes"]);
    assert!(String::from_utf8_lossy(&early.stderr).contains("erasure.after_death_days"), "{early:?}");
    let looked = printed(&erase(&["--death", "2015-01-01"]));
    assert!(looked.contains("200 people would be erased"), "{looked}");
    assert!(entitled(&town, 1).await, "nothing was changed");

    // While the gateway runs.
    let erased = printed(&erase(&["--death", "2015-01-01", "--yes"]));
    assert!(erased.contains("200 people are erased"), "{erased}");
    assert!(!entitled(&town, 1).await && entitled(&town, ERASED).await);
    let again = erase(&["--death", "2015-01-01", "--yes"]);
    assert_eq!(again.status.code(), Some(2), "they are not known any more");

    // The same person may come again, as somebody new.
    let back = town.register("pension", registration("P1", Some(&number(1)))).await.unwrap();
    assert_eq!(back.outcome, i32::from(v1::RegistrationOutcome::Issued));

    let recorded = town.transfers("outcome = \"ERASED\"").await;
    assert_eq!(recorded.len(), 200);
    assert!(recorded.iter().all(|transfer| transfer.local_address_number.is_empty()));
    let proof = v1::GetInclusionProofRequest { transfer_id: receipt };
    let proof = town.transfer_log("auditor").get_inclusion_proof(proof).await.unwrap().into_inner();
    let receipts = town.home().join("receipts");
    std::fs::create_dir(&receipts).unwrap();
    std::fs::write(receipts.join("one.leaf"), &proof.leaf).unwrap();
    std::fs::write(receipts.join("one.tlog-proof"), &proof.receipt).unwrap();
    town.stop();
    printed(&atena(&["log", "fsck", "--home", home]));
    let key = printed(&atena(&["log", "key", "--home", home]));
    let path = |name: &str| receipts.join(name).display().to_string();
    let (leaf, proof, key) = (path("one.leaf"), path("one.tlog-proof"), key.lines().next().unwrap());
    printed(&atena(&["verify", "receipt", "--key", key, "--leaf", &leaf, "--receipt", &proof]));
}

/// A resident, a contradiction between systems, and an unknown status are kept; an order erases all the same.
#[tokio::test(flavor = "multi_thread")]
async fn only_whom_the_systems_have_as_gone_is_erased_without_an_order() {
    use v1::ResidentStatus::{Deceased, MovedOut, Resident, Unspecified};
    let town = Town::start();
    let home = town.home_text();
    let people = [
        ("1", Resident, Resident, Some("RESIDENT")),
        ("2", Deceased, Resident, Some("CONTRADICTION")),
        ("3", Unspecified, Unspecified, Some("STATUS_UNKNOWN")),
        ("4", MovedOut, MovedOut, Some("GROUND_NOT_REGISTERED")),
        ("5", Deceased, Unspecified, None),
        ("6", Deceased, MovedOut, None),
    ];
    for (local, pension, tax, _) in people {
        let number = number(900 + local.parse::<u64>().unwrap());
        town.register("pension", registration_with(local, Some(&number), pension)).await.unwrap();
        town.register("resident-tax", registration_with(local, Some(&number), tax)).await.unwrap();
    }
    let named: Vec<_> = people.iter().map(|(local, ..)| format!("pension/{local}")).collect();
    let named: Vec<_> = named.iter().map(String::as_str).chain(["pension/7"]).collect();
    let erase = |more: &[&str]| atena(&[&["erase", "--home", home, "--json"], &named[..], more].concat());
    let rows = |output: &std::process::Output| -> Vec<serde_json::Value> {
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };

    let looked = erase(&["--death", "2015-01-01"]);
    assert_eq!(looked.status.code(), Some(2));
    let told = rows(&looked);
    for (row, (local, _, _, reason)) in told.iter().zip(people) {
        assert_eq!(row["person"], format!("pension/{local}"));
        assert_eq!(row["reason"].as_str(), reason, "{row}");
        assert_eq!(row["decision"], if reason.is_none() { "ERASE" } else { "KEEP" });
        assert!(row["last_use"].is_string() && row["status"].as_array().unwrap().len() == 2, "{row}");
    }
    let whole = String::from_utf8_lossy(&looked.stdout).into_owned();
    assert!(!whole.contains(&number(901)) && !whole.contains("町田"), "no number and no name is shown");
    assert_eq!(told[1]["status"], serde_json::json!(["pension: DECEASED", "resident-tax: RESIDENT"]));
    let end = told.last().unwrap();
    assert_eq!((&end["erased"], &end["people"], &end["kept"]), (&false.into(), &2.into(), &4.into()));

    let twice = rows(&erase(&["resident-tax/1", "--death", "2015-01-01"]));
    assert_eq!(
        (twice.len(), &twice[6]["named_again"]),
        (7, &1.into()),
        "one row a person, and the number is accounted for"
    );

    let done = erase(&["--death", "2015-01-01", "--yes"]);
    assert_eq!(done.status.code(), Some(2));
    assert_eq!(rows(&done).last().unwrap()["people"], 2);
    let again = rows(&erase(&["--death", "2015-01-01", "--yes"]));
    assert_eq!(again.last().unwrap()["unknown"].as_array().unwrap().len(), 3, "two of them are erased by now");
    let ordered = rows(&erase(&["--order", "第1号", "--yes"]));
    assert_eq!(ordered.last().unwrap()["people"], 4, "an order erases whatever the status");
}

/// The blind index of a number, computed from the key file as a thief of it would.
pub(crate) fn index(keys: &toml::Table, number: &str) -> [u8; 32] {
    let key = keys["blind_index"][0]["key"].as_str().unwrap();
    let key: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap()).collect();
    let mut message = Vec::new();
    for part in [&b"132098"[..], b"atena/v1/personal-number", &1_u32.to_be_bytes(), number.as_bytes()] {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(&message);
    mac.finalize().into_bytes().into()
}

/// Who has the database's files, the keys, and a list of every number that there is, links nobody who was erased.
#[tokio::test(flavor = "multi_thread")]
async fn files_keys_and_a_list_of_all_numbers_link_nobody() {
    if crate::ENGINE == Engine::Postgres {
        // PostgreSQL's files are looked through in residue.rs.
        return;
    }
    let mut town = filled().await;
    let home = town.home();
    let keys: toml::Table = std::fs::read_to_string(home.join("keys.toml")).unwrap().parse().unwrap();
    let files = || {
        [std::fs::read(home.join("atena.db")).unwrap(), std::fs::read(home.join("atena.db-wal")).unwrap_or_default()]
            .concat()
    };
    let linked = |files: &[u8], people: std::ops::Range<u64>| {
        people.filter(|person| memchr::memmem::find(files, &index(&keys, &number(*person))).is_some()).count()
    };
    let url = format!("sqlite:{}", home.join("atena.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let wrapped: Vec<(String, Vec<u8>)> = sqlx::query_as("SELECT unified_address_number, wrapped_key FROM person_key")
        .fetch_all(&mut database)
        .await
        .unwrap();
    let sealed: Vec<(Vec<u8>,)> =
        sqlx::query_as("SELECT sealed FROM record UNION ALL SELECT sealed FROM record_history UNION ALL SELECT sealed FROM person_view")
            .fetch_all(&mut database)
            .await
            .unwrap();
    assert_eq!(linked(&files(), 0..PEOPLE), 300, "the control: every index is there before");
    let list = list(&town);
    printed(&atena(&["erase", "--home", town.home_text(), "--list", &list, "--order", "第1号", "--yes"]));
    let after = files();
    assert_eq!(linked(&after, 0..ERASED), 0, "a number links somebody who was erased");
    assert_eq!(linked(&after, ERASED..PEOPLE), 100);
    let left: Vec<(String,)> =
        sqlx::query_as("SELECT unified_address_number FROM person_key").fetch_all(&mut database).await.unwrap();
    assert_eq!(left.len(), 100);
    for (person, key) in &wrapped {
        let there = memchr::memmem::find(&after, key).is_some();
        assert_eq!(there, left.iter().any(|(kept,)| kept == person), "residue of a wrapped key");
    }
    // Two revisions and two views of each.
    let residue = sealed.iter().filter(|(sealed,)| memchr::memmem::find(&after, sealed).is_some()).count();
    assert_eq!((sealed.len(), residue), (1200, 400), "residue of sealed data");

    // A key that is destroyed without the log saying so is found.
    database.close().await.unwrap();
    town.stop();
    let told = printed(&atena(&["log", "fsck", "--home", town.home_text()]));
    assert!(!told.contains("are gone"), "what was erased is explained: {told}");
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("DELETE FROM person_key WHERE unified_address_number = ?")
        .bind(&left[0].0)
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let checked = atena(&["log", "fsck", "--home", town.home_text()]);
    assert!(printed(&checked).contains("the keys of 1 people are gone"), "{checked:?}");
}
