//! The log in the layout that standard tools read (c2sp.org/tlog-tiles): signed head, tiles of hashes, bundles of entries.

use atena_ledger::{TileKind, TilePath, encode_bundle};
use atena_store::{Store, StoreError};

use super::damaged;
use crate::error::CallError;

/// The content of one tile; `None` where the log does not reach that far.
pub(crate) async fn tile(store: &Store, path: &TilePath) -> Result<Option<Vec<u8>>, CallError> {
    let width = usize::from(path.width);
    match path.kind {
        TileKind::Hashes(level) => {
            let hashes = store.log_tile(level, path.index).await?;
            Ok(hashes.get(..width).map(|hashes| hashes.iter().flat_map(|hash| hash.0).collect()))
        }
        TileKind::Entries => {
            let entries = entries(store, path.index * 256, u64::from(path.width)).await?;
            let Some(entries) = entries else { return Ok(None) };
            encode_bundle(entries.iter().map(Vec::as_slice)).map(Some).map_err(|_| damaged())
        }
    }
}

/// Leaves `from` to `from + count`, as their own text; `None` where they are not all there.
async fn entries(store: &Store, from: u64, count: u64) -> Result<Option<Vec<Vec<u8>>>, CallError> {
    let mut entries = Vec::new();
    let mut at = from;
    while at < from + count {
        let chunks = store.log_chunks_from(at, 8).await?;
        if chunks.first().is_none_or(|chunk| chunk.first_index > at) {
            return Ok(None);
        }
        for chunk in chunks {
            let leaves = chunk.leaves().map_err(|_: StoreError| damaged())?;
            for (index, (shape, leaf)) in (chunk.first_index..).zip(leaves.leaves()) {
                if (at..from + count).contains(&index) {
                    let mut text = Vec::new();
                    leaf.encode(shape, &mut text).map_err(|_| damaged())?;
                    entries.push(text);
                }
            }
            at = at.max(chunk.first_index + chunk.leaf_count);
        }
    }
    Ok(Some(entries))
}
