//! PullRecords: everything, or everything that changed since a cursor, in chunks; each chunk is logged before it leaves.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, UnifiedAddressNumber};
use atena_proto::v1;
use atena_store::{Change, Holding, Store, StoredRecord};
use atena_vault::PersonKey;
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument;

use super::deliver::{Addressee, Packer};
use super::{Allowed, decide, pages, refuse};
use crate::ahead::take_turns;
use crate::call::{Answers, Call};
use crate::convert::dataset::parse_pension_datasets;
use crate::cursor::{Cursor, Position};
use crate::error::{CallError, Reason};
use crate::transfer::{Subject, TransferRecord};

/// Records in a chunk unless the caller says otherwise, and at most.
const PAGE_DEFAULT: u32 = 256;
const PAGE_MAX: u32 = 1000;

/// Changes read at once.
const CHANGES_AT_ONCE: u32 = 512;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::PullRecordsRequest,
    answers: Answers<v1::PullRecordsResponse>,
) -> Result<(), CallError> {
    call.keep_request_id(&request.request_id)?;
    let datasets = parse_pension_datasets(&request.datasets)?;
    let allowed = match decide(&call, &request.affair, &datasets) {
        Ok(permits) => Arc::new(Allowed { datasets, permits }),
        Err(error) => return Err(refuse(&call, &request.affair, &datasets, &[Subject::default()], error).await),
    };
    let page_size = match request.page_size {
        0 => PAGE_DEFAULT,
        size @ 1..=PAGE_MAX => size,
        _ => return Err(CallError::field("page_size", "must be 0 to 1000")),
    };
    let position = if request.cursor.is_empty() {
        Position::Full { as_of: call.hall.store.as_new_as(0).await.last_change_sequence().await?, after: None }
    } else {
        Cursor::open(&call, &request.cursor, &allowed.permits)?
    };
    let page = usize::try_from(page_size).unwrap_or(usize::MAX);
    let pull = Pull {
        call: &call,
        allowed: &allowed,
        page,
        answers: &answers,
        packer: Packer::new(&call, &allowed.permits),
        chunk: Chunk::default(),
        leaving: None,
    };
    pull.run(position).await
}

/// One pull under way.
struct Pull<'a> {
    call: &'a Arc<Call>,
    allowed: &'a Arc<Allowed>,
    page: usize,
    answers: &'a Answers<v1::PullRecordsResponse>,
    packer: Packer<'a>,
    chunk: Chunk,
    /// The chunk before, on its way into the log and to the client, behind those before it. The room for answers bounds how many they are.
    leaving: Option<JoinHandle<Result<(), CallError>>>,
}

/// Deliveries that wait to be logged and sent together.
#[derive(Default)]
struct Chunk {
    deliveries: Vec<v1::Delivery>,
    transfers: Vec<TransferRecord>,
    records: usize,
}

/// Changed records of one delivery, in the order in which they first changed.
type Gathered = Vec<((LocalAddressNumber, UnifiedAddressNumber, Dataset), Vec<StoredRecord>)>;

/// Records of people, by person and dataset.
type ByPerson = HashMap<UnifiedAddressNumber, Vec<(Dataset, Vec<StoredRecord>)>>;

// === impl Chunk ===

impl Chunk {
    /// Takes what is there, and leaves room for as much again.
    fn take(&mut self) -> Self {
        let count = self.deliveries.len();
        let next = Self { deliveries: Vec::with_capacity(count), transfers: Vec::with_capacity(count), records: 0 };
        std::mem::replace(self, next)
    }
}

// === impl Pull ===

impl<'a> Pull<'a> {
    async fn run(mut self, position: Position) -> Result<(), CallError> {
        let done = match position {
            Position::Full { as_of, after } => self.everything(as_of, after).await?,
            Position::Changes { since, after } => self.changes(since, after).await?,
        };
        self.send(Position::Changes { since: done, after: done }, true).await?;
        self.sent().await
    }

