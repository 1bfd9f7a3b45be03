//! The transfer log in the database: one tree, whatever the size of the commits and however many
//! stores commit.

use std::sync::Arc;

use atena_domain::UnifiedAddressNumber;
use atena_ledger::{
    Direction, Frontier, Hash, Leaf, LeafShape, Outcome, RenderedShape, inclusion_nodes, inclusion_proof, leaf_hash,
    root_nodes, tree_root, verify_inclusion,
};
use atena_store::{Log, LogEntry, Store, StoreError, StoredCheckpoint, StoredLogKey};
use jiff::Timestamp;
use uuid::Uuid;

use crate::Database;

fn shape(system: &str) -> Arc<RenderedShape> {
    let shape = LeafShape {
        direction: Direction::Outbound,
        method: "LinkageService/GetRecords".into(),
        system: system.into(),
        division: None,
        affair: None,
        rule: None,
        basis: None,
        dataset: None,
        fields: Vec::new(),
        policy: [0; 32],
    };
    Arc::new(shape.render().unwrap())
}

fn leaf(number: u64) -> (Arc<RenderedShape>, Leaf) {
    let leaf = Leaf {
        id: *Uuid::from_u64_pair(number, 7).as_bytes(),
        // Every third one is from a clock that was set back.
        requested_us: if number.is_multiple_of(3) { 5 } else { 1000 + number },
        provided_us: 2000 + number,
        outcome: Outcome::Released,
        reason: None,
        records: number,
        subject: Hash([1; 32]),
        content: Hash([2; 32]),
        details: Hash([3; 32]),
    };
    (shape(if number.is_multiple_of(2) { "a" } else { "b" }), leaf)
}

fn entry(number: u64) -> LogEntry {
    let (shape, leaf) = leaf(number);
    LogEntry::new(shape, leaf, person(number), vec![0xdd; 20].into(), &mut Vec::new()).unwrap()
}

fn person(number: u64) -> Option<UnifiedAddressNumber> {
    UnifiedAddressNumber::from_body(1 + number % 5).ok()
}

/// The hash of a leaf's own text, taken by itself.
fn hash(number: u64) -> Hash {
    let ((shape, leaf), mut text) = (leaf(number), Vec::new());
    leaf.encode(&shape, &mut text).unwrap();
    leaf_hash(&text)
}

pub(crate) async fn append(store: &Store, from: u64, count: u64) -> u64 {
    let entries: Vec<_> = (from..from + count).map(entry).collect();
    let mut transaction = store.begin_write("append").await.unwrap();
    let first = transaction.append_log(&entries).await.unwrap();
    transaction.commit().await.unwrap();
    first
}

async fn tamper_evident_the_stored_tree_is_the_tree_of_the_leaves_for_commits_of_every_size(database: Database) {
    let store = database.open("132098").await;
    let mut tree = Frontier::empty();
    let mut leaves = Vec::new();
    for count in [1, 1, 2, 250, 3, 255, 256, 257, 700, 1, 40_000, 30_000] {
        let from = tree.size();
        assert_eq!(append(&store, from, count).await, from);
        for number in from..from + count {
            let hash = hash(number);
            leaves.push(hash);
            tree.push(hash, |_, _, _| {});
        }
        let size = tree.size();
        assert_eq!(store.log_size().await.unwrap(), size);
        let nodes = store.log_nodes(&root_nodes(size)).await.unwrap();
        let root = tree_root(size, |level, index| nodes.get(&(level, index)).copied().ok_or(())).unwrap();
        assert_eq!(root, tree.root(), "{size}");
        for index in [0, size / 3, size / 2, size - 1] {
            let nodes = store.log_nodes(&inclusion_nodes(index, size)).await.unwrap();
            let proof =
                inclusion_proof(index, size, |level, index| nodes.get(&(level, index)).copied().ok_or(())).unwrap();
            verify_inclusion(index, size, &leaves[usize::try_from(index).unwrap()], &proof, &root).unwrap();
        }
    }
    let (mut from, mut stored) = (0, Vec::new());
    while from < tree.size() {
        for (first, hashes) in store.log_hashes_from(from, 7).await.unwrap() {
            assert_eq!(first, from);
            from += u64::try_from(hashes.len()).unwrap();
            stored.extend(hashes);
        }
    }
    assert_eq!(stored, leaves);
    assert!(store.log_hashes_from(from, 7).await.unwrap().is_empty());
}

