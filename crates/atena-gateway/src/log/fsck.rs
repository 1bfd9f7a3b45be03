//! Recomputes the log and names what differs from what was signed.
//!
//! Leaves are recomputed from their parts, the tree from the leaves, and both are compared with what is stored and with every signed
//! head, in the database and beside it. Whoever changes, drops, adds or reorders a leaf would have to forge a signature.

mod chunk;
mod finding;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use atena_ledger::{CheckpointError, Frontier, Hash, TILE_WIDTH, open_checkpoint};
use atena_store::{Store, StoreError};
use atena_vault::Vault;

use super::keys::LogKeys;
use chunk::{Examinations, Examined, Gone};
pub use finding::Finding;

/// Findings that are listed; one is enough to refuse to serve.
const FINDINGS_MAX: usize = 20;

/// Chunks read at once.
const CHUNKS_AT_ONCE: u32 = 64;

/// Signed heads read at once.
const CHECKPOINTS_AT_ONCE: u32 = 1000;

/// Levels of the tree in one of tiles: the root of a whole tile is so many above its hashes.
const TILE_LEVEL: u8 = TILE_WIDTH.ilog2() as u8;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fsck {
    /// Leaves in the log.
    pub size: u64,
    /// Signed heads compared.
    pub checkpoints: u64,
    /// People whose keys are gone, and their details with them, though the log tells of no erasure. The log itself is sound without them.
    pub keys_gone: u64,
    /// What differs, in the order of the log; empty for a sound log.
    pub findings: Vec<Finding>,
}

/// How much is recomputed.
#[derive(Clone, Copy)]
pub(crate) enum Depth<'a> {
    /// Every stored hash, and this many of the newest leaves from their parts.
    Newest(u64),
    /// Every leaf from its parts, and the details opened.
    Everything(&'a Arc<Vault>),
}

impl Depth<'_> {
    /// What is checked before anything is served.
    pub(crate) const AT_START: Self = Self::Newest(200_000);
}

/// A check under way.
struct Check<'a> {
    store: &'a Store,
    keys: &'a LogKeys,
    tree: Frontier,
    nodes: HashMap<(u8, u64), Vec<Hash>>,
    signed: Vec<(u64, Hash)>,
    vouched: u64,
    gone: Gone,
    result: Fsck,
}

/// Checks the log; `progress` is told leaves done and leaves in all.
pub(crate) async fn fsck(
    store: &Store,
    keys: &LogKeys,
    checkpoint_file: &Path,
    depth: Depth<'_>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Fsck, StoreError> {
    let size = store.log_size().await?;
    let mut check = Check {
        store,
        keys,
        tree: Frontier::empty(),
        nodes: HashMap::new(),
        signed: Vec::new(),
        vouched: 0,
        gone: Gone::default(),
        result: Fsck { size, checkpoints: 0, keys_gone: 0, findings: Vec::new() },
    };
    check.read_signed(checkpoint_file).await?;
    let (recomputed_from, vault) = match depth {
        Depth::Newest(leaves) => (size.saturating_sub(leaves), None),
        Depth::Everything(vault) => (0, Some(vault)),
    };
    progress(0, size);
    check.push_stored(recomputed_from, &mut progress).await?;
    loop {
        let chunks = store.log_chunks_from(check.tree.size(), CHUNKS_AT_ONCE).await?;
        if chunks.is_empty() {
            if check.end().await? {
                return Ok(check.result);
            }
            continue;
        }
        let mut examinations = Examinations::of(store, vault, chunks);
        while let Some(examined) = examinations.next().await? {
            if !check.add(examined).await? {
                return Ok(check.result);
            }
        }
        progress(check.tree.size(), check.result.size);
    }
}

// === impl Check ===

