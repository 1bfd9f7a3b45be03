//! From a transfer record to a leaf and its sealed details.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use atena_domain::UnifiedAddressNumber;
use atena_ledger::{Leaf, LeafShape, RenderedShape, commit_content, commit_details, commit_subject};
use atena_store::{LogEntry, StoreError};
use atena_vault::{PersonKey, SealingKey, Vault, WrappedKey};
use jiff::Timestamp;
use prost::Message;

use super::details::{Details, Row, place};
use crate::transfer::TransferRecord;

/// People whose key has to be fetched before their details can be sealed.
pub(super) fn people_without_key(records: &[TransferRecord]) -> Vec<UnifiedAddressNumber> {
    let people: BTreeSet<_> = records
        .iter()
        .filter(|record| record.person_key.is_none())
        .filter_map(|record| record.unified_address_number.as_ref().map(UnifiedAddressNumber::as_str))
        .collect();
    people.into_iter().filter_map(|person| UnifiedAddressNumber::parse_migrated(person).ok()).collect()
}

/// The entries of records, sealed; `wrapped` holds the keys that the records do not carry.
pub(crate) fn entries(
    vault: &Vault,
    records: &[TransferRecord],
    wrapped: &HashMap<UnifiedAddressNumber, WrappedKey>,
) -> Result<Vec<LogEntry>, StoreError> {
    let mut keys: HashMap<&UnifiedAddressNumber, PersonKey> = HashMap::with_capacity(wrapped.len());
    for (person, key) in wrapped {
        keys.insert(person, vault.unwrap_person_key(person, key).map_err(|_| StoreError::LeafRefused)?);
    }
    let mut municipal = None;
    let mut seeds = vec![0; 32 * records.len()];
    vault.fill_random(&mut seeds).map_err(|_| StoreError::LeafRefused)?;
    let mut shape: Option<(&TransferRecord, Arc<RenderedShape>)> = None;
    let mut entries = Vec::with_capacity(records.len());
    let (seeds, _) = seeds.as_chunks::<32>();
    for (record, seed) in records.iter().zip(seeds) {
        let rendered = match &shape {
            Some((alike, rendered)) if same_shape(alike, record) => Arc::clone(rendered),
            _ => Arc::new(shape_of(record).render().map_err(|_| StoreError::LeafRefused)?),
        };
        shape = Some((record, Arc::clone(&rendered)));
        let person = record.unified_address_number.as_ref();
        let own = record.person_key.as_deref().or_else(|| person.and_then(|person| keys.get(person)));
        let key: &SealingKey = match own {
            Some(key) => key,
            None => municipal.get_or_insert_with(|| vault.municipal_key()),
        };
        let (leaf, details) = leaf(record, seed);
        let details = key.seal(&place(&leaf.id), &details).map_err(|_| StoreError::LeafRefused)?;
        let person = person.filter(|_| own.is_some()).cloned();
        entries.push(LogEntry { shape: rendered, leaf, person, details });
    }
    Ok(entries)
}

/// The leaf of a record, and the details it commits to.
fn leaf(record: &TransferRecord, seed: &[u8; 32]) -> (Leaf, Vec<u8>) {
    let details = Details {
        seed: seed.to_vec(),
        operator_id: record.operator_id.as_deref().map(str::to_owned),
        local_address_number: record.local_address_number.as_deref().map(str::to_owned),
        unified_address_number: record.unified_address_number.as_ref().map(|person| person.as_str().to_owned()),
        records: record
            .records
            .iter()
            .map(|(key, revision)| Row { record_key: key.as_str().to_owned(), revision: *revision })
            .collect(),
        content_sha256: record.content_sha256.map(Vec::from).unwrap_or_default(),
        request_id: record.request_id.as_deref().map(str::to_owned),
        note: None,
    };
    let encoded = details.encode_to_vec();
    let salts = atena_ledger::Salts::from_seed(seed);
    let leaf = Leaf {
        id: *record.transfer_id.as_bytes(),
        requested_us: microseconds(record.requested_at),
        provided_us: microseconds(record.provided_at),
        outcome: record.outcome,
        reason: record.reason.clone(),
        records: u64::try_from(record.records.len()).unwrap_or(u64::MAX),
        subject: commit_subject(&salts.subject, details.unified_address_number.as_deref().unwrap_or_default()),
        content: commit_content(&salts.content, &details.content_sha256),
        details: commit_details(&salts.details, &encoded),
    };
    (leaf, encoded)
}

fn microseconds(at: Timestamp) -> u64 {
    // A clock before 1970 is a broken clock; the leaf then says 1970.
    u64::try_from(at.as_microsecond()).unwrap_or(0)
}

fn shape_of(record: &TransferRecord) -> LeafShape {
    LeafShape {
        direction: record.direction,
        method: record.method.to_owned(),
        system: record.system_id.to_string(),
        division: record.division.as_deref().map(str::to_owned),
        affair: record.affair.as_deref().map(str::to_owned),
        rule: record.rule_id.as_deref().map(|id| (id.to_owned(), record.rule_version)),
        basis: record.legal_basis.as_deref().map(str::to_owned),
        dataset: record.dataset.map(|dataset| dataset.as_str().to_owned()),
        fields: record.fields.to_vec(),
        policy: record.policy_hash,
    }
}

fn same_shape(one: &TransferRecord, other: &TransferRecord) -> bool {
    one.direction == other.direction
        && one.method == other.method
        && one.system_id == other.system_id
        && one.division == other.division
        && one.affair == other.affair
        && one.rule_id == other.rule_id
        && one.rule_version == other.rule_version
        && one.legal_basis == other.legal_basis
        && one.dataset == other.dataset
        && (Arc::ptr_eq(&one.fields, &other.fields) || one.fields == other.fields)
        && one.policy_hash == other.policy_hash
}
