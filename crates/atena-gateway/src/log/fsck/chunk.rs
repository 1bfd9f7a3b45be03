//! One chunk of leaves by itself: recomputed from their parts, and their details opened. Chunks are examined beside each other, by all cores.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::vec::IntoIter;

use atena_domain::UnifiedAddressNumber;
use atena_ledger::{Chunk, Hash};
use atena_store::{Store, StoreError, StoredChunk, StoredDetails};
use atena_vault::{PersonKey, Vault};
use tokio_util::task::AbortOnDropHandle;

use super::{Finding, cores};
use crate::ahead::beside;
use crate::log::PERSON_ERASED;
use crate::log::details::Details;
use crate::log::retention::{Erasure, Kind};

/// What one chunk gives.
pub(super) struct Examined {
    pub(super) first: u64,
    /// The hashes of its leaves; none where it can't be read.
    pub(super) hashes: Vec<Hash>,
    pub(super) findings: Vec<Finding>,
    pub(super) gone: Gone,
}

/// The details that are not there (any more), and what the log says of it.
#[derive(Default)]
pub(super) struct Gone {
    /// For each kind of details: those that are erased (when it was requested, its leaf), as far as
    /// no other is later by both, and what the log says of it.
    erased: HashMap<&'static str, Vec<(u64, u64)>>,
    erasures: HashMap<&'static str, Erasure>,
    /// People whose key is not there, and those of whom the log says that they were erased.
    keyless: HashSet<UnifiedAddressNumber>,
    erased_people: HashSet<String>,
}

/// Chunks under examination, in their order.
pub(super) struct Examinations {
    store: Store,
    vault: Option<Arc<Vault>>,
    waiting: IntoIter<StoredChunk>,
    under_way: VecDeque<AbortOnDropHandle<Result<Examined, StoreError>>>,
}

// === impl Examinations ===

impl Examinations {
    /// Begins with the first of them; details are opened where there is a vault.
    pub(super) fn of(store: &Store, vault: Option<&Arc<Vault>>, chunks: Vec<StoredChunk>) -> Self {
        let waiting = chunks.into_iter();
        let mut all = Self { store: store.clone(), vault: vault.cloned(), waiting, under_way: VecDeque::new() };
        // While one core asks the database for the next, each has one to work on.
        for _ in 0..2 * cores() {
            all.begin_next();
        }
        all
    }

    /// The next chunk; `None` after the last.
    ///
    /// # Errors
    /// [`StoreError`]: the keys of people can't be read.
    pub(super) async fn next(&mut self) -> Result<Option<Examined>, StoreError> {
        let Some(next) = self.under_way.pop_front() else { return Ok(None) };
        let examined = next.await.map_err(|_| StoreError::Unavailable("the examination of a chunk broke off"))?;
        self.begin_next();
        examined.map(Some)
    }

    fn begin_next(&mut self) {
        if let Some(chunk) = self.waiting.next() {
            let (store, vault) = (self.store.clone(), self.vault.clone());
            self.under_way.push_back(beside(async move { examine(&store, vault.as_deref(), &chunk).await }));
        }
    }
}

async fn examine(store: &Store, vault: Option<&Vault>, chunk: &StoredChunk) -> Result<Examined, StoreError> {
    let mut examined =
        Examined { first: chunk.first_index, hashes: Vec::new(), findings: Vec::new(), gone: Gone::default() };
    if let Ok(leaves) = chunk.leaves() {
        examined.recompute(chunk, &leaves);
        if let Some(vault) = vault {
            examined.open_details(store, vault, &leaves).await?;
        }
    }
    Ok(examined)
}

// === impl Examined ===

impl Examined {
    /// Hashes the leaves from their parts.
    fn recompute(&mut self, chunk: &StoredChunk, leaves: &Chunk) {
        let (stored, _) = chunk.hashes.as_chunks::<32>();
        let mut text = Vec::new();
        let mut hashes = Vec::with_capacity(stored.len());
        for (index, (shape, leaf)) in (chunk.first_index..).zip(leaves.leaves()) {
            let Ok(hash) = leaf.hash(shape, &mut text) else {
                self.findings.push(Finding::LeafUnreadable(index));
                return;
            };
            if stored.get(hashes.len()) != Some(&hash.0) {
                self.findings.push(Finding::LeafChanged(index));
            }
            hashes.push(hash);
        }
        let counted = u64::try_from(hashes.len()).unwrap_or(u64::MAX);
        if counted != chunk.leaf_count || hashes.len() != stored.len() {
            self.findings.push(Finding::LeafMissing(chunk.first_index + counted));
        }
        self.hashes = hashes;
    }