    /// A full pull: the caller's people in the order of their local numbers. While a page is packed, logged and sent, the next are read.
    async fn everything(&mut self, as_of: u64, after: Option<LocalAddressNumber>) -> Result<u64, CallError> {
        let mut pages = pages::ahead(self.call, self.allowed, as_of, after);
        while let Some(page) = pages.next().await? {
            self.deliver(as_of, page).await?;
        }
        Ok(as_of)
    }

    /// Packs the people of a page, and sends a chunk whenever one is full. What is left goes with the next page.
    async fn deliver(&mut self, as_of: u64, people: Vec<Holding>) -> Result<(), CallError> {
        for (place, person) in people.into_iter().enumerate() {
            take_turns(place).await;
            let to = Addressee::of(self.call, &person)?;
            for records in person.records.chunk_by(|one, next| one.dataset == next.dataset) {
                let Some(dataset) = records.first().map(|record| record.dataset) else { continue };
                self.pack(&to, dataset, records)?;
            }
            if self.chunk.records >= self.page {
                self.send(Position::Full { as_of, after: Some(person.local_address_number) }, false).await?;
            }
        }
        Ok(())
    }

    /// What changed after `since`, from the change `after` on. A change that touched only fields the caller may not have is no
    /// change to the caller: it is not delivered, and no chunk, count or size tells of it.
    async fn changes(&mut self, since: u64, mut after: u64) -> Result<u64, CallError> {
        let until = self.call.hall.store.as_new_as(since.max(after)).await.last_change_sequence().await?;
        loop {
            let store = self.call.hall.store.as_new_as(until).await;
            let changes = store
                .changes(&self.allowed.permits, since, after, until, CHANGES_AT_ONCE)
                .instrument(tracing::info_span!("read"))
                .await?;
            let Some(last) = changes.last().map(Change::sequence) else {
                return Ok(until);
            };
            after = last;
            let linked: Vec<_> = changes
                .iter()
                .filter_map(|change| match change {
                    Change::Linked { unified_address_number, .. } => Some(unified_address_number.clone()),
                    Change::Record { .. } => None,
                })
                .collect();
            let people: HashSet<_> = changes.iter().map(Change::unified_address_number).cloned().collect();
            let people: Vec<_> = people.into_iter().collect();
            let keys = self.call.hall.open_keys(&store.person_keys(&people).await?)?;
            let mut new_links = read(self.allowed, &store, &linked).await?;
            let before = self.before(&store, &changes, since).await?;

            let mut gathered: Gathered = Vec::new();
            for change in changes {
                match change {
                    Change::Linked { local_address_number, unified_address_number, .. } => {
                        for (dataset, records) in new_links.remove(&unified_address_number).unwrap_or_default() {
                            let to = (local_address_number.clone(), unified_address_number.clone(), dataset);
                            gathered.push((to, records));
                        }
                    }
                    Change::Record { sequence, local_address_number, stored } => {
                        let key = keys.get(&stored.unified_address_number);
                        if self.visible(key, &stored, before.get(&sequence))? {
                            let to = (local_address_number, stored.unified_address_number.clone(), stored.dataset);
                            match gathered.iter_mut().find(|(place, _)| *place == to) {
                                Some((_, records)) => records.push(stored),
                                None => gathered.push((to, vec![stored])),
                            }
                        }
                    }
                }
            }
            for ((local, person, dataset), records) in gathered {
                let key = keys.get(&person).cloned();
                self.pack(&Addressee::new(local, person, key), dataset, &records)?;
            }
            if self.chunk.records >= self.page {
                self.send(Position::Changes { since, after }, false).await?;
            }
        }
    }

    /// The revisions that the caller could have had at `since`, by the changes that came after.
    async fn before(
        &self,
        store: &Store,
        changes: &[Change],
        since: u64,
    ) -> Result<HashMap<u64, StoredRecord>, CallError> {
        let of_records = |change: &Change| match change {
            Change::Record { sequence, .. } => Some(*sequence),
            Change::Linked { .. } => None,
        };
        let sequences: Vec<_> = changes.iter().filter_map(of_records).collect();
        Ok(store.revisions_before(&self.allowed.permits, &sequences, since).await?)
    }

