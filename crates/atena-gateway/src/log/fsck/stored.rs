//! The older leaves of a log, by their stored hashes: what a start spends most of its time on. The next are read while all cores hash.

use std::sync::Arc;

use atena_ledger::{Hash, TILE_WIDTH, perfect_root};
use atena_store::StoreError;
use tokio::task::spawn_blocking;

use super::{Check, TILE_LEVEL, cores};

/// Chunks whose hashes are read at once: at most 8 MiB of them.
const CHUNKS_AT_ONCE: u32 = 512;

/// Hashes of leaves that follow each other.
struct Run {
    first: u64,
    leaves: Arc<Vec<Hash>>,
}

// === impl Run ===

impl Run {
    /// Those of the chunks that follow each other from leaf `first` on, and end by `until`.
    fn of(first: u64, chunks: Vec<(u64, Vec<Hash>)>, until: u64) -> Self {
        let mut end = first;
        let in_order = chunks.into_iter().map_while(|(start, hashes)| {
            let follows = start == end;
            end = start + count(&hashes);
            (follows && end <= until && !hashes.is_empty()).then_some(hashes)
        });
        Self { first, leaves: Arc::new(in_order.flatten().collect()) }
    }

    fn end(&self) -> u64 {
        self.first + count(&self.leaves)
    }

    /// The roots of the whole tiles, in their order.
    async fn tile_roots(&self) -> Vec<Hash> {
        let width = usize::try_from(TILE_WIDTH).unwrap_or(usize::MAX);
        let before = usize::try_from(self.first.next_multiple_of(TILE_WIDTH) - self.first).unwrap_or(usize::MAX);
        let tiles = self.leaves.len().saturating_sub(before) / width;
        let a_core = tiles.div_ceil(cores()).max(1);
        let parts: Vec<_> = (0..tiles)
            .step_by(a_core)
            .map(|from| {
                let leaves = Arc::clone(&self.leaves);
                let (start, end) = (before + from * width, before + (from + a_core).min(tiles) * width);
                spawn_blocking(move || {
                    leaves[start..end].chunks_exact(width).filter_map(perfect_root).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut roots = Vec::with_capacity(tiles);
        for part in parts {
            // Roots that are missing are no roots: the leaves are pushed one by one.
            let Ok(part) = part.await else { break };
            roots.extend(part);
        }
        roots
    }
}

fn count(hashes: &[Hash]) -> u64 {
    u64::try_from(hashes.len()).unwrap_or(u64::MAX)
}

// === impl Check ===

impl Check<'_> {
    /// Takes the leaves before `until` by their stored hashes, a whole chunk at a time: the tree and the signed heads tell whether they are
    /// what was signed. What is not in order is left to the closer look.
    pub(super) async fn push_stored(
        &mut self,
        until: u64,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        let first = self.tree.size();
        if first >= until {
            return Ok(());
        }
        let mut run = Run::of(first, self.store.log_hashes_from(first, CHUNKS_AT_ONCE).await?, until);
        while !run.leaves.is_empty() {
            let (roots, next) = tokio::join!(run.tile_roots(), self.store.log_hashes_from(run.end(), CHUNKS_AT_ONCE));
            self.push_run(&run, roots).await?;
            progress(self.tree.size(), self.result.size);
            run = Run::of(run.end(), next?, until);
        }
        Ok(())
    }

    /// Pushes whole tiles, and one by one the leaves beside them and those among which a signed head ends.
    async fn push_run(&mut self, run: &Run, roots: Vec<Hash>) -> Result<(), StoreError> {
        let mut roots = roots.into_iter();
        let mut rest = run.leaves.as_slice();
        while !rest.is_empty() {
            let start = self.tree.size();
            let end = (start + 1).next_multiple_of(TILE_WIDTH);
            let (tile, after) = rest.split_at(rest.len().min(usize::try_from(end - start).unwrap_or(usize::MAX)));
            let root = if count(tile) == TILE_WIDTH { roots.next() } else { None };
            match root.filter(|_| self.signed.last().is_none_or(|(size, _)| *size >= end)) {
                Some(root) => self.push(TILE_LEVEL, root).await?,
                None => {
                    for leaf in tile {
                        self.push(0, *leaf).await?;
                    }
                }
            }
            rest = after;
        }
        Ok(())
    }
}
