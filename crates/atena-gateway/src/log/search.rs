//! Finds transfers in the log, newest first.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use atena_domain::{Dataset, UnifiedAddressNumber};
use atena_ledger::{Direction, Leaf, LeafShape, Outcome};
use atena_policy::AuditPermit;
use atena_store::StoredChunk;
use jiff::Timestamp;
use jiff::civil::Date;
use uuid::Uuid;

use super::Log;
use super::details::{Details, damaged};
use super::query::TransferQuery;
use crate::clock;
use crate::error::CallError;
use crate::transfer::Subject;

/// Chunks read at once.
const CHUNKS_AT_ONCE: u32 = 32;

/// Places of a person's leaves read at once.
const PLACES_AT_ONCE: u32 = 512;

/// One transfer found.
pub(crate) struct Found {
    /// Its place in the log.
    pub(crate) index: u64,
    /// The first leaf of its chunk.
    chunk: u64,
    /// What it shares with others.
    pub(crate) shape: Arc<LeafShape>,
    /// Its own part of the leaf.
    pub(crate) leaf: Leaf,
    /// Its details; `None` once erased.
    pub(crate) details: Option<Details>,
}

/// Counts of one day.
pub(crate) struct Summary {
    pub(crate) day: Date,
    pub(crate) system_id: String,
    pub(crate) direction: Direction,
    pub(crate) dataset: Option<Dataset>,
    pub(crate) outcome: Outcome,
    pub(crate) transfers: u64,
    pub(crate) records: u64,
}

/// What is counted together: day, system, direction, dataset, outcome.
type Counted = (Date, String, Direction, Option<String>, Outcome);

/// The leaf of the whole text, and where it stands.
pub(crate) struct Located {
    pub(crate) index: u64,
    pub(crate) text: Vec<u8>,
    pub(crate) found: Found,
}

// === impl Found ===

impl Found {
    /// The person, without any system's number: what the log says of a question about this transfer.
    pub(crate) fn subject(&self) -> Subject {
        let person = self.details.as_ref().and_then(|details| details.unified_address_number.as_deref());
        let person = person.and_then(|person| UnifiedAddressNumber::parse_migrated(person).ok());
        Subject { local_address_number: None, unified_address_number: person }
    }
}

/// At most `limit` transfers that match, newest first; `before` continues a page.
pub(crate) async fn list(
    log: &Log,
    permit: &AuditPermit,
    query: &TransferQuery,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Found>, CallError> {
    let mut found = Vec::new();
    let mut before = before;
    if let Some(person) = query.person() {
        // What is not indexed yet is looked through; what is, is looked up.
        let indexed = log.store.log_index_size().await?;
        scan(log, permit, query, before, indexed, limit, &mut found).await?;
        before = Some(before.map_or(indexed, |before| before.min(indexed)));
        while found.len() < limit {
            let places = log.store.log_leaves_of_person(permit, person, before, PLACES_AT_ONCE).await?;
            let Some(last) = places.last() else { break };
            before = Some(*last);
            look_up(log, query, &places, limit, &mut found).await?;
        }
    } else {
        scan(log, permit, query, before, 0, limit, &mut found).await?;
    }
    found.truncate(limit);
    Ok(found)
}

/// The transfer with this id, with the leaf's text.
pub(crate) async fn by_id(log: &Log, id: Uuid) -> Result<Option<Located>, CallError> {
    let Some((chunk, place)) = log.store.log_chunk_of(id).await? else {
        return Ok(None);
    };
    let leaves = chunk.leaves()?;
    let (shape, leaf) = leaves.leaves().nth(place).ok_or_else(damaged)?;
    let mut text = Vec::new();
    leaf.encode(shape, &mut text).map_err(|_| damaged())?;
    let index = chunk.first_index + u64::try_from(place).unwrap_or(u64::MAX);
    let shape = Arc::new(shape.shape().map_err(|_| damaged())?);
    let mut found = vec![Found { index, chunk: chunk.first_index, shape, leaf: leaf.clone(), details: None }];
    open(log, &mut found).await?;
    Ok(found.pop().map(|found| Located { index, text, found }))
}

/// Counts of transfers that match, oldest day first.
pub(crate) async fn summarize(
    log: &Log,
    permit: &AuditPermit,
    query: &TransferQuery,
) -> Result<Vec<Summary>, CallError> {
    let mut counts: BTreeMap<Counted, (u64, u64)> = BTreeMap::new();
    let mut count = |found: &Found| {
        let at = i64::try_from(found.leaf.requested_us).ok().and_then(|at| Timestamp::from_microsecond(at).ok());
        let day = clock::japanese_day(at.unwrap_or(Timestamp::UNIX_EPOCH));
        let shape = &found.shape;
        let place = (day, shape.system.clone(), shape.direction, shape.dataset.clone(), found.leaf.outcome);
        let (transfers, records) = counts.entry(place).or_default();
        *transfers += 1;
        *records += found.leaf.records;
    };
    let mut before = None;
    loop {
        let page = list(log, permit, query, before, 8192).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.index);
        page.iter().for_each(&mut count);
    }
    Ok(counts
        .into_iter()
        .map(|((day, system_id, direction, dataset, outcome), (transfers, records))| Summary {
            day,
            system_id,
            direction,
            dataset: dataset.and_then(|dataset| Dataset::parse(&dataset).ok()),
            outcome,
            transfers,
            records,
        })
        .collect())
}

