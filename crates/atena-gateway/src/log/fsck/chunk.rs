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
use crate::log::retention::{Kind, erasure};

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
    /// For each kind of details: the newest one that is erased (when it was requested, its leaf), and before when the log says so.
    erased: HashMap<&'static str, (u64, u64)>,
    erased_before: HashMap<&'static str, u64>,
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
            if let Some((kind, before)) = shape.and_then(|shape| erasure(shape, leaf)) {
                self.gone.erased_before(kind.as_str(), before);
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
    fn erased(&mut self, kind: &'static str, newest: (u64, u64)) {
        let known = self.erased.entry(kind).or_default();
        *known = newest.max(*known);
    }

    fn erased_before(&mut self, kind: &'static str, before: u64) {
        let known = self.erased_before.entry(kind).or_default();
        *known = before.max(*known);
    }

    /// Adds what another chunk gave.
    pub(super) fn add(&mut self, other: Self) {
        for (kind, newest) in other.erased {
            self.erased(kind, newest);
        }
        for (kind, before) in other.erased_before {
            self.erased_before(kind, before);
        }
        self.keyless.extend(other.keyless);
        self.erased_people.extend(other.erased_people);
    }

    /// Leaves whose details are gone though the log does not say that their time had come: the newest of each kind.
    pub(super) fn too_early(&self) -> Vec<u64> {
        let too_early = self
            .erased
            .iter()
            .filter(|(kind, (requested, _))| self.erased_before.get(*kind).is_none_or(|before| requested >= before));
        let mut leaves: Vec<_> = too_early.map(|(_, (_, leaf))| *leaf).collect();
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
) -> Result<HashMap<UnifiedAddressNumber, PersonKey>, StoreError> {
    let people: HashSet<_> = details.iter().filter_map(|details| details.person.clone()).collect();
    let people: Vec<_> = people.into_iter().collect();
    let wrapped = store.person_keys(&people).await?;
    Ok(wrapped
        .into_iter()
        .filter_map(|(person, wrapped)| {
            let key = vault.unwrap_person_key(&person, &wrapped).ok()?;
            Some((person, key))
        })
        .collect())
}