async fn a_log_whose_tree_is_damaged_is_not_added_to(database: Database) {
    let store = database.open("132098").await;
    append(&store, 0, 512).await;
    for damage in ["UPDATE log_tile SET hashes = SUBSTR(hashes, 2)", "DELETE FROM log_tile"] {
        database.change(damage).await.unwrap();
        let entries: Vec<_> = (512..800).map(entry).collect();
        let mut transaction = store.begin_write("append").await.unwrap();
        let refused = transaction.append_log(&entries).await;
        assert!(matches!(refused, Err(StoreError::Corrupt { table: "log_tile" })), "{damage}");
    }
    assert_eq!(store.log_size().await.unwrap(), 512);
}

async fn a_transaction_that_is_dropped_leaves_no_leaf_behind(database: Database) {
    let store = database.open("132098").await;
    append(&store, 0, 10).await;
    let mut dropped = store.begin_write("dropped").await.unwrap();
    dropped.append_log(&[entry(10), entry(11)]).await.unwrap();
    drop(dropped);
    assert_eq!(append(&store, 10, 5).await, 10);
    assert_eq!(store.log_size().await.unwrap(), 15);
}

async fn two_writers_on_one_database_make_one_log_without_gap(database: Database) {
    let (one, two) = (database.open("132098").await, database.open("132098").await);
    let work = |store: Store| async move {
        for number in 0..60 {
            append(&store, number * 7, 1 + number % 9).await;
        }
    };
    tokio::join!(work(one.clone()), work(two));
    let mut expected = 0;
    while expected < one.log_size().await.unwrap() {
        for chunk in one.log_chunks_from(expected, 50).await.unwrap() {
            assert_eq!(chunk.first_index, expected);
            expected += chunk.leaf_count;
        }
    }
    assert_eq!(expected, 2 * (0..60).map(|number| 1 + number % 9).sum::<u64>());
}

async fn leaves_are_found_by_their_ids_and_places_though_a_clock_was_set_back(database: Database) {
    let store = database.open("132098").await;
    append(&store, 0, 300).await;
    append(&store, 300, 2).await;
    append(&store, 302, 600).await;
    for number in [0, 1, 299, 300, 301, 302, 813, 814, 901] {
        let (chunk, place) = store.log_chunk_of(Uuid::from_u64_pair(number, 7)).await.unwrap().unwrap();
        assert_eq!(chunk.first_index + u64::try_from(place).unwrap(), number);
        let from = store.log_chunks_from(number, 1).await.unwrap();
        assert!((from[0].first_index..from[0].first_index + from[0].leaf_count).contains(&number));
        assert_eq!(store.log_details(chunk.first_index).await.unwrap()[place].person, person(number));
        let (first, people) = &store.log_people_from(number, 1).await.unwrap()[0];
        assert_eq!((*first, &people[place]), (chunk.first_index, &person(number)));
    }
    assert!(store.log_chunk_of(Uuid::from_u64_pair(5, 8)).await.unwrap().is_none());
}

async fn tamper_evident_one_size_has_one_signed_head(database: Database) {
    let store = database.open("132098").await;
    let head = |root: u8| StoredCheckpoint { size: 5, root: Hash([root; 32]), note: "note".into() };
    let mut transaction = store.begin_write("sign").await.unwrap();
    transaction.insert_checkpoint(&head(1), Timestamp::UNIX_EPOCH).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = store.begin_write("sign").await.unwrap();
    let refused = transaction.insert_checkpoint(&head(2), Timestamp::UNIX_EPOCH).await;
    assert!(matches!(refused, Err(StoreError::Constraint(_))));
    drop(transaction);
    assert_eq!(store.newest_checkpoint().await.unwrap(), Some(head(1)));
}

pub(crate) fn log_key(version: u32) -> StoredLogKey {
    let public_key = [version.try_into().unwrap(); 32];
    StoredLogKey { version, public_key, since: Timestamp::UNIX_EPOCH, until: None }
}