/// Looks through leaves from `until` on and before `before`, newest first.
async fn scan(
    log: &Log,
    permit: &AuditPermit,
    query: &TransferQuery,
    before: Option<u64>,
    until: u64,
    limit: usize,
    found: &mut Vec<Found>,
) -> Result<(), CallError> {
    let mut range = query.range();
    range.before = before;
    while found.len() < limit {
        let chunks = log.store.log_chunks_newest_first(permit, range, CHUNKS_AT_ONCE).await?;
        let Some(last) = chunks.last().map(|chunk| chunk.first_index) else { break };
        for chunk in chunks.iter().filter(|chunk| chunk.first_index + chunk.leaf_count > until) {
            let wanted = |index: u64| index >= until && before.is_none_or(|before| index < before);
            select(log, query, chunk, wanted, found).await?;
            if found.len() >= limit {
                break;
            }
        }
        if last <= until {
            break;
        }
        range.before = Some(last);
    }
    Ok(())
}

/// Reads the leaves at `places`, which come newest first.
async fn look_up(
    log: &Log,
    query: &TransferQuery,
    places: &[u64],
    limit: usize,
    found: &mut Vec<Found>,
) -> Result<(), CallError> {
    let wanted: HashSet<u64> = places.iter().copied().collect();
    let mut rest = places;
    while let (Some(place), true) = (rest.first(), found.len() < limit) {
        let chunks = log.store.log_chunks_from(*place, 1).await?;
        let chunk = chunks.first().filter(|chunk| chunk.first_index <= *place).ok_or_else(damaged)?;
        select(log, query, chunk, |index| wanted.contains(&index), found).await?;
        let of_chunk = rest.iter().take_while(|place| **place >= chunk.first_index).count();
        rest = &rest[of_chunk..];
    }
    Ok(())
}

/// Adds the matching leaves of a chunk, newest first, with their details.
async fn select(
    log: &Log,
    query: &TransferQuery,
    chunk: &StoredChunk,
    wanted: impl Fn(u64) -> bool,
    found: &mut Vec<Found>,
) -> Result<(), CallError> {
    let leaves = chunk.leaves()?;
    let mut shapes = Vec::with_capacity(leaves.shapes().len());
    for shape in leaves.shapes() {
        let shape = shape.shape().map_err(|_| damaged())?;
        shapes.push(query.matches_shape(&shape).then(|| Arc::new(shape)));
    }
    let mut matching = Vec::new();
    for (index, (place, leaf)) in (chunk.first_index..).zip(leaves.placed()) {
        if let Some(Some(shape)) = shapes.get(*place)
            && wanted(index)
            && query.matches_leaf(leaf)
        {
            let (chunk, shape) = (chunk.first_index, Arc::clone(shape));
            matching.push(Found { index, chunk, shape, leaf: leaf.clone(), details: None });
        }
    }
    if matching.is_empty() {
        return Ok(());
    }
    if query.needs_details() {
        open(log, &mut matching).await?;
        matching.retain(|found| query.matches_details(found.details.as_ref()));
    }
    found.extend(matching.into_iter().rev());
    Ok(())
}

/// Opens the details of transfers, chunk by chunk.
pub(crate) async fn open(log: &Log, found: &mut [Found]) -> Result<(), CallError> {
    for found in found.chunk_by_mut(|one, other| one.chunk == other.chunk) {
        open_chunk(log, found).await?;
    }
    Ok(())
}

async fn open_chunk(log: &Log, found: &mut [Found]) -> Result<(), CallError> {
    let Some(first_index) = found.first().map(|found| found.chunk) else { return Ok(()) };
    let stored = log.store.log_details(first_index).await?;
    let of = |found: &Found| {
        let place = usize::try_from(found.index - first_index).ok()?;
        stored.get(place)
    };
    let people: HashSet<UnifiedAddressNumber> = found.iter().filter_map(|found| of(found)?.person.clone()).collect();
    let people: Vec<_> = people.into_iter().collect();
    let keys = log.vault.unwrap_person_keys(&log.store.person_keys(&people).await?)?;
    for found in found {
        let stored = of(found).ok_or_else(damaged)?;
        found.details = Details::open(&log.vault, &keys, &found.leaf, stored)?;
    }
    Ok(())
}
