//! Derives the search index from the log, once it rests: never on the way of a call, and not while a nightly pull needs the machine.

use std::time::Duration;

use atena_domain::UnifiedAddressNumber;
use atena_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// Leaves indexed at once, about: many, so that those about one person are written together.
const LEAVES_AT_ONCE: u64 = 65_536;

/// Leaves that may wait to be indexed; auditors' questions look through them one by one.
const WAITING_MAX: u64 = 4096;

/// Leaves that may wait while the log grows fast: those of a full pull of the largest municipality there is (3.8 million people). An auditor's
/// question looks through a million in three seconds.
const WAITING_WHILE_GROWING_MAX: u64 = 4_000_000;

/// Leaves in one interval from which on the log grows fast.
const GROWING_FAST: u64 = 1000;

/// Entries written in one turn, so that calls that have to be logged wait for milliseconds.
const ENTRIES_OF_TURN: usize = 4096;

/// Chunks read at once: a hundred bytes and more for each of their leaves.
const CHUNKS_AT_ONCE: u32 = 16;

/// How often the index looks whether the log has grown.
const INTERVAL: Duration = Duration::from_secs(1);

/// Indexes until stopped.
pub(super) async fn run(store: Store, stop: CancellationToken) {
    let mut seen = 0;
    while !stop.is_cancelled() {
        match step(&store, &mut seen).await {
            Ok(0) => rest(&stop).await,
            Ok(leaves) => tracing::debug!(leaves, "the log's search index was extended"),
            Err(error) => {
                tracing::warn!(%error, "the log's search index was not extended; questions take longer until it is");
                rest(&stop).await;
            }
        }
    }
}

async fn rest(stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(INTERVAL) => {}
        () = stop.cancelled() => {}
    }
}

/// Indexes the next leaves, unless the log has grown fast since it was last `seen`; tells how many.
async fn step(store: &Store, seen: &mut u64) -> Result<u64, StoreError> {
    let size = store.log_size().await?;
    let grown = size.saturating_sub(std::mem::replace(seen, size));
    let waiting_max = if grown > GROWING_FAST { WAITING_WHILE_GROWING_MAX } else { WAITING_MAX };
    extend(store, waiting_max).await
}

/// Indexes the next leaves if more than `waiting_max` wait, and tells how many.
pub(crate) async fn extend(store: &Store, waiting_max: u64) -> Result<u64, StoreError> {
    let from = store.log_index_size().await?;
    let size = store.log_size().await?;
    if size.saturating_sub(from) <= waiting_max {
        return Ok(0);
    }
    let mut leaves: Vec<(UnifiedAddressNumber, u64)> = Vec::new();
    let mut at = from;
    while at < size && at - from < LEAVES_AT_ONCE {
        let before = at;
        for (first, people) in store.log_people_from(at, CHUNKS_AT_ONCE).await? {
            let end = first + people.len() as u64;
            // A leaf that the index passed over would be found by nobody.
            if !(first..=end).contains(&at) {
                return Err(StoreError::Corrupt { table: "log_details" });
            }
            at = end;
            leaves.extend((first..).zip(people).filter_map(|(leaf, person)| Some((person?, leaf))));
        }
        if at == before {
            break;
        }
    }
    // Sorted by person, so that neighbours are written together.
    leaves.sort_unstable();
    let mut turns = leaves.chunks(ENTRIES_OF_TURN).peekable();
    loop {
        let entries = turns.next().unwrap_or_default();
        // Begun anew after a crash: what is there already stays.
        let reach = if turns.peek().is_none() { at } else { from };
        let mut transaction = store.begin_write("extend_log_index").await?;
        transaction.extend_log_index(entries, reach).await?;
        transaction.commit().await?;
        if reach == at {
            return Ok(at - from);
        }
    }
}
