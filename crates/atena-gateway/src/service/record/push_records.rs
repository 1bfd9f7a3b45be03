//! PushRecords: chunks of records. Each good record of a chunk becomes a new immutable revision; a chunk is stored whole, in one transaction with
//! its transfer records and with other chunks that wait, and its answer leaves after the commit (acknowledged-is-durable).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, RecordKey, UnifiedAddressNumber};
use atena_ledger::Outcome;
use atena_policy::{PushPermit, Role};
use atena_proto::v1;
use atena_store::{ComingRecord, NewRevision, RecordHead, WriteTransaction};
use atena_vault::{PersonKey, SealContext};
use sha2::{Digest, Sha256};
use tonic::Streaming;
use tracing::Instrument;
use uuid::Uuid;

use super::people::People;
use crate::ahead::Ahead;
use crate::call::{Answers, Call};
use crate::convert::pension::{ParsedRecord, dataset_of, parse_record};
use crate::convert::record_row;
use crate::error::{CallError, Reason};
use crate::log;
use crate::transfer::{Heading, Subject, TransferRecord, refuse};

/// Records in one chunk.
const RECORDS_MAX: usize = 1000;

pub(crate) async fn run(
    call: Arc<Call>,
    chunks: Streaming<v1::PushRecordsRequest>,
    answers: Answers<v1::PushRecordsResponse>,
) -> Result<(), CallError> {
    let policy = call.hall.policy();
    if !policy.system(&call.caller.system_id).is_some_and(|system| system.has_role(Role::DatasetOwner)) {
        return Err(atena_policy::Refusal::NotDatasetOwner.into());
    }
    let mut ahead = Ahead::of_chunks(&call, chunks, prepare);
    while let Some(chunks) = ahead.next_together().await? {
        let room = answers.room().await?;
        let results = store(&call, chunks).await?;
        answers.send_all(room, results.into_iter().map(|results| v1::PushRecordsResponse { results })).await?;
    }
    Ok(())
}

/// A record of a chunk; parsed, if it is good.
type Checked = (Item, Option<ParsedRecord>);

/// A chunk with everything done that can be done before its turn.
struct Prepared {
    permits: HashMap<Dataset, PushPermit>,
    records: Vec<Checked>,
    people: People,
}

/// Checks a chunk, finds the people and seals the records, while chunks before it are stored.
async fn prepare(call: Arc<Call>, chunk: v1::PushRecordsRequest) -> Result<Prepared, CallError> {
    call.keep_request_id(&chunk.request_id)?;
    if chunk.records.len() > RECORDS_MAX {
        return Err(CallError::new(Reason::MessageTooLarge, "send at most 1,000 records in a chunk"));
    }
    let permits = may_they(&call, &chunk.records).await?;
    let mut records: Vec<_> =
        tracing::info_span!("validate").in_scope(|| chunk.records.into_iter().map(parse_one).collect());
    let people = People::of(&call, &unknown(&records, &People::default())).await?;
    for (item, parsed) in &mut records {
        if let Some(parsed) = parsed {
            item.content_mac =
                call.hall.vault.content_mac(parsed.dataset.as_str(), parsed.content.as_deref().unwrap_or_default());
            if let Some((_, key)) = people.find(&parsed.local_address_number) {
                item.sealed = seal(key, parsed)?;
            }
        }
    }
    Ok(Prepared { permits, records, people })
}

