//! The database file itself: who can read it, what stays in it, and how its tables are keyed.
#![allow(clippy::unwrap_used, missing_docs, reason = "these are tests")]

use std::os::unix::fs::PermissionsExt as _;

use atena_domain::MunicipalityCode;
use atena_store::{Store, StoreOptions};
use sqlx::Row as _;
use sqlx::sqlite::SqlitePoolOptions;
use tempfile::TempDir;

async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("atena.db").display());
    let store = Store::open(&StoreOptions::new(&url), MunicipalityCode::parse("132098").unwrap()).await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn the_database_and_its_journal_are_for_their_owner_alone() {
    let (folder, store) = store().await;
    let mut transaction = store.begin_write("something").await.unwrap();
    transaction.issue_unified_numbers(1).await.unwrap();
    transaction.commit().await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert!(seen >= 2, "the database and its write-ahead log");
}

#[tokio::test]
async fn the_write_ahead_log_is_emptied_when_asked_and_at_the_end() {
    let (folder, store) = store().await;
    let wal = folder.path().join("atena.db-wal");
    let mut transaction = store.begin_write("something").await.unwrap();
    transaction.issue_unified_numbers(1).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(std::fs::metadata(&wal).unwrap().len() > 0);
    store.truncate_wal().await.unwrap();
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0, "nothing erased stays in the journal");
    store.close().await;
    assert!(std::fs::metadata(&wal).map_or(0, |wal| wal.len()) == 0);
}

#[tokio::test]
async fn municipality_apart_every_key_and_every_unique_index_leads_with_the_municipality() {
    let (folder, store) = store().await;
    store.close().await;
    let url = format!("sqlite:{}", folder.path().join("atena.db").display());
    let pool = SqlitePoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let tables = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert!(tables.len() >= 15, "{}", tables.len());
    for table in tables {
        let table: String = table.get(0);
        let key = sqlx::query("SELECT name FROM pragma_table_info(?) WHERE pk = 1").bind(&table).fetch_one(&pool).await;
        assert_eq!(key.unwrap().get::<String, _>(0), "municipality_code", "primary key of {table}");
        let indexes = sqlx::query("SELECT name FROM pragma_index_list(?)").bind(&table).fetch_all(&pool).await.unwrap();
        for index in indexes {
            let index: String = index.get(0);
            let first = sqlx::query("SELECT name FROM pragma_index_info(?) WHERE seqno = 0").bind(&index);
            let first: String = first.fetch_one(&pool).await.unwrap().get(0);
            assert_eq!(first, "municipality_code", "index {index} of {table}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_of_this_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    std::fs::write(&path, b"this is not a database, it is a letter").unwrap();
    let municipality = MunicipalityCode::parse("132098").unwrap();
    let refused = Store::open(&StoreOptions::new(format!("sqlite:{}", path.display())), municipality.clone())
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("can't be opened"), "{refused}");
}
