//! Whoever changes an older leaf, which a start checks by its stored hash alone, is found out all the same (*tamper-evident*).
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::ops::Range;
use std::sync::Arc;

use atena_ledger::Outcome;
use atena_store::Log;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use super::*;
use crate::log::head::sign;
use crate::test_town::{day, entry, leaf, municipality, open_store, open_vault, shape};

/// Leaves of each commit, signed or not: heads within tiles of 256, at their ends, and none for some tiles.
const COMMITS: [(u64, bool); 7] =
    [(100, true), (156, true), (512, false), (300, false), (7, true), (512, false), (413, true)];
const SIZE: u64 = 2000;

/// The newest leaves of the tests' log: the others are checked by their stored hashes.
const NEWEST: Depth<'static> = Depth::Newest(200);

/// A log in a database of its own.
struct Town {
    folder: tempfile::TempDir,
    store: Store,
    keys: LogKeys,
}

impl Town {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (municipality, vault) = (municipality(), open_vault(&folder));
        let store = open_store(&folder).await;
        let shape = shape("LinkageService/PullRecords", "resident-tax", Vec::new());
        let shape = Arc::new(shape.render().unwrap());
        let mut number = 0;
        for (leaves, signed) in COMMITS {
            let of_number = |number| entry(&shape, leaf(number, day(0), Outcome::Released));
            let entries: Vec<_> = (number..number + leaves).map(of_number).collect();
            number += leaves;
            let mut transaction = store.begin_write("test").await.unwrap();
            transaction.append_log(&entries).await.unwrap();
            if signed {
                sign(&mut transaction, &vault, &municipality, false).await.unwrap();
            }
            transaction.commit().await.unwrap();
        }
        let keys = LogKeys::of(Log::Transfers, &municipality, &vault).unwrap();
        Self { folder, store, keys }
    }

    /// What somebody with the database's password does.
    async fn tamper(&self, sql: &str) {
        let file = format!("sqlite:{}", self.folder.path().join("atena.db").display());
        let mut connection = SqliteConnection::connect(&file).await.unwrap();
        for trigger in ["log_chunk_is_never_changed", "log_chunk_is_never_deleted"] {
            sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {trigger}"))).execute(&mut connection).await.unwrap();
        }
        let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
        connection.close().await.unwrap();
    }

    /// Puts other stored hashes in the place of those of some leaves of one chunk.
    async fn replace_hashes(&self, chunk: u64, leaves: Range<u64>, hashes: &str) {
        let (start, end) = (32 * (leaves.start - chunk) + 1, 32 * (leaves.end - chunk) + 1);
        self.tamper(&format!(
            "UPDATE log_chunk SET hashes = CAST(substr(hashes, 1, {start} - 1) || {hashes} || substr(hashes, {end}) AS BLOB) \
             WHERE first_index = {chunk}"
        ))
        .await;
    }

    async fn check(&self, depth: Depth<'_>) -> Fsck {
        fsck(&self.store, &self.keys, &self.folder.path().join("log.checkpoint"), depth, |_, _| {}).await.unwrap()
    }
}

#[tokio::test]
async fn tamper_evident_a_sound_log_is_sound_however_much_of_it_is_recomputed() {
    let town = Town::new().await;
    for newest in [0, 1, 200, 1400, SIZE, u64::MAX] {
        let sound = Fsck { size: SIZE, checkpoints: 4, keys_gone: 0, findings: Vec::new() };
        assert_eq!(town.check(Depth::Newest(newest)).await, sound, "{newest}");
    }
}

#[tokio::test]
async fn tamper_evident_a_changed_hash_is_found_by_the_first_signed_head_over_it() {
    let town = Town::new().await;
    // A head of 100 leaves was signed, in the middle of their tile.
    town.replace_hashes(0, 10..11, "zeroblob(32)").await;
    let findings = town.check(NEWEST).await.findings;
    assert_eq!(findings[0], Finding::SignedHeadDiffers { from: 0, to: 99 });
    assert_eq!(findings, town.check(Depth::Newest(0)).await.findings);
}

#[tokio::test]
async fn tamper_evident_a_changed_hash_in_a_tile_without_signed_heads_is_found_by_the_node_above() {
    let town = Town::new().await;
    town.replace_hashes(256, 300..301, "zeroblob(32)").await;
    let next_head = Finding::SignedHeadDiffers { from: 256, to: 1074 };
    let findings = town.check(NEWEST).await.findings;
    assert_eq!(findings[..2], [Finding::NodeDiffers { from: 256, to: 511 }, next_head]);
}

#[tokio::test]
async fn tamper_evident_older_leaves_that_changed_places_are_found() {
    let town = Town::new().await;
    let (one, other) = (32 * (600 - 256) + 1, 32 * (601 - 256) + 1);
    let swapped = format!("substr(hashes, {other}, 32) || substr(hashes, {one}, 32)");
    town.replace_hashes(256, 600..602, &swapped).await;
    assert_eq!(town.check(NEWEST).await.findings[0], Finding::NodeDiffers { from: 512, to: 767 });
}

#[tokio::test]
async fn tamper_evident_a_changed_node_above_older_leaves_is_found() {
    let town = Town::new().await;
    town.tamper("UPDATE log_tile SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE level = 1").await;
    assert_eq!(town.check(NEWEST).await.findings, [Finding::NodeDiffers { from: 0, to: 255 }]);
}

#[tokio::test]
async fn tamper_evident_a_chunk_of_older_leaves_that_is_gone_is_named() {
    let town = Town::new().await;
    town.tamper("DELETE FROM log_chunk WHERE first_index = 768").await;
    assert_eq!(town.check(NEWEST).await.findings, [Finding::LeafMissing(768)]);
}

#[tokio::test]
async fn tamper_evident_a_hash_that_is_cut_off_the_end_of_an_older_chunk_is_named() {
    let town = Town::new().await;
    town.replace_hashes(256, 767..768, "zeroblob(0)").await;
    assert_eq!(town.check(NEWEST).await.findings[0], Finding::LeafChanged(767));
}
