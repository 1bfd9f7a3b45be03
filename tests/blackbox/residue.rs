//! What an erasure leaves in PostgreSQL, its files and write-ahead log included, and what takes the rest away.

use std::path::Path;

use atena_domain::{MunicipalityCode, UnifiedAddressNumber};
use atena_proto::v1;
use atena_proto::v1::pushed_record::Body;
use atena_store::{Store, StoreOptions};
use atena_test_cluster::{Cluster, Server};
use sqlx::{Connection as _, PgConnection};

use crate::erasure::{ERASED, PEOPLE, fill, index, list, number};
use crate::people::{qualification, record};
use crate::town::{Town, atena, printed};

/// Every file below a folder, one after the other; what vanishes meanwhile is gone.
fn content(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.extend(std::fs::read(path).unwrap_or_default());
        }
    }
    all
}

/// Which of many values are somewhere in a content, found in one pass.
fn found(content: &[u8], values: &[Vec<u8>]) -> Vec<bool> {
    let mut by_beginning: Vec<Vec<usize>> = vec![Vec::new(); 1 << 16];
    for (number, value) in values.iter().enumerate() {
        by_beginning[usize::from(u16::from_be_bytes([value[0], value[1]]))].push(number);
    }
    let mut found = vec![false; values.len()];
    for (at, beginning) in content.windows(2).enumerate() {
        for number in &by_beginning[usize::from(u16::from_be_bytes([beginning[0], beginning[1]]))] {
            found[*number] |= content[at..].starts_with(&values[*number]);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_indexes_of_the_erased_are_in_no_file_once_the_write_ahead_log_is_switched() {
    // Segments of the write-ahead log that are not needed any more are removed, not kept for the next use.
    let cluster = Cluster::start(&["wal_recycle=off"]);
    cluster.sql("postgres", "CREATE DATABASE town");
    let mut town = Town::prepare();
    let before = town.database_url();
    town.change("atena.toml", |text| text.replace(&before, &cluster.url("town")));
    town.serve();
    fill(&town).await;
    let keys: toml::Table = std::fs::read_to_string(town.home().join("keys.toml")).unwrap().parse().unwrap();
    let mut database = PgConnection::connect(&cluster.url("town")).await.unwrap();
    let wrapped: Vec<(Vec<u8>,)> =
        sqlx::query_as("SELECT wrapped_key FROM person_key").fetch_all(&mut database).await.unwrap();
    let data = cluster.sql("postgres", "SHOW data_directory");
    let files = |folder: &str| content(&Path::new(data.trim()).join(folder));
    let indexes: Vec<_> = (0..PEOPLE).map(|person| index(&keys, &number(person)).to_vec()).collect();
    let wrapped: Vec<_> = wrapped.into_iter().map(|(key,)| key).collect();
    let erased = usize::try_from(ERASED).unwrap();
    // How many of the erased and of the others are linked by their indexes, and how many wrapped keys are there.
    let residue = |files: &[u8]| {
        let linked = found(files, &indexes);
        let count = |of: &[bool]| of.iter().filter(|found| **found).count();
        (count(&linked[..erased]), count(&linked[erased..]), count(&found(files, &wrapped)))
    };

    printed(&atena(&["erase", "--home", town.home_text(), "--list", &list(&town), "--order", "第1号", "--yes"]));
    cluster.sql("postgres", "CHECKPOINT");
    assert_eq!(residue(&files("base")), (0, 100, 100), "the tables are written anew");
    let (linked, _, there) = residue(&files("pg_wal"));
    assert!(linked > 0 && there > 100, "the control: the write-ahead log has them");

    // What docs/operations.md asks of whoever administers the server.
    cluster.sql("town", "SELECT pg_switch_wal()");
    cluster.sql("town", "CHECKPOINT");
    assert_eq!(residue(&files("")), (0, 100, 100), "a number links somebody who was erased, or a wrapped key is left");
}

/// A chunk finds its people before its turn. Where one of them is erased in between, nothing about them is stored.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_of_somebody_who_was_erased_while_the_chunk_waited_for_its_turn() {
    let town = Town::start();
    fill(&town).await;
    let url = town.database_url();
    let person = Server::sql(
        &url,
        "SELECT unified_address_number FROM link \
         WHERE municipality_code = '132098' AND system_id = 'pension' AND local_address_number = 'P1'",
    );
    let store = Store::open(&StoreOptions::new(&url), MunicipalityCode::parse("132098").unwrap()).await.unwrap();
    let mut turn = store.begin_write("erase").await.unwrap();
    let pushed = town.push(vec![
        record("P1", "Q-1", 3, Body::Qualification(qualification())),
        record("P1", "Q-new", 1, Body::Qualification(qualification())),
        record("P2", "Q-2", 3, Body::Qualification(qualification())),
    ]);
    let erased = async {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while tokio::task::block_in_place(|| Server::sql(&url, waits)) == "0" {
            tokio::task::yield_now().await;
        }
        turn.erase_person(&UnifiedAddressNumber::parse_issued(&person).unwrap()).await.unwrap();
        turn.commit().await.unwrap();
    };
    let (results, ()) = tokio::join!(pushed, erased);

    let told: Vec<_> = results.iter().map(|result| result.error.as_ref().map(|error| error.reason.as_str())).collect();
    assert_eq!(told, [Some("LOCAL_NUMBER_NOT_LINKED"), Some("LOCAL_NUMBER_NOT_LINKED"), None]);
    assert_eq!(results[2].outcome(), v1::PushOutcome::Stored);
    let left = format!(
        "SELECT count(*) FROM record WHERE municipality_code = '132098' AND unified_address_number = '{person}'"
    );
    assert_eq!(Server::sql(&url, &left), "0", "a record of somebody who was erased");
}