/// Step 2: is the caller the owner of every dataset in the chunk? If not, nothing of it is even looked at.
async fn may_they(call: &Call, records: &[v1::PushedRecord]) -> Result<HashMap<Dataset, PushPermit>, CallError> {
    let today = call.hall.today();
    let mut permits = HashMap::new();
    for dataset in records.iter().filter_map(|record| dataset_of(record).ok()).collect::<HashSet<_>>() {
        match call.hall.policy().authorize_push(&call.caller.system_id, dataset, today) {
            Ok(permit) => permits.insert(dataset, permit),
            Err(refusal) => {
                let record = call.transfer(Some(dataset), Subject::default());
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
    content_mac: [u8; 32],
    /// The content, sealed, where it could be sealed ahead.
    sealed: Option<Vec<u8>>,
    verdict: Result<Verdict, CallError>,
}

/// The person and dataset that share one transfer record.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    local: Option<LocalAddressNumber>,
    dataset: Option<Dataset>,
}

/// What becomes of a good record.
struct Verdict {
    outcome: v1::PushOutcome,
    supersedes: bool,
    parsed: ParsedRecord,
    person: UnifiedAddressNumber,
}

/// A chunk whose records were compared with what is stored.
struct Judged {
    permits: HashMap<Dataset, PushPermit>,
    items: Vec<Item>,
    /// For each item the id of its transfer record.
    transfer_ids: Vec<Uuid>,
}

/// Stores chunks in their order, all of them or none, and tells what became of each record of each.
async fn store(call: &Arc<Call>, mut chunks: Vec<Prepared>) -> Result<Vec<Vec<v1::PushResult>>, CallError> {
    let mut people = People::default();
    for chunk in &mut chunks {
        people.add(std::mem::take(&mut chunk.people));
    }
    // Whoever was linked since is found now.
    people.add(People::of(call, &unknown(chunks.iter().flat_map(|chunk| &chunk.records), &people)).await?);
    let mut transaction = call.hall.store.begin_write("push_records").await?;
    let work = async {
        let erasures = transaction.erasures().await?;
        if people.erasures.is_some_and(|then| then != erasures) {
            people = again(call, &mut transaction, &people, &mut chunks).await?;
        }
        let mut heads = heads(&mut transaction, &people, chunks.iter().flat_map(|chunk| &chunk.records)).await?;
        let judged = chunks.into_iter().map(|Prepared { permits, records, .. }| Judged {
            permits,
            items: judge(&people, &mut heads, records),
            transfer_ids: Vec::new(),
        });
        let mut judged: Vec<_> = judged.collect();
        let revisions = revisions(call, &people, judged.iter_mut().flat_map(|chunk| &mut chunk.items))?;
        let of_call = Arc::clone(call);
        let sealing = log::seal_made(&call.hall, HashMap::new(), move || transfers_of(&of_call, &people, judged));
        transaction.insert_revisions(&revisions).await?;
        Ok::<_, CallError>(sealing)
    };
    let sealing = work.instrument(tracing::info_span!("store")).await?;
    let judged = log::commit(&call.hall, transaction, sealing).await?;
    Ok(judged.into_iter().map(|chunk| chunk.told(call)).collect())
}

/// The people of chunks, looked up again in their turn, since somebody was erased since.
async fn again(
    call: &Call,
    transaction: &mut WriteTransaction,
    before: &People,
    chunks: &mut [Prepared],
) -> Result<People, CallError> {
    let locals = unknown(chunks.iter().flat_map(|chunk| &chunk.records), &People::default());
    let people = People::in_turn(call, transaction, &locals).await?;
    for (item, parsed) in chunks.iter_mut().flat_map(|chunk| &mut chunk.records) {
        let local = parsed.as_ref().map(|parsed| &parsed.local_address_number);
        // Whoever has a number again is somebody else.
        if local.is_some_and(|local| people.linked.get(local) != before.linked.get(local)) {
            item.sealed = None;
        }
    }
    Ok(people)
}

/// A record with everything of its own checked, every violation at once.
fn parse_one(record: v1::PushedRecord) -> Checked {
    let place = Place {
        local: LocalAddressNumber::parse(&record.local_address_number).ok(),
        dataset: dataset_of(&record).ok(),
    };
    // A malformed key is not told back: it could be anything.
    let record_key = RecordKey::parse(&record.record_key).map(|key| key.as_str().to_owned()).unwrap_or_default();
    let (revision, content_mac) = (record.revision, [0; 32]);
    let unjudged = CallError::not_linked();
    match parse_record(record) {
        Ok(parsed) => {
            (Item { record_key, revision, place, content_mac, sealed: None, verdict: Err(unjudged) }, Some(parsed))
        }
        Err(error) => (Item { record_key, revision, place, content_mac, sealed: None, verdict: Err(error) }, None),
    }
}

/// Local numbers of good records whose people are not known yet.
fn unknown<'r>(records: impl IntoIterator<Item = &'r Checked>, known: &People) -> Vec<LocalAddressNumber> {
    let parsed = records.into_iter().filter_map(|(_, parsed)| parsed.as_ref());
    let locals = parsed.map(|parsed| &parsed.local_address_number);
    let unknown: HashSet<_> = locals.filter(|local| !known.linked.contains_key(*local)).collect();
    unknown.into_iter().cloned().collect()
}

/// The content of a record, sealed for its place; `None` for a deletion.
fn seal(key: &PersonKey, parsed: &ParsedRecord) -> Result<Option<Vec<u8>>, CallError> {
    let row = record_row(parsed.dataset, &parsed.record_key, parsed.revision);
    let context = SealContext { table: "record", column: "sealed", row: &row };
    Ok(parsed.content.as_deref().map(|content| key.seal(&context, content)).transpose()?)
}

/// The newest revisions of records, by dataset and key.
type Heads = HashMap<(Dataset, RecordKey), RecordHead>;

/// What is stored of the records that come in about people who are linked.
async fn heads<'r>(
    transaction: &mut WriteTransaction,
    people: &People,
    records: impl Iterator<Item = &'r Checked>,
) -> Result<Heads, CallError> {
    let mut of_datasets: HashMap<Dataset, Vec<ComingRecord<'_>>> = HashMap::new();
    for record in records.filter_map(|(_, record)| record.as_ref()) {
        if let Some(unified_address_number) = people.linked.get(&record.local_address_number) {
            let (record_key, revision) = (&record.record_key, record.revision);
            let coming = ComingRecord { unified_address_number, record_key, revision };
            of_datasets.entry(record.dataset).or_default().push(coming);
        }
    }
    let mut heads = Heads::new();
    for (dataset, records) in of_datasets {
        for (key, head) in transaction.record_heads(dataset, &records).await? {
            heads.insert((dataset, key), head);
        }
    }
    Ok(heads)
}

