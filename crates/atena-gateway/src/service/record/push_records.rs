//! PushRecords: chunks of records. Each good record of a chunk becomes a new immutable revision; a chunk is stored whole, in one transaction with
//! its transfer records and with other chunks that wait, and its answer leaves after the commit (acknowledged-is-durable).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber};
use atena_ledger::Outcome;
use atena_policy::{PushPermit, Role};
use atena_proto::{arriving, v1};
use atena_store::{ComingRecord, WriteTransaction};
use sha2::{Digest, Sha256};
use tonic::Streaming;
use tracing::Instrument;
use uuid::Uuid;

use super::item::{Coming, Heads, Item, Place};
use super::{notice, people};
use crate::call::{Answers, Call, prefetch_chunks};
use crate::convert::pushed::{ArrivedRecord, arrived};
use crate::error::{CallError, Reason};
use crate::transfer::{Heading, Subject, TransferRecord, refuse};

/// Records in one chunk.
const RECORDS_MAX: usize = 1000;

pub(crate) async fn run(
    call: Arc<Call>,
    chunks: Streaming<arriving::PushRecordsRequest>,
    answers: Answers<v1::PushRecordsResponse>,
) -> Result<(), CallError> {
    let policy = call.hall.policy();
    if !policy.system(&call.caller.system_id).is_some_and(|system| system.has_role(Role::DatasetOwner)) {
        return Err(atena_policy::Refusal::NotDatasetOwner.into());
    }
    let mut ahead = prefetch_chunks(&call, chunks, prepare);
    while let Some(chunks) = ahead.next_together().await? {
        let room = answers.room().await?;
        let results = store(&call, chunks).await?;
        answers.send_all(room, results.into_iter().map(|results| v1::PushRecordsResponse { results })).await?;
    }
    Ok(())
}

/// The permits of a chunk, by dataset.
pub(super) type Permits = HashMap<Dataset, Arc<PushPermit>>;

/// A chunk with everything done that can be done before its turn.
struct Prepared {
    /// Of this chunk: each of a stream has its own.
    request_id: Option<String>,
    permits: Permits,
    items: Vec<Item>,
    /// How many people had been erased when its people were looked up; `None` where nobody was.
    erasures: Option<u64>,
}

/// Checks a chunk, finds the people and seals the records, while chunks before it are stored.
async fn prepare(call: Arc<Call>, chunk: arriving::PushRecordsRequest) -> Result<Prepared, CallError> {
    let request_id = call.keep_request_id(&chunk.request_id)?;
    if chunk.records.len() > RECORDS_MAX {
        return Err(CallError::new(Reason::MessageTooLarge, "send at most 1,000 records in a chunk"));
    }
    let records: Vec<_> = chunk.records.into_iter().map(arrived).collect();
    let permits = may_they(&call, &records).await?;
    let (vault, today) = (&call.hall.vault, call.hall.today());
    let mut items: Vec<_> = tracing::info_span!("validate")
        .in_scope(|| records.into_iter().map(|record| Item::of(record, vault, today)).collect());
    let (erasures, people) = people::of(&call, unknown(&items)).await?;
    items.iter_mut().try_for_each(|item| item.meet(&people))?;
    Ok(Prepared { request_id, permits, items, erasures })
}

/// Step 2: is the caller the owner of every dataset in the chunk? If not, nothing of it is even looked at.
async fn may_they(call: &Call, records: &[Result<ArrivedRecord, CallError>]) -> Result<Permits, CallError> {
    let today = call.hall.today();
    let datasets: BTreeSet<_> =
        records.iter().flatten().filter_map(|record| record.dataset.as_ref().ok()).copied().collect();
    let mut permits = HashMap::with_capacity(datasets.len());
    for dataset in datasets {
        match call.hall.policy().authorize_push(&call.caller.system_id, dataset, today) {
            Ok(permit) => permits.insert(dataset, Arc::new(permit)),
            Err(refusal) => {
                let record = call.transfer(Some(dataset), Subject::default());
                return Err(call.refuse(refusal.into(), vec![record]).await);
            }
        };
    }
    Ok(permits)
}

/// What the owner is told of a chunk once it is stored.
struct Told {
    results: Vec<v1::PushResult>,
    /// How many records of each dataset were good.
    good: Vec<(Dataset, u64)>,
}

/// Stores chunks in their order, all of them or none, and tells what became of each record of each.
async fn store(call: &Arc<Call>, mut chunks: Vec<Prepared>) -> Result<Vec<Vec<v1::PushResult>>, CallError> {
    // Whoever was linked since is found now.
    let (erasures, people) = people::of(call, unknown(items(&chunks))).await?;
    items_mut(&mut chunks).try_for_each(|item| item.meet(&people))?;
    let erasures = chunks.iter().filter_map(|chunk| chunk.erasures).chain(erasures).min();
    let mut transaction = call.hall.store.begin_write("push_records").await?;
    let work = async {
        let erased = transaction.erasures().await?;
        if erasures.is_some_and(|then| then != erased) {
            // In its turn: nobody is erased until it ends.
            let locals = items(&chunks).filter_map(|item| item.place.local.clone()).collect();
            let people = people::in_turn(call, &mut transaction, locals).await?;
            items_mut(&mut chunks).try_for_each(|item| item.meet_again(&people))?;
        }
        let mut heads = heads(&mut transaction, items(&chunks)).await?;
        items_mut(&mut chunks).for_each(|item| item.judge(&mut heads));
        let permits = chunks.iter().fold(Permits::new(), |mut all, chunk| {
            all.extend(chunk.permits.iter().map(|(dataset, permit)| (*dataset, Arc::clone(permit))));
            all
        });
        notice::decide(call, &mut transaction, &permits, items_mut(&mut chunks)).await?;
        let new = items(&chunks).filter_map(|item| item.new_revision(call.requested_at).transpose());
        let revisions = new.collect::<Result<Vec<_>, _>>()?;
        let of_call = Arc::clone(call);
        let sealing = call.hall.log.seal_made(HashMap::new(), move || transfers_of(&of_call, chunks));
        transaction.insert_revisions(&revisions).await?;
        Ok::<_, CallError>(sealing)
    };
    let sealing = work.instrument(tracing::info_span!("store")).await?;
    let told = call.hall.log.commit(transaction, sealing).await?;
    for (dataset, count) in told.iter().flat_map(|told| &told.good) {
        call.hall.metrics.records(*count, call.caller.system_id.as_str(), dataset.as_str(), "inbound");
    }
    Ok(told.into_iter().map(|told| told.results).collect())
}