    /// Compares the sealed details with the leaves. What was erased, with the person's key or by its time, can't be compared.
    async fn open_details(&mut self, store: &Store, vault: &Vault, leaves: &Chunk) -> Result<(), StoreError> {
        let Ok(details) = store.log_details(self.first).await else {
            self.findings.push(Finding::DetailsMissing(self.first));
            return Ok(());
        };
        let keys = keys(store, vault, &details).await?;
        let shapes: Vec<_> = leaves.shapes().iter().map(|shape| shape.shape().ok()).collect();
        for (place, (index, (shape, leaf))) in (self.first..).zip(leaves.placed()).enumerate() {
            let shape = shapes.get(*shape).and_then(Option::as_ref);
            if let Some((kind, erasure)) = shape.and_then(|shape| Erasure::read(shape, leaf)) {
                self.gone.erasure(kind.as_str(), erasure);
            }
            let kind = shape.and_then(|shape| Kind::of(shape, leaf));
            match details.get(place) {
                None => self.findings.push(Finding::DetailsMissing(index)),
                Some(stored) if stored.sealed.is_empty() => match kind {
                    Some(kind) => self.gone.erased(kind.as_str(), (leaf.requested_us, index)),
                    None => self.findings.push(Finding::DetailsMissing(index)),
                },
                Some(stored) => match Details::open(vault, &keys, leaf, stored) {
                    Err(_) => self.findings.push(Finding::DetailsChanged(index)),
                    Ok(Some(details)) if shape.is_some_and(|shape| shape.method == PERSON_ERASED) => {
                        self.gone.erased_people.extend(details.unified_address_number);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => self.gone.keyless.extend(stored.person.clone()),
                },
            }
        }
        Ok(())
    }
}

// === impl Gone ===

impl Gone {
    fn erased(&mut self, kind: &'static str, one: (u64, u64)) {
        let known = self.erased.entry(kind).or_default();
        let covers = |(requested, leaf): (u64, u64), other: (u64, u64)| requested >= other.0 && leaf >= other.1;
        if !known.iter().any(|other| covers(*other, one)) {
            known.retain(|other| !covers(one, *other));
            known.push(one);
        }
    }

    fn erasure(&mut self, kind: &'static str, erasure: Erasure) {
        let known = self.erasures.entry(kind).or_default();
        known.before = known.before.max(erasure.before);
        known.ahead_until = known.ahead_until.max(erasure.ahead_until);
    }

    /// Adds what another chunk gave.
    pub(super) fn add(&mut self, other: Self) {
        for (kind, erased) in other.erased {
            erased.into_iter().for_each(|one| self.erased(kind, one));
        }
        for (kind, erasure) in other.erasures {
            self.erasure(kind, erasure);
        }
        self.keyless.extend(other.keyless);
        self.erased_people.extend(other.erased_people);
    }

    /// Leaves whose details are gone though the log does not say that their time had come: the newest of each kind.
    pub(super) fn too_early(&self) -> Vec<u64> {
        let newest = |(kind, erased): (&&'static str, &Vec<(u64, u64)>)| {
            let said = self.erasures.get(*kind).copied().unwrap_or_default();
            let too_early =
                erased.iter().filter(|(requested, leaf)| *requested >= said.before && *leaf >= said.ahead_until);
            too_early.map(|(_, leaf)| *leaf).max()
        };
        let mut leaves: Vec<_> = self.erased.iter().filter_map(newest).collect();
        leaves.sort_unstable();
        leaves
    }

    /// People whose key is gone, though the log tells of no erasure.
    pub(super) fn unexplained_people(&self) -> u64 {
        let unexplained = self.keyless.iter().filter(|person| !self.erased_people.contains(person.as_str())).count();
        u64::try_from(unexplained).unwrap_or(u64::MAX)
    }
}

async fn keys(
    store: &Store,
    vault: &Vault,
    details: &[StoredDetails],
) -> Result<HashMap<UnifiedAddressNumber, Arc<PersonKey>>, StoreError> {
    let people: HashSet<_> = details.iter().filter_map(|details| details.person.clone()).collect();
    let people: Vec<_> = people.into_iter().collect();
    let wrapped = store.person_keys(&people).await?;
    Ok(wrapped
        .into_iter()
        .filter_map(|(person, wrapped)| {
            let key = vault.unwrap_person_key(&person, &wrapped).ok()?;
            Some((person, Arc::new(key)))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_gone_rightly_by_their_time_or_by_their_place() {
        let gone = |said: &[Erasure]| {
            let mut gone = Gone::default();
            // In order, and one of a clock that was ahead.
            for one in [(10, 1), (20, 2), (900, 3), (30, 4), (40, 5)] {
                let mut of_chunk = Gone::default();
                of_chunk.erased("transfers", one);
                gone.add(of_chunk);
            }
            said.iter().for_each(|said| gone.erasure("transfers", *said));
            gone.too_early()
        };
        assert_eq!(gone(&[]), [5]);
        assert_eq!(gone(&[Erasure { before: 50, ahead_until: 0 }]), [3]);
        assert_eq!(gone(&[Erasure { before: 50, ahead_until: 3 }]), [3]);
        assert!(gone(&[Erasure { before: 50, ahead_until: 4 }]).is_empty());
        assert!(gone(&[Erasure { before: 35, ahead_until: 4 }, Erasure { before: 41, ahead_until: 0 }]).is_empty());
        assert_eq!(gone(&[Erasure { before: 40, ahead_until: 4 }]), [5]);
    }
}