    /// Whether the caller can see a difference between what it could have had before and what is there now.
    fn visible(
        &mut self,
        key: Option<&Arc<PersonKey>>,
        now: &StoredRecord,
        before: Option<&StoredRecord>,
    ) -> Result<bool, CallError> {
        Ok(match before {
            None => !now.deleted,
            Some(before) if before.deleted || now.deleted => before.deleted != now.deleted,
            Some(before) => self.packer.filtered(key, before)? != self.packer.filtered(key, now)?,
        })
    }

    fn pack(&mut self, to: &Addressee, dataset: Dataset, records: &[StoredRecord]) -> Result<(), CallError> {
        if let Some(parcel) = self.packer.pack(to, dataset, records)? {
            self.chunk.deliveries.push(parcel.delivery);
            self.chunk.transfers.push(parcel.transfer);
            self.chunk.records += records.len();
        }
        Ok(())
    }

    /// Logs the chunk, then sends it (log-before-release), while the next is packed and logged; chunks leave in their order. Room is made
    /// first, so that nothing is logged that the client won't take.
    async fn send(&mut self, next: Position, complete: bool) -> Result<(), CallError> {
        if !self.allowed.still(self.call) {
            self.sent().await?;
            return Err(self.rules_changed().await);
        }
        let Chunk { deliveries, transfers, .. } = self.chunk.take();
        let room = match self.answers.room().await {
            Ok(room) => room,
            Err(error) => {
                self.sent().await?;
                return Err(self.cancelled(error).await);
            }
        };
        let next_cursor = Cursor::seal(self.call, &next, &self.allowed.permits)?;
        let (call, before) = (Arc::clone(self.call), self.leaving.take());
        let work = async move {
            let logged = if transfers.is_empty() { Ok(()) } else { call.log_release(transfers).await };
            if let Some(before) = before {
                before.await.map_err(lost)??;
            }
            logged?;
            room.send(Ok(v1::PullRecordsResponse { deliveries, next_cursor, complete }));
            Ok(())
        };
        self.leaving = Some(tokio::spawn(work.in_current_span()));
        Ok(())
    }

    /// Waits until the chunks that are being logged have left.
    async fn sent(&mut self) -> Result<(), CallError> {
        let Some(leaving) = self.leaving.take() else { return Ok(()) };
        leaving.await.map_err(lost)?
    }

    /// Records for every dataset that the rest of the pull is not allowed any more.
    async fn rules_changed(&self) -> CallError {
        let error = CallError::new(
            Reason::RuleChanged,
            "the rules changed during the pull; what was sent until now was allowed; pull again without a cursor",
        );
        let affair = self.allowed.permits.first().map(|permit| permit.affair().as_str()).unwrap_or_default();
        refuse(self.call, affair, &self.allowed.datasets, &[Subject::default()], error).await
    }

    /// Records for every dataset that the rest of the pull was cancelled or timed out.
    async fn cancelled(&self, error: CallError) -> CallError {
        let reason = error.reason;
        let mut records: Vec<_> =
            self.allowed.permits.iter().map(|permit| self.call.release(permit, Subject::default())).collect();
        for record in &mut records {
            crate::transfer::not_sent(record, reason);
        }
        match crate::log::append(&self.call.hall, records).await {
            Ok(()) => CallError { recorded: true, ..error },
            Err(unlogged) => unlogged,
        }
    }
}

fn lost(_: JoinError) -> CallError {
    CallError::new(Reason::Internal, "a chunk could not be sent; tell the operator")
}

/// Current records of people.
async fn read(allowed: &Allowed, store: &Store, people: &[UnifiedAddressNumber]) -> Result<ByPerson, CallError> {
    let work = async {
        let records = store.current_records(&allowed.permits, people).await?;
        let mut by_person = ByPerson::with_capacity(people.len());
        for record in records {
            let of_person = by_person.entry(record.unified_address_number.clone()).or_default();
            match of_person.last_mut() {
                Some((dataset, records)) if *dataset == record.dataset => records.push(record),
                _ => of_person.push((record.dataset, vec![record])),
            }
        }
        Ok(by_person)
    };
    work.instrument(tracing::info_span!("read")).await
}