fn items(chunks: &[Prepared]) -> impl Iterator<Item = &Item> {
    chunks.iter().flat_map(|chunk| &chunk.items)
}

fn items_mut(chunks: &mut [Prepared]) -> impl Iterator<Item = &mut Item> {
    chunks.iter_mut().flat_map(|chunk| &mut chunk.items)
}

/// Local numbers of records whose people are not known yet; of refused records too.
fn unknown<'i>(items: impl IntoIterator<Item = &'i Item>) -> Vec<LocalAddressNumber> {
    let unknown = items.into_iter().filter(|item| item.person.is_none());
    unknown.filter_map(|item| item.place.local.clone()).collect()
}

/// What is stored of the records that come in about people who are linked.
async fn heads(transaction: &mut WriteTransaction, items: impl Iterator<Item = &Item>) -> Result<Heads, CallError> {
    let mut of_datasets: HashMap<Dataset, Vec<ComingRecord<'_>>> = HashMap::new();
    let mut count = 0;
    for item in items {
        if let (Ok(Coming { record, .. }), Some(person)) = (&item.coming, &item.person) {
            let unified_address_number = &person.unified_address_number;
            let (record_key, revision) = (&record.record_key, record.revision);
            let coming = ComingRecord { unified_address_number, record_key, revision };
            of_datasets.entry(record.dataset).or_default().push(coming);
            count += 1;
        }
    }
    let mut heads = Heads::with_capacity(count);
    for (dataset, records) in of_datasets {
        for (key, head) in transaction.record_heads(dataset, &records).await? {
            heads.insert((dataset, key), head);
        }
    }
    Ok(heads)
}

/// The transfer records of chunks, and what their owner is told of them.
fn transfers_of(call: &Call, chunks: Vec<Prepared>) -> (Vec<TransferRecord>, Vec<Told>) {
    let (mut records, mut told) = (Vec::new(), Vec::with_capacity(chunks.len()));
    for chunk in chunks {
        let (of_chunk, transfer_ids) = transfers(call, &chunk);
        records.extend(of_chunk);
        told.push(Told::of(chunk, &transfer_ids));
    }
    (records, told)
}

/// One transfer record for each person and dataset of the chunk: received where anything of it was good, refused otherwise. And for each
/// item the id of its record.
fn transfers(call: &Call, chunk: &Prepared) -> (Vec<TransferRecord>, Vec<Uuid>) {
    let Prepared { items, .. } = chunk;
    let mut headings: HashMap<Option<Dataset>, Arc<Heading>> = HashMap::new();
    let mut of_place: HashMap<&Place, usize> = HashMap::with_capacity(items.len());
    let mut records: Vec<(TransferRecord, Sha256)> = Vec::with_capacity(items.len());
    let mut ids = Vec::with_capacity(items.len());
    for item in items {
        let at = *of_place.entry(&item.place).or_insert(records.len());
        if at == records.len() {
            let dataset = item.place.dataset;
            let heading = headings.entry(dataset).or_insert_with(|| Arc::new(heading(call, chunk, dataset)));
            let subject = Subject { local_address_number: item.place.local.clone(), unified_address_number: None };
            records.push((TransferRecord::under(heading, subject), Sha256::new()));
        }
        let Some((transfer, digest)) = records.get_mut(at) else { continue };
        ids.push(transfer.transfer_id);
        if let (Some(person), None) = (&item.person, &transfer.unified_address_number) {
            transfer.unified_address_number = Some(person.unified_address_number.clone());
            transfer.person_key = person.key.clone();
        }
        match &item.coming {
            Ok(Coming { record, .. }) => {
                transfer.outcome = Outcome::Received;
                transfer.reason = None;
                transfer.records.push((record.record_key.clone(), record.revision));
                digest.update(record.content.as_deref().unwrap_or_default());
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
fn heading(call: &Call, chunk: &Prepared, dataset: Option<Dataset>) -> Heading {
    let request_id = chunk.request_id.as_deref().map(Into::into);
    let mut heading = Heading { request_id, ..call.heading(dataset) };
    if let Some(permit) = dataset.and_then(|dataset| chunk.permits.get(&dataset)) {
        heading.affair = Some(permit.affair().as_str().into());
        heading.legal_basis = Some(permit.basis().into());
        heading.fields = call.hall.fields_of(permit.dataset());
    }
    heading
}

// === impl Told ===

impl Told {
    fn of(Prepared { permits, items, .. }: Prepared, transfer_ids: &[Uuid]) -> Self {
        let count = |dataset: &Dataset| {
            let good = items.iter().filter(|item| item.place.dataset == Some(*dataset) && item.coming.is_ok());
            (*dataset, u64::try_from(good.count()).unwrap_or(u64::MAX))
        };
        let good = permits.keys().map(count).collect();
        let results = items.into_iter().zip(transfer_ids).enumerate();
        Self { results: results.map(|(index, (item, id))| item.told(index, *id)).collect(), good }
    }
}
