//! What tests of this crate share: a database, keys, days, and leaves. What no test is about is the
//! same in all of them.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use atena_domain::MunicipalityCode;
use atena_ledger::{Direction, Leaf, LeafShape, Outcome, RenderedShape, leaf_hash};
use atena_store::{LogEntry, Store, StoreOptions};
use atena_vault::{KeyFile, KeySource, Vault};
use jiff::Timestamp;

pub(crate) const DAY_S: i64 = 86_400;

/// Day 0 is in January 2027.
pub(crate) fn day(day: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + day * DAY_S).unwrap()
}

pub(crate) fn municipality() -> MunicipalityCode {
    MunicipalityCode::parse("132098").unwrap()
}

/// A new database in a folder.
pub(crate) async fn open_store(folder: &tempfile::TempDir) -> Store {
    let url = format!("sqlite:{}", folder.path().join("atena.db").display());
    Store::open(&StoreOptions::new(&url), municipality()).await.unwrap()
}

/// New keys in a folder.
pub(crate) fn open_vault(folder: &tempfile::TempDir) -> Vault {
    let path = folder.path().join("keys.toml");
    KeyFile::generate(&municipality()).unwrap().write_new(&path).unwrap();
    Vault::open(&KeySource::File(path), &municipality()).unwrap()
}

pub(crate) fn shape(method: &str, system: &str, fields: Vec<String>) -> LeafShape {
    LeafShape {
        direction: Direction::Outbound,
        method: method.to_owned(),
        system: system.to_owned(),
        division: None,
        affair: None,
        rule: None,
        basis: None,
        dataset: None,
        fields,
        policy: [7; 32],
    }
}

/// The leaf of this number, requested and provided at one time.
pub(crate) fn leaf(number: u64, at: Timestamp, outcome: Outcome) -> Leaf {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let (at, hash) = (u64::try_from(at.as_microsecond()).unwrap(), leaf_hash(&id));
    Leaf {
        id,
        requested_us: at,
        provided_us: at,
        outcome,
        reason: None,
        records: 0,
        subject: hash,
        content: hash,
        details: hash,
    }
}

/// A leaf with some details.
pub(crate) fn entry(shape: &Arc<RenderedShape>, leaf: Leaf) -> LogEntry {
    LogEntry::new(Arc::clone(shape), leaf, None, vec![1].into(), &mut Vec::new()).unwrap()
}

/// Appends one leaf in a commit of its own.
pub(crate) async fn append(store: &Store, shape: &LeafShape, leaf: Leaf) {
    let entry = entry(&Arc::new(shape.render().unwrap()), leaf);
    let mut transaction = store.begin_write("test").await.unwrap();
    transaction.append_log(&[entry]).await.unwrap();
    transaction.commit().await.unwrap();
}
