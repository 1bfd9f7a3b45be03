//! PushRecords: chunks of records. Each good record of a chunk becomes a new immutable revision; a chunk is one transaction with its
//! transfer records, and its answer leaves after the commit (acknowledged-is-durable).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, RecordKey, UnifiedAddressNumber};
use atena_ledger::Outcome;
use atena_policy::{PushPermit, Role};
use atena_proto::v1;
use atena_store::{NewRevision, RecordHead, WriteTransaction};
use atena_vault::{PersonKey, SealContext};
use sha2::{Digest, Sha256};
use tonic::Streaming;
use tracing::Instrument;
use uuid::Uuid;

use super::next_chunk;
use crate::call::{Answers, Call};
use crate::convert::pension::{ParsedRecord, dataset_of, parse_record};
use crate::convert::record_row;
use crate::error::{CallError, Reason};
use crate::log;
use crate::transfer::{Subject, TransferRecord, refuse};

/// Records in one chunk.
const RECORDS_MAX: usize = 1000;

pub(crate) async fn run(
    call: Arc<Call>,
    mut chunks: Streaming<v1::PushRecordsRequest>,
    answers: Answers<v1::PushRecordsResponse>,
) -> Result<(), CallError> {
    let system = call.hall.policy.system(&call.caller.system_id);
    if !system.is_some_and(|system| system.has_role(Role::DatasetOwner)) {
        return Err(atena_policy::Refusal::NotDatasetOwner.into());
    }
    while let Some(chunk) = next_chunk(&mut chunks).await? {
        call.keep_request_id(&chunk.request_id)?;
        if chunk.records.len() > RECORDS_MAX {
            return Err(CallError::new(Reason::MessageTooLarge, "send at most 1,000 records in a chunk"));
        }
        let permits = may_they(&call, &chunk.records).await?;
        let room = answers.room().await?;
        let results = store(&call, &permits, chunk.records).await?;
        room.send(Ok(v1::PushRecordsResponse { results }));
    }
    Ok(())
}

/// Step 2: is the caller the owner of every dataset in the chunk? If not, nothing of it is even looked at.
async fn may_they(call: &Call, records: &[v1::PushedRecord]) -> Result<HashMap<Dataset, PushPermit>, CallError> {
    let today = call.hall.today();
    let mut permits = HashMap::new();
    for dataset in records.iter().filter_map(|record| dataset_of(record).ok()).collect::<HashSet<_>>() {
        match call.hall.policy.authorize_push(&call.caller.system_id, dataset, today) {
            Ok(permit) => permits.insert(dataset, permit),
            Err(refusal) => {
                let record = call.transfer(Some(dataset), &Subject::default());
                return Err(call.refuse(refusal.into(), vec![record]).await);
            }
        };
    }
    Ok(permits)
}

/// One record of the chunk, with its verdict so far.
struct Item {
    record_key: String,
    revision: u64,
    place: Place,
    verdict: Result<Verdict, CallError>,
}

/// The person and dataset that share one transfer record.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    local: Option<LocalAddressNumber>,
    dataset: Option<Dataset>,
}

/// What becomes of a good record.
struct Verdict {
    outcome: v1::PushOutcome,
    supersedes: bool,
    content_mac: [u8; 32],
    parsed: ParsedRecord,
    person: UnifiedAddressNumber,
}

async fn store(
    call: &Call,
    permits: &HashMap<Dataset, PushPermit>,
    records: Vec<v1::PushedRecord>,
) -> Result<Vec<v1::PushResult>, CallError> {
    let parsed: Vec<_> = tracing::info_span!("validate").in_scope(|| records.into_iter().map(parse_one).collect());
    let mut transaction = call.hall.store.begin_write("push_records").await?;
    let work = async {
        let items = judge(call, &mut transaction, parsed).await?;
        write(call, &mut transaction, &items).await?;
        Ok::<_, CallError>(items)
    };
    let items = work.instrument(tracing::info_span!("store")).await?;
    let (transfers, transfer_ids) = transfers(call, permits, &items);
    log::commit(&call.hall, transaction, &transfers).await?;
    for dataset in permits.keys() {
        let count = items.iter().filter(|item| item.place.dataset == Some(*dataset) && item.verdict.is_ok()).count();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        call.hall.metrics.records(count, call.caller.system_id.as_str(), dataset.as_str(), "inbound");
    }
    Ok(items.into_iter().enumerate().map(|(index, item)| told(index, item, &transfer_ids)).collect())
}

