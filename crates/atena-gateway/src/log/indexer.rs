//! Derives the search index from the log, a little after it has grown: never on the way of a call.

use std::time::Duration;

use atena_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// Leaves indexed at once, about: many, so that those about one person are written together.
const LEAVES_AT_ONCE: u64 = 65_536;

/// Leaves that may wait to be indexed; auditors' questions look through them one by one.
const WAITING_MAX: u64 = 4096;

/// Chunks read at once.
const CHUNKS_AT_ONCE: u32 = 128;

/// How often the index looks whether the log has grown.
const INTERVAL: Duration = Duration::from_secs(1);

/// Indexes until stopped.
pub(super) async fn run(store: Store, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match extend(&store, WAITING_MAX).await {
            Ok(0) => {
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = stop.cancelled() => {}
                }
            }
            Ok(leaves) => tracing::debug!(leaves, "the log's search index was extended"),
            Err(error) => {
                tracing::warn!(%error, "the log's search index was not extended; questions take longer until it is");
                tokio::select! {
                    () = tokio::time::sleep(INTERVAL) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
}

/// Indexes the next leaves if more than `waiting_max` wait, and tells how many.
pub(crate) async fn extend(store: &Store, waiting_max: u64) -> Result<u64, StoreError> {
    let from = store.log_index_size().await?;
    let size = store.log_size().await?;
    if size.saturating_sub(from) <= waiting_max {
        return Ok(0);
    }
    let mut leaves = Vec::new();
    let mut at = from;
    while at < size && at - from < LEAVES_AT_ONCE {
        let chunks = store.log_chunks_from(at, CHUNKS_AT_ONCE).await?;
        let Some(last) = chunks.last().map(|chunk| chunk.first_index + chunk.leaf_count) else { break };
        for chunk in chunks {
            let details = store.log_details(chunk.first_index).await?;
            let people = (chunk.first_index..).zip(details);
            leaves.extend(people.filter_map(|(leaf, details)| Some((details.person?, leaf))));
        }
        at = last;
    }
    let mut transaction = store.begin_write("extend_log_index").await?;
    transaction.extend_log_index(leaves, at).await?;
    transaction.commit().await?;
    Ok(at - from)
}