/// The two logs of a municipality know nothing of each other, though they are in one database.
async fn the_admin_log_grows_beside_the_transfer_log_and_neither_shows_in_the_other(database: Database) {
    let store = database.open("132098").await;
    let admin = store.about_log(Log::Administration);
    assert_eq!(admin.log_size().await.unwrap(), 0);
    append(&store, 0, 3).await;
    assert_eq!(append(&admin, 100, 700).await, 0);
    append(&store, 3, 1).await;
    assert_eq!(append(&admin, 800, 1).await, 700);
    assert_eq!((store.log_size().await.unwrap(), admin.log_size().await.unwrap()), (4, 701));
    let first = |chunks: Vec<atena_store::StoredChunk>| chunks[0].leaves().unwrap().leaves().next().unwrap().1.records;
    assert_eq!(first(store.log_chunks_from(0, 1).await.unwrap()), 0);
    assert_eq!(first(admin.log_chunks_from(0, 1).await.unwrap()), 100);
    assert_eq!(admin.log_details(0).await.unwrap().len(), 512);
    assert_eq!((admin.log_tile(1, 0).await.unwrap().len(), store.log_tile(1, 0).await.unwrap().len()), (2, 0));
    let head = |size: u64| StoredCheckpoint { size, root: Hash([1; 32]), note: format!("head of {size}") };
    for (store, size) in [(&store, 4), (&admin, 701)] {
        let mut transaction = store.begin_write("sign").await.unwrap();
        assert_eq!(transaction.log_frontier().await.unwrap().size(), size);
        transaction.insert_checkpoint(&head(size), Timestamp::UNIX_EPOCH).await.unwrap();
        transaction.thin_out_checkpoints().await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(store.newest_checkpoint().await.unwrap(), Some(head(size)));
        assert_eq!(store.checkpoints_from(0, 9).await.unwrap(), [head(size)]);
    }
    store.close().await;
    for statement in ["UPDATE admin_log_chunk SET leaf_count = 2", "DELETE FROM admin_log_chunk"] {
        let refused = database.change(statement).await.unwrap_err();
        assert!(refused.contains("the admin log is never"), "{statement}: {refused}");
    }
    if database.is_postgres() {
        assert!(database.change("TRUNCATE admin_log_chunk").await.unwrap_err().contains("the admin log is never"));
    }
}

async fn which_keys_sign_is_kept_until_they_sign_no_more(database: Database) {
    let store = database.open("132098").await;
    assert_eq!(store.log_keys().await.unwrap(), []);
    let ended = StoredLogKey { until: Some(Timestamp::from_second(9).unwrap()), ..log_key(1) };
    for key in [log_key(1), log_key(2), ended.clone()] {
        let mut transaction = store.begin_write("keys").await.unwrap();
        transaction.set_log_key(&key).await.unwrap();
        transaction.commit().await.unwrap();
    }
    assert_eq!(store.log_keys().await.unwrap(), [ended, log_key(2)]);
    assert_eq!(database.open("131016").await.log_keys().await.unwrap(), [], "municipality-apart");
}

async fn the_log_is_only_ever_added_to(database: Database) {
    let store = database.open("132098").await;
    append(&store, 0, 3).await;
    store.close().await;
    for statement in
        ["UPDATE log_chunk SET leaf_count = 2", "DELETE FROM log_chunk", "DELETE FROM log_chunk WHERE leaf_count > 0"]
    {
        let refused = database.change(statement).await.unwrap_err();
        assert!(refused.contains("the transfer log is never"), "{statement}: {refused}");
    }
    if database.is_postgres() {
        assert!(database.change("TRUNCATE log_chunk").await.unwrap_err().contains("the transfer log is never"));
    }
}

crate::on_both_engines!(
    tamper_evident_the_stored_tree_is_the_tree_of_the_leaves_for_commits_of_every_size,
    a_log_whose_tree_is_damaged_is_not_added_to,
    a_transaction_that_is_dropped_leaves_no_leaf_behind,
    two_writers_on_one_database_make_one_log_without_gap,
    leaves_are_found_by_their_ids_and_places_though_a_clock_was_set_back,
    tamper_evident_one_size_has_one_signed_head,
    the_log_is_only_ever_added_to,
    the_admin_log_grows_beside_the_transfer_log_and_neither_shows_in_the_other,
    which_keys_sign_is_kept_until_they_sign_no_more,
);