/// A record with everything of its own checked, every violation at once.
fn parse_one(record: v1::PushedRecord) -> (Item, Option<ParsedRecord>) {
    let place = Place {
        local: LocalAddressNumber::parse(&record.local_address_number).ok(),
        dataset: dataset_of(&record).ok(),
    };
    // A malformed key is not told back: it could be anything.
    let record_key = RecordKey::parse(&record.record_key).map(|key| key.as_str().to_owned()).unwrap_or_default();
    let revision = record.revision;
    let unjudged = CallError::not_linked();
    match parse_record(record) {
        Ok(parsed) => (Item { record_key, revision, place, verdict: Err(unjudged) }, Some(parsed)),
        Err(error) => (Item { record_key, revision, place, verdict: Err(error) }, None),
    }
}

/// Compares each good record with what is stored, and with what came before it in the chunk.
async fn judge(
    call: &Call,
    transaction: &mut WriteTransaction,
    parsed: Vec<(Item, Option<ParsedRecord>)>,
) -> Result<Vec<Item>, CallError> {
    let mut locals = HashSet::new();
    let mut keys: HashMap<Dataset, Vec<RecordKey>> = HashMap::new();
    for record in parsed.iter().filter_map(|(_, record)| record.as_ref()) {
        locals.insert(record.local_address_number.clone());
        keys.entry(record.dataset).or_default().push(record.record_key.clone());
    }
    let locals: Vec<_> = locals.into_iter().collect();
    let people = transaction.links_by_local(&call.caller.system_id, &locals).await?;
    let mut heads: HashMap<(Dataset, RecordKey), RecordHead> = HashMap::new();
    for (dataset, keys) in keys {
        for (key, head) in transaction.record_heads(dataset, &keys).await? {
            heads.insert((dataset, key), head);
        }
    }
    Ok(parsed
        .into_iter()
        .map(|(mut item, parsed)| {
            if let Some(parsed) = parsed {
                item.verdict = judge_one(call, &people, &mut heads, parsed);
            }
            item
        })
        .collect())
}

fn judge_one(
    call: &Call,
    people: &HashMap<LocalAddressNumber, UnifiedAddressNumber>,
    heads: &mut HashMap<(Dataset, RecordKey), RecordHead>,
    parsed: ParsedRecord,
) -> Result<Verdict, CallError> {
    let person = people.get(&parsed.local_address_number).cloned().ok_or_else(CallError::not_linked)?;
    let place = (parsed.dataset, parsed.record_key.clone());
    let deleted = parsed.content.is_none();
    let content_mac =
        call.hall.vault.content_mac(parsed.dataset.as_str(), parsed.content.as_deref().unwrap_or_default());
    if let Some(head) = heads.get(&place) {
        if head.unified_address_number != person {
            return Err(CallError::field("local_address_number", "this record_key belongs to another person already"));
        }
        if parsed.revision < head.revision {
            return Err(CallError::new(Reason::StaleRevision, "a newer revision of this record is stored already"));
        }
        if parsed.revision == head.revision {
            if head.deleted == deleted && head.content_mac == content_mac {
                return Ok(Verdict {
                    outcome: v1::PushOutcome::Unchanged,
                    supersedes: true,
                    content_mac,
                    parsed,
                    person,
                });
            }
            return Err(CallError::new(
                Reason::RevisionConflict,
                "this revision is stored with other content; send the change as a new revision",
            ));
        }
    }
    let head = RecordHead { unified_address_number: person.clone(), revision: parsed.revision, deleted, content_mac };
    let supersedes = heads.insert(place, head).is_some();
    let outcome = if deleted { v1::PushOutcome::Deleted } else { v1::PushOutcome::Stored };
    Ok(Verdict { outcome, supersedes, content_mac, parsed, person })
}