/// Compares each good record with what is stored, and with what came before it.
fn judge(people: &People, heads: &mut Heads, records: Vec<Checked>) -> Vec<Item> {
    let judged = records.into_iter().map(|(mut item, parsed)| {
        if let Some(parsed) = parsed {
            item.verdict = judge_one(people, heads, item.content_mac, parsed);
        }
        item
    });
    judged.collect()
}

fn judge_one(
    people: &People,
    heads: &mut Heads,
    content_mac: [u8; 32],
    parsed: ParsedRecord,
) -> Result<Verdict, CallError> {
    let person = people.linked.get(&parsed.local_address_number).cloned().ok_or_else(CallError::not_linked)?;
    let place = (parsed.dataset, parsed.record_key.clone());
    let deleted = parsed.content.is_none();
    if let Some(head) = heads.get(&place) {
        if head.unified_address_number != person {
            return Err(CallError::field("local_address_number", "this record_key belongs to another person already"));
        }
        if parsed.revision < head.revision {
            return Err(CallError::new(Reason::StaleRevision, "a newer revision of this record is stored already"));
        }
        if parsed.revision == head.revision {
            if head.deleted == deleted && head.content_mac == content_mac {
                return Ok(Verdict { outcome: v1::PushOutcome::Unchanged, supersedes: true, parsed, person });
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
    Ok(Verdict { outcome, supersedes, parsed, person })
}

/// The new revisions, those sealed that could not be sealed ahead.
fn revisions<'i>(
    call: &Call,
    people: &People,
    items: impl Iterator<Item = &'i mut Item>,
) -> Result<Vec<NewRevision>, CallError> {
    let mut revisions = Vec::with_capacity(items.size_hint().0);
    for item in items {
        let Some(verdict) = item.verdict.as_ref().ok().filter(|new| new.outcome != v1::PushOutcome::Unchanged) else {
            continue;
        };
        let parsed = &verdict.parsed;
        let sealed = match item.sealed.take() {
            Some(sealed) => Some(sealed),
            None => {
                let key = people.keys.get(&verdict.person).ok_or_else(|| {
                    tracing::error!("a linked person has no key");
                    CallError::new(Reason::Internal, "nothing was stored; tell the operator")
                })?;
                seal(key, parsed)?
            }
        };
        revisions.push(NewRevision {
            dataset: parsed.dataset,
            record_key: parsed.record_key.clone(),
            revision: parsed.revision,
            unified_address_number: verdict.person.clone(),
            deleted: parsed.content.is_none(),
            sealed: sealed.unwrap_or_default(),
            content_mac: item.content_mac,
            stored_at: call.requested_at,
            supersedes: verdict.supersedes,
        });
    }
    Ok(revisions)
}

/// The transfer records of chunks, and the chunks with their ids.
fn transfers_of(call: &Call, people: &People, mut judged: Vec<Judged>) -> (Vec<TransferRecord>, Vec<Judged>) {
    let mut records = Vec::new();
    for chunk in &mut judged {
        let (of_chunk, ids) = transfers(call, &chunk.permits, people, &chunk.items);
        records.extend(of_chunk);
        chunk.transfer_ids = ids;
    }
    (records, judged)
}

/// One transfer record for each person and dataset of the chunk: received where anything of it was good, refused otherwise. And for each
/// item the id of its record.
fn transfers(
    call: &Call,
    permits: &HashMap<Dataset, PushPermit>,
    people: &People,
    items: &[Item],
) -> (Vec<TransferRecord>, Vec<Uuid>) {
    let mut headings: HashMap<Option<Dataset>, Arc<Heading>> = HashMap::new();
    let mut of_place: HashMap<&Place, usize> = HashMap::with_capacity(items.len());
    let mut records: Vec<(TransferRecord, Sha256)> = Vec::with_capacity(items.len());
    let mut ids = Vec::with_capacity(items.len());
    for item in items {
        let at = *of_place.entry(&item.place).or_insert(records.len());
        if at == records.len() {
            let dataset = item.place.dataset;
            let heading = headings.entry(dataset).or_insert_with(|| Arc::new(heading(call, permits, dataset)));
            let subject = Subject { local_address_number: item.place.local.clone(), unified_address_number: None };
            records.push((TransferRecord::under(heading, subject), Sha256::new()));
        }
        let Some((transfer, digest)) = records.get_mut(at) else { continue };
        ids.push(transfer.transfer_id);
        match &item.verdict {
            Ok(verdict) => {
                transfer.outcome = Outcome::Received;
                transfer.reason = None;
                transfer.unified_address_number = Some(verdict.person.clone());
                transfer.person_key = people.keys.get(&verdict.person).cloned();
                transfer.records.push((verdict.parsed.record_key.clone(), verdict.parsed.revision));
                digest.update(verdict.parsed.content.as_deref().unwrap_or_default());
            }
            Err(error) if transfer.records.is_empty() => refuse(transfer, error.reason),
            Err(_) => {}
        }
    }
    let transfers = records.into_iter().map(|(mut transfer, digest)| {
        if !transfer.records.is_empty() {
            transfer.content_sha256 = Some(digest.finalize().into());
        }
        transfer
    });
    (transfers.collect(), ids)
}

/// What the records of a chunk about one dataset have in common.
fn heading(call: &Call, permits: &HashMap<Dataset, PushPermit>, dataset: Option<Dataset>) -> Heading {
    let mut heading = call.heading(dataset);
    if let Some(permit) = dataset.and_then(|dataset| permits.get(&dataset)) {
        heading.affair = Some(permit.affair().as_str().into());
        heading.legal_basis = Some(permit.basis().into());
        heading.fields = call.hall.fields_of(permit.dataset());
    }
    heading
}

// === impl Judged ===

impl Judged {
    /// What the owner is told of a chunk that is stored, and what is counted of it.
    fn told(self, call: &Call) -> Vec<v1::PushResult> {
        for dataset in self.permits.keys() {
            let good = |item: &&Item| item.place.dataset == Some(*dataset) && item.verdict.is_ok();
            let count = u64::try_from(self.items.iter().filter(good).count()).unwrap_or(u64::MAX);
            call.hall.metrics.records(count, call.caller.system_id.as_str(), dataset.as_str(), "inbound");
        }
        self.items
            .into_iter()
            .zip(self.transfer_ids)
            .enumerate()
            .map(|(index, (item, id))| told(index, item, id))
            .collect()
    }
}

/// What the owner is told of one record.
fn told(index: usize, item: Item, transfer_id: Uuid) -> v1::PushResult {
    let (outcome, error) = match item.verdict {
        Ok(verdict) => (verdict.outcome, None),
        Err(error) => (v1::PushOutcome::Rejected, Some(error.into_item(index))),
    };
    let transfer_id = transfer_id.to_string();
    v1::PushResult { record_key: item.record_key, revision: item.revision, outcome: outcome.into(), error, transfer_id }
}
