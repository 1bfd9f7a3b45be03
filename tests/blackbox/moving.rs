//! Backups, restoring them, and moving to another database: everything arrives and is what was signed, or nothing is there.

use std::process::Output;

use atena_proto::v1;
use atena_test_cluster::Server;

use crate::people::{one_of_each, personal_number, registration};
use crate::town::{Engine, Town, atena, printed};

const TAX: &str = "市都民税賦課業務";

async fn register(town: &Town, people: std::ops::Range<u64>) {
    for one in people {
        for (system, local) in [("pension", format!("P{one}")), ("resident-tax", format!("T{one}"))] {
            let result = town.register(system, registration(&local, Some(&personal_number(one)))).await.unwrap();
            assert!(result.error.is_none());
        }
        let mut records = one_of_each(&format!("P{one}"));
        for record in &mut records {
            record.record_key.push_str(&one.to_string());
        }
        for result in town.push(records).await {
            assert!(result.error.is_none(), "{:?}", result.error.map(|error| error.reason));
        }
    }
}

/// What resident tax gets from a cursor on: person and record bodies, and the next cursor.
async fn pull(town: &Town, cursor: Vec<u8>) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
    let request = v1::PullRecordsRequest {
        request_id: String::new(),
        affair: TAX.to_owned(),
        datasets: vec![v1::Dataset::Qualification.into(), v1::Dataset::Payment.into()],
        cursor,
        page_size: 0,
    };
    let mut stream = town.linkage("resident-tax").pull_records(request).await.unwrap().into_inner();
    let (mut got, mut cursor) = (Vec::new(), Vec::new());
    while let Some(chunk) = stream.message().await.unwrap() {
        for delivery in chunk.deliveries {
            for record in delivery.records {
                got.push((delivery.local_address_number.clone(), record.body.unwrap().bytes().to_vec()));
            }
        }
        cursor = chunk.next_cursor;
    }
    (got, cursor)
}

fn backup(town: &Town, name: &str) -> String {
    let out = town.home().join(name).to_str().unwrap().to_owned();
    let told = printed(&atena(&["backup", "--home", town.home_text(), "--out", &out]));
    assert!(told.contains("person-keys.db"), "{told}");
    out
}