/// Seals and stores the new revisions.
async fn write(call: &Call, transaction: &mut WriteTransaction, items: &[Item]) -> Result<(), CallError> {
    let new: Vec<&Verdict> = items
        .iter()
        .filter_map(|item| item.verdict.as_ref().ok())
        .filter(|verdict| verdict.outcome != v1::PushOutcome::Unchanged)
        .collect();
    let people: HashSet<_> = new.iter().map(|verdict| verdict.person.clone()).collect();
    let people: Vec<_> = people.into_iter().collect();
    let mut keys: HashMap<UnifiedAddressNumber, PersonKey> = HashMap::with_capacity(people.len());
    for (person, wrapped) in transaction.person_keys(&people).await? {
        let key = call.hall.vault.unwrap_person_key(&person, &wrapped)?;
        keys.insert(person, key);
    }
    let mut revisions = Vec::with_capacity(new.len());
    for verdict in new {
        let parsed = &verdict.parsed;
        let key = keys.get(&verdict.person).ok_or_else(|| {
            tracing::error!("a linked person has no key");
            CallError::new(Reason::Internal, "nothing was stored; tell the operator")
        })?;
        let row = record_row(parsed.dataset, &parsed.record_key, parsed.revision);
        let context = SealContext { table: "record", column: "sealed", row: &row };
        let content = parsed.content.as_deref().unwrap_or_default();
        revisions.push(NewRevision {
            dataset: parsed.dataset,
            record_key: parsed.record_key.clone(),
            revision: parsed.revision,
            unified_address_number: verdict.person.clone(),
            deleted: parsed.content.is_none(),
            sealed: if parsed.content.is_some() { key.seal(&context, content)? } else { Vec::new() },
            content_mac: verdict.content_mac,
            stored_at: call.requested_at,
            supersedes: verdict.supersedes,
        });
    }
    transaction.insert_revisions(&revisions).await?;
    Ok(())
}

/// One transfer record for each person and dataset of the chunk: received where anything of it was good, refused otherwise.
fn transfers(
    call: &Call,
    permits: &HashMap<Dataset, PushPermit>,
    items: &[Item],
) -> (Vec<TransferRecord>, BTreeMap<Place, Uuid>) {
    let mut places: BTreeMap<Place, (TransferRecord, Sha256)> = BTreeMap::new();
    for item in items {
        let (transfer, digest) = places.entry(item.place.clone()).or_insert_with(|| {
            let subject = Subject { local_address_number: item.place.local.clone(), unified_address_number: None };
            let mut transfer = call.transfer(item.place.dataset, &subject);
            if let Some(permit) = item.place.dataset.and_then(|dataset| permits.get(&dataset)) {
                transfer.affair = Some(permit.affair().as_str().to_owned());
                transfer.legal_basis = Some(permit.basis().to_owned());
                transfer.fields = call.hall.fields_of(permit.dataset());
            }
            (transfer, Sha256::new())
        });
        match &item.verdict {
            Ok(verdict) => {
                transfer.outcome = Outcome::Received;
                transfer.reason = None;
                transfer.unified_address_number = Some(verdict.person.clone());
                transfer.records.push((verdict.parsed.record_key.clone(), verdict.parsed.revision));
                digest.update(verdict.parsed.content.as_deref().unwrap_or_default());
            }
            Err(error) if transfer.records.is_empty() => refuse(transfer, error.reason),
            Err(_) => {}
        }
    }
    let ids = places.iter().map(|(place, (transfer, _))| (place.clone(), transfer.transfer_id)).collect();
    let transfers = places
        .into_values()
        .map(|(mut transfer, digest)| {
            if !transfer.records.is_empty() {
                transfer.content_sha256 = Some(digest.finalize().into());
            }
            transfer
        })
        .collect();
    (transfers, ids)
}

/// What the owner is told of one record.
fn told(index: usize, item: Item, transfer_ids: &BTreeMap<Place, Uuid>) -> v1::PushResult {
    let transfer_id = transfer_ids.get(&item.place).map(Uuid::to_string).unwrap_or_default();
    let (outcome, error) = match item.verdict {
        Ok(verdict) => (verdict.outcome, None),
        Err(error) => (v1::PushOutcome::Rejected, Some(error.into_item(index))),
    };
    v1::PushResult { record_key: item.record_key, revision: item.revision, outcome: outcome.into(), error, transfer_id }
}