impl Check<'_> {
    fn found(&mut self, finding: Finding) {
        if self.result.findings.len() < FINDINGS_MAX && !self.result.findings.contains(&finding) {
            self.result.findings.push(finding);
        }
    }

    /// Every signed head, smallest last: those of the database, and the one beside it.
    async fn read_signed(&mut self, checkpoint_file: &Path) -> Result<(), StoreError> {
        let (mut from, mut newest) = (0, None::<(u64, String)>);
        loop {
            let checkpoints = self.store.checkpoints_from(from, CHECKPOINTS_AT_ONCE).await?;
            let Some(last) = checkpoints.last() else { break };
            from = last.size + 1;
            for checkpoint in &checkpoints {
                self.result.checkpoints += 1;
                match open_checkpoint(&checkpoint.note, self.keys) {
                    Ok(opened) if opened.size == checkpoint.size && opened.root == checkpoint.root => {
                        self.signed.push((opened.size, opened.root));
                        newest = Some((opened.size, checkpoint.note.clone()));
                    }
                    Ok(_) | Err(_) => self.found(Finding::NotSigned(checkpoint.size)),
                }
            }
        }
        if let Ok(note) = std::fs::read_to_string(checkpoint_file) {
            match open_checkpoint(&note, self.keys) {
                Ok(opened) => {
                    self.signed.push((opened.size, opened.root));
                    if newest.as_ref().is_none_or(|(size, _)| *size < opened.size) {
                        newest = Some((opened.size, note));
                    }
                }
                Err(CheckpointError::Note(_) | CheckpointError::Malformed | CheckpointError::OtherLog) => {
                    self.found(Finding::NotSigned(0));
                }
            }
        }
        // A key that signs no more vouches for what it signed then, and for nothing beyond: somebody may have kept a copy of it.
        if let Some((size, note)) = newest
            && open_checkpoint(&note, &self.keys.signing()).is_err()
        {
            self.found(Finding::SignedByOldKey(size));
        }
        self.signed.sort_unstable();
        self.signed.dedup();
        self.signed.reverse();
        self.compare_signed();
        Ok(())
    }

    /// Adds the next chunk; `false` where nothing after it needs to be looked at.
    async fn add(&mut self, chunk: Examined) -> Result<bool, StoreError> {
        let (first, size) = (chunk.first, self.tree.size());
        if first != size {
            // From here on nothing stands where it should.
            self.found(if first < size { Finding::LeafChanged(first) } else { Finding::LeafMissing(size) });
            return Ok(false);
        }
        if first >= self.result.size {
            // A running gateway may have added it since.
            self.result.size = self.store.log_size().await?;
        }
        if first >= self.result.size {
            self.found(Finding::LeafBeyondEnd(first));
            return Ok(false);
        }
        for finding in chunk.findings {
            self.found(finding);
        }
        self.gone.add(chunk.gone);
        if chunk.hashes.is_empty() {
            self.found(Finding::LeafUnreadable(first));
            return Ok(false);
        }
        for hash in chunk.hashes {
            self.push(0, hash).await?;
        }
        Ok(self.result.findings.len() < FINDINGS_MAX)
    }

    /// Adds the 2^`level` leaves under `root` to the recomputed tree, and compares what is complete with them.
    async fn push(&mut self, level: u8, root: Hash) -> Result<(), StoreError> {
        let mut completed = Vec::new();
        let pushed = self.tree.push_subtree(level, root, |level, index, root| {
            if level >= TILE_LEVEL && level % TILE_LEVEL == 0 {
                completed.push((level / TILE_LEVEL, index, root));
            }
        });
        if pushed.is_err() {
            return Err(StoreError::Corrupt { table: "log_chunk" });
        }
        for (level, index, root) in completed {
            let tile = index / TILE_WIDTH;
            let place = usize::try_from(index % TILE_WIDTH).unwrap_or(usize::MAX);
            let kept = |check: &Self| check.nodes.get(&(level, tile)).and_then(|hashes| hashes.get(place)).copied();
            if kept(self).is_none() {
                // Not read yet, or grown since it was read.
                self.nodes.retain(|(kept, _), _| *kept != level);
                self.nodes.insert((level, tile), self.store.log_tile(level, tile).await.unwrap_or_default());
            }
            if kept(self) != Some(root) {
                let leaves = 1_u64 << u32::from(level * TILE_LEVEL);
                self.found(Finding::NodeDiffers { from: index * leaves, to: (index + 1) * leaves - 1 });
            }
        }
        self.compare_signed();
        Ok(())
    }

    /// Compares the tree with the signed heads of its size.
    fn compare_signed(&mut self) {
        while let Some((size, root)) = self.signed.last().copied().filter(|(size, _)| *size == self.tree.size()) {
            self.signed.pop();
            if self.tree.root() == root {
                self.vouched = size;
            } else {
                self.found(Finding::SignedHeadDiffers { from: self.vouched, to: size.saturating_sub(1) });
            }
        }
    }

    /// Compares what is left to compare at the end of the leaves; `false` where a running gateway has added more meanwhile.
    async fn end(&mut self) -> Result<bool, StoreError> {
        let mut transaction = self.store.begin_write("check_log_head").await?;
        let head = transaction.log_frontier().await.ok();
        let size = self.tree.size();
        if head.as_ref().is_some_and(|head| head.size() > size)
            && !self.store.log_hashes_from(size, 1).await?.is_empty()
        {
            return Ok(false);
        }
        if size < self.result.size {
            self.found(Finding::LeafMissing(size));
        }
        self.result.size = size;
        if let Some((signed, _)) = self.signed.first().copied() {
            self.found(Finding::Truncated { signed, size });
        }
        // Details may be gone only where the log itself says that their time had come.
        for leaf in self.gone.too_early() {
            self.found(Finding::DetailsMissing(leaf));
        }
        self.result.keys_gone = self.gone.unexplained_people();
        if head.as_ref() != Some(&self.tree) {
            self.found(Finding::HeadDiffers);
        }
        Ok(true)
    }
}

/// Cores that can work at once.
fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}