fn restore(town: &Town, from: &str, more: &[&str]) -> Output {
    atena(&[&["restore", "--home", town.home_text(), "--from", from], more].concat())
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sound(town: &Town) {
    let told = printed(&atena(&["log", "fsck", "--home", town.home_text()]));
    assert!(told.contains("sound"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_comes_back_whole() {
    let mut town = Town::start();
    register(&town, 0..4).await;
    let (before, cursor) = pull(&town, Vec::new()).await;
    assert_eq!(before.len(), 8);
    town.stop();
    let now = backup(&town, "backup");
    town.move_to_an_empty_database();
    let told = printed(&restore(&town, &now, &[]));
    assert!(told.contains("the log is the one that was signed"), "{told}");
    sound(&town);
    town.serve();
    assert_eq!(pull(&town, Vec::new()).await.0, before, "the same records, opened with the same keys");
    register(&town, 4..5).await;
    let (since, _) = pull(&town, cursor).await;
    assert!(since.iter().all(|(person, _)| person == "T4") && since.len() == 2, "a cursor from before goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_one_number_a_backup_from_before_is_refused_or_passes_over_what_may_be_lost() {
    let mut town = Town::start();
    register(&town, 0..2).await;
    let making = tokio::task::spawn_blocking({
        let town = town.beside();
        move || backup(&town, "backup")
    });
    let (old, ()) = tokio::join!(making, register(&town, 2..4));
    let old = old.unwrap();
    // Whatever the backup caught of them, there is something that it did not.
    register(&town, 4..5).await;
    let (_, cursor) = pull(&town, Vec::new()).await;
    town.stop();
    let signed = std::fs::read(town.home().join("log.checkpoint")).unwrap();
    town.move_to_an_empty_database();
    let told = refused(&restore(&town, &old, &[]));
    assert!(told.contains("transfers are missing from the backup") && told.contains("--accept-loss"), "{told}");
    let told = printed(&restore(&town, &old, &["--accept-loss"]));
    assert!(told.contains("are lost"), "{told}");
    let aside = std::fs::read_dir(town.home()).unwrap().map(|entry| entry.unwrap().path());
    let aside = aside.filter(|path| path.to_str().unwrap().contains("log.lost-")).collect::<Vec<_>>();
    assert_eq!(std::fs::read(&aside[0]).unwrap(), signed, "the head that tells of them is kept");
    town.serve();
    let again = town.register("pension", registration("P9", Some(&personal_number(9)))).await.unwrap();
    assert!(again.error.is_none());
    let held = town.transfers("method = \"AddressService/RegisterPerson\"").await;
    assert!((5..10).contains(&held.len()), "those of the backup are there, and the new one");
    register(&town, 4..5).await;
    let (since, _) = pull(&town, cursor).await;
    assert!(!since.is_empty(), "changes go on after those that were lost");
    town.stop();
    sound(&town);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_whole_is_not_restored_and_nothing_is_written_over() {
    let mut town = Town::start();
    register(&town, 0..1).await;
    town.stop();
    let made = backup(&town, "backup");
    let told = refused(&restore(&town, &made, &[]));
    assert!(told.contains("the target is not empty"), "{told}");
    let again = atena(&["backup", "--home", town.home_text(), "--out", &made]);
    assert!(refused(&again).contains("is there already"));

    town.move_to_an_empty_database();
    let note = format!("{made}/backup.toml");
    let whole = std::fs::read_to_string(&note).unwrap();
    for (wrong, why) in [
        (whole.replace("132098", "131016"), "is of municipality 131016"),
        (whole.replace("person_keys = 1", "person_keys = 2"), "person-keys.db has 1 rows instead of 2"),
        (whole.replace("log_root = \"", "log_root = \"A"), "its log is not the one that was backed up"),
        (whole.replace("rows = ", "lines = "), "is not a whole backup"),
    ] {
        assert_ne!(wrong, whole);
        std::fs::write(&note, wrong).unwrap();
        let told = refused(&restore(&town, &made, &[]));
        assert!(told.contains(why), "{told}");
    }
    std::fs::write(&note, &whole).unwrap();
    std::fs::rename(format!("{made}/person-keys.db"), format!("{made}/elsewhere")).unwrap();
    assert!(refused(&restore(&town, &made, &[])).contains("person-keys.db is missing"));
    std::fs::rename(format!("{made}/elsewhere"), format!("{made}/person-keys.db")).unwrap();
    printed(&restore(&town, &made, &[]));
    sound(&town);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_moves_to_the_other_engine_and_the_log_goes_on() {
    let mut town = Town::prepare();
    let home = town.home_text().to_owned();
    printed(&atena(&["municipality", "add", "--home", &home, "--municipality", "131016", "--listen", "127.0.0.1:0"]));
    town.serve();
    let neighbour = town.next_municipality();
    neighbour.register("pension", registration("N1", Some(&personal_number(1)))).await.unwrap();
    register(&town, 0..4).await;
    let (before, _) = pull(&town, Vec::new()).await;
    town.stop();
    let from = town.database_url();
    let from = from.strip_prefix("sqlite:").map_or(from.clone(), |file| format!("sqlite://{home}/{file}"));
    let to = match crate::ENGINE {
        Engine::Sqlite => Server::shared().new_database(),
        Engine::Postgres => format!("sqlite://{home}/moved.db"),
    };
    let told = printed(&atena(&["migrate", "--home", &home, "--from", &from, "--to", &to]));
    assert!(told.contains("132098") && told.contains("131016") && told.contains("are the same in both"), "{told}");
    let told = refused(&atena(&["migrate", "--home", &home, "--from", &from, "--to", &to]));
    assert!(told.contains("131016 was not moved: the target is not empty"), "{told}");
    assert!(
        refused(&atena(&["migrate", "--home", &home, "--from", &from, "--to", &from]))
            .contains("both databases are the same")
    );
    let nothing = format!("sqlite://{home}/nothing.db");
    let told = refused(&atena(&["migrate", "--home", &home, "--from", &nothing, "--to", &to]));
    assert!(told.contains("there is no municipality"), "{told}");

    for file in ["atena.toml", "municipalities/131016/atena.toml"] {
        town.change(file, |text| {
            let url = text.lines().find(|line| line.starts_with("database_url")).unwrap().to_owned();
            text.replace(&url, &format!("database_url = \"{to}\""))
        });
    }
    town.serve();
    town.next_municipality();
    assert_eq!(pull(&town, Vec::new()).await.0, before);
    register(&town, 4..5).await;
    town.stop();
    sound(&town);
    assert!(printed(&atena(&["log", "fsck", "--home", neighbour.home_text()])).contains("sound"));
}
