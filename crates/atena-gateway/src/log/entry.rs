//! From a transfer record to a leaf and its sealed details.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use atena_domain::UnifiedAddressNumber;
use atena_ledger::{Hash, Leaf, RenderedShape, Salts, commit_content, commit_details, commit_subject};
use atena_store::{LogEntry, StoreError};
use atena_vault::{PersonKey, SealingKey, Vault};
use bytes::Bytes;
use jiff::Timestamp;

use super::details::{encode_details, place};
use super::shapes::Shapes;
use crate::transfer::{Heading, TransferRecord};

/// People whose key has to be fetched before their details can be sealed.
pub(super) fn people_without_key(records: &[TransferRecord]) -> Vec<UnifiedAddressNumber> {
    let people: BTreeSet<_> = records
        .iter()
        .filter(|record| record.person_key.is_none())
        .filter_map(|record| record.unified_address_number.as_ref().map(UnifiedAddressNumber::as_str))
        .collect();
    people.into_iter().filter_map(|person| UnifiedAddressNumber::parse_migrated(person).ok()).collect()
}

/// The entries of records, sealed; `keys` are those that the records do not carry.
pub(crate) fn entries(
    vault: &Vault,
    shapes: &Shapes,
    records: &[TransferRecord],
    keys: &HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
) -> Result<Vec<LogEntry>, StoreError> {
    let mut municipal = None;
    let mut seeds = vec![0; 32 * records.len()];
    vault.fill_random(&mut seeds).map_err(|_| StoreError::LeafRefused)?;
    let (seeds, _) = seeds.as_chunks::<32>();
    // What the leaves commit to and what is stored of it, one after the other, so that an entry is made once and not moved.
    let (mut encoded, mut sealed) = (Vec::new(), Vec::with_capacity(256 * records.len()));
    let mut prepared = Vec::with_capacity(records.len());
    for (record, seed) in records.iter().zip(seeds) {
        let person = record.unified_address_number.as_ref();
        let own = record.person_key.as_ref().or_else(|| person.and_then(|person| keys.get(person)));
        let key: &SealingKey = match own {
            Some(key) => key,
            None => municipal.get_or_insert_with(|| vault.municipal_key()),
        };
        encoded.clear();
        encode_details(record, seed, &mut encoded);
        let salts = Salts::from_seed(seed);
        let committed = commit_details(&salts.details, &encoded);
        let start = sealed.len();
        key.seal_to(&place(record.transfer_id.as_bytes()), &encoded, &mut sealed)
            .map_err(|_| StoreError::LeafRefused)?;
        prepared.push((salts, committed, person.filter(|_| own.is_some()), start..sealed.len()));
    }
    let sealed = Bytes::from(sealed);
    let mut shape: Option<(&Arc<Heading>, Arc<RenderedShape>)> = None;
    let mut entries = Vec::with_capacity(records.len());
    for (record, (salts, details, person, place)) in records.iter().zip(prepared) {
        let rendered = match shape {
            Some((heading, rendered)) if Arc::ptr_eq(heading, &record.heading) => rendered,
            _ => shapes.of(&record.heading).map_err(|_| StoreError::LeafRefused)?,
        };
        shape = Some((&record.heading, Arc::clone(&rendered)));
        let (leaf, details) = (leaf(record, &salts, details), sealed.slice(place));
        entries.push(LogEntry::new(rendered, leaf, person.cloned(), details, &mut encoded)?);
    }
    Ok(entries)
}

/// The leaf of a record, with the commitment to its details.
fn leaf(record: &TransferRecord, salts: &Salts, details: Hash) -> Leaf {
    let person = record.unified_address_number.as_ref().map(UnifiedAddressNumber::as_str);
    let digest = record.content_sha256.as_ref().map(<[u8; 32]>::as_slice).unwrap_or_default();
    Leaf {
        id: *record.transfer_id.as_bytes(),
        requested_us: microseconds(record.heading.requested_at),
        provided_us: microseconds(record.provided_at),
        outcome: record.outcome,
        reason: record.reason.map(str::to_owned),
        records: u64::try_from(record.records.len()).unwrap_or(u64::MAX),
        subject: commit_subject(&salts.subject, person.unwrap_or_default()),
        content: commit_content(&salts.content, digest),
        details,
    }
}

/// As a leaf tells a time.
pub(crate) fn microseconds(at: Timestamp) -> u64 {
    // A clock before 1970 is a broken clock; the leaf then says 1970.
    u64::try_from(at.as_microsecond()).unwrap_or(0)
}
