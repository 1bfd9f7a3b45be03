//! Keys are rotated while a gateway serves, also when the rotation is killed: nobody is looked up in vain, and nobody becomes two.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use atena_proto::v1;

use crate::people::{personal_number, registration};
use crate::town::{Town, atena, printed};

/// People who are there before.
const PEOPLE: u64 = 600;

fn number(person: u64) -> String {
    personal_number(8_000_000_000 + 17 * person)
}

async fn register(town: &Town, system: &str, prefix: &str, people: std::ops::Range<u64>) -> Vec<i32> {
    let persons = |person| registration(&format!("{prefix}{person}"), Some(&number(person)));
    let chunk = v1::RegisterPersonsRequest { request_id: String::new(), registrations: people.map(persons).collect() };
    let mut client = town.address_service(system);
    let mut answers = client.register_persons(tokio_stream::once(chunk)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert!(answers.message().await.unwrap().is_none());
    answer.results.into_iter().map(|result| if result.error.is_some() { -1 } else { result.outcome }).collect()
}

/// Starts a rotation and kills it once it has begun.
fn begin_and_kill(town: &Town, key: &str) {
    let keys = town.home().join("keys.toml");
    let before = std::fs::read(&keys).unwrap();
    let mut rotation = Command::new(env!("CARGO_BIN_EXE_atena"))
        .args(["keys", "rotate", "--home", town.home_text(), "--key", key])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while std::fs::read(&keys).is_ok_and(|now| now == before) {
        assert!(rotation.try_wait().unwrap().is_none(), "it ended without a new key");
    }
    rotation.kill().unwrap();
    rotation.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_under_load_after_a_kill_and_nobody_is_looked_up_in_vain() {
    let mut town = Town::start();
    let issued = v1::RegistrationOutcome::Issued as i32;
    let (linked, unchanged) = (v1::RegistrationOutcome::Linked as i32, v1::RegistrationOutcome::Unchanged as i32);
    let outcomes = register(&town, "pension", "P", 0..PEOPLE).await;
    assert!(outcomes.iter().all(|outcome| *outcome == issued));
    let second = Arc::new(town.another_gateway());
    let old = std::fs::read_to_string(town.home().join("keys.toml")).unwrap();

    // Through two gateways, all the time: people who are known are found by their numbers, and new ones are added once.
    let over = Arc::new(AtomicBool::new(false));
    let (known, added) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let first = Arc::new(town.beside());
    let load = [(Arc::clone(&first), "resident-tax", "T"), (Arc::clone(&second), "public-assistance", "A")].map(
        |(town, system, prefix)| {
            let (over, known, added) = (Arc::clone(&over), Arc::clone(&known), Arc::clone(&added));
            tokio::spawn(async move {
                let mut at = 0;
                while !over.load(Ordering::Relaxed) {
                    let (from, expected) = (at % PEOPLE, if at < PEOPLE { linked } else { unchanged });
                    let outcomes = register(&town, system, prefix, from..from + 5).await;
                    assert_eq!(outcomes, vec![expected; 5], "{system} looked for {from} in vain");
                    known.fetch_add(5, Ordering::Relaxed);
                    let (mine, place) = (added.fetch_add(1, Ordering::Relaxed), 100_000);
                    let outcomes = register(&town, "pension", "P", place + mine..place + mine + 1).await;
                    assert_eq!(outcomes, vec![issued]);
                    at += 5;
                }
            })
        },
    );
    for key in ["blind-index", "wrapping"] {
        begin_and_kill(&town, key);
        let status = atena(&["keys", "status", "--home", town.home_text()]);
        assert_eq!(status.status.code(), Some(2), "{}", String::from_utf8_lossy(&status.stdout));
        let done = printed(&atena(&["keys", "rotate", "--home", town.home_text(), "--key", key]));
        assert!(done.contains("the older key is destroyed"), "{done}");
    }
    over.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    assert!(known.load(Ordering::Relaxed) > 0);

    let status = printed(&atena(&["keys", "status", "--home", town.home_text(), "--json"]));
    let rows = PEOPLE + added.load(Ordering::Relaxed);
    let mut of_rows = status.lines().filter(|line| !line.contains("\"kind\":\"log\""));
    assert_eq!(of_rows.clone().count(), 2, "{status}");
    assert!(of_rows.all(|line| line.contains(&format!("\"rows\":{rows}"))), "{rows}: {status}");
    let new = std::fs::read_to_string(town.home().join("keys.toml")).unwrap();
    for section in ["[[wrapping]]", "[[blind_index]]"] {
        let key = |text: &str| {
            let rest = &text[text.find(section).unwrap()..];
            rest.lines().find(|line| line.starts_with("key = ")).unwrap().to_owned()
        };
        assert!(!new.contains(&key(&old)), "the old key is gone");
    }

    // One person, one number: everybody is found under the new keys, by gateways that were there and by one that starts now.
    assert_eq!(register(&town, "welfare", "W", 0..100).await, vec![linked; 100]);
    drop((first, second));
    town.stop();
    town.serve();
    assert_eq!(register(&town, "welfare", "W", 100..PEOPLE).await, vec![linked; 500]);
    assert!(register(&town, "pension", "P", 0..PEOPLE).await.iter().all(|outcome| *outcome == unchanged));
    town.stop();
    printed(&atena(&["log", "fsck", "--home", town.home_text()]));
}
