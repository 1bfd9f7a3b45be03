//! PullRecords: everything, or everything that changed since a cursor, in chunks; each chunk is logged before it leaves.

use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber};
use atena_proto::v1;
use atena_store::{Feed, Holding, StoredRecord};
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument;

use super::changes::{Window, feeds, whole_since};
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
    let cursor = match request.cursor.as_slice() {
        [] => None,
        cursor => Some(Cursor::open(&call, cursor, &allowed.permits)?),
    };
    let feeds = feeds(&call, &allowed.permits).await?;
    let position = match cursor {
        Some(position) => position,
        None => Position::Full { as_of: now_or_after(&call, whole_since(&feeds)).await?, after: None },
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
    pull.run(&feeds, position).await
}

/// The last change of now, which is not before this one.
pub(super) async fn now_or_after(call: &Call, sequence: u64) -> Result<u64, CallError> {
    Ok(call.hall.store.as_new_as(sequence).await.last_change_sequence().await?)
}

/// One pull under way.
pub(super) struct Pull<'a> {
    pub(super) call: &'a Arc<Call>,
    pub(super) allowed: &'a Arc<Allowed>,
    page: usize,
    answers: &'a Answers<v1::PullRecordsResponse>,
    pub(super) packer: Packer<'a>,
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
    async fn run(mut self, feeds: &[Feed], position: Position) -> Result<(), CallError> {
        let whole = whole_since(feeds);
        let done = match position {
            Position::Full { as_of, after } => self.everything(as_of, after).await?,
            Position::Again { since, as_of, after } => self.again(since, as_of, after).await?,
            Position::Changes { since } | Position::Window { since, .. } if since < whole => {
                self.everything_again(since, whole).await?
            }
            Position::Changes { since } => self.changes(feeds, since).await?,
            Position::Window { since, until, after } => {
                // The whole window again: what was delivered of it is left out by its people.
                match self.window(feeds, Window { since, until, after }, usize::MAX).await? {
                    Some(end) => self.changes(feeds, end).await?,
                    None => self.everything_again(since, whole).await?,
                }
            }
        };
        self.send(Position::Changes { since: done }, true).await?;
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
            if self.is_full() {
                self.send(Position::Full { as_of, after: Some(person.local_address_number) }, false).await?;
            }
        }
        Ok(())
    }

    /// Whether what waits fills a chunk.
    pub(super) fn is_full(&self) -> bool {
        self.chunk.records >= self.page
    }

    pub(super) fn pack(&mut self, to: &Addressee, dataset: Dataset, records: &[StoredRecord]) -> Result<(), CallError> {
        if let Some(parcel) = self.packer.pack(to, dataset, records)? {
            self.chunk.deliveries.push(parcel.delivery);
            self.chunk.transfers.push(parcel.transfer);
            self.chunk.records += records.len();
        }
        Ok(())
    }

    /// Logs the chunk, then sends it (log-before-release), while the next is packed and logged; chunks leave in their order. Room is made
    /// first, so that nothing is logged that the client won't take.
    pub(super) async fn send(&mut self, next: Position, complete: bool) -> Result<(), CallError> {
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
        match self.call.hall.log.append(records).await {
            Ok(()) => CallError { recorded: true, ..error },
            Err(unlogged) => unlogged,
        }
    }
}

fn lost(_: JoinError) -> CallError {
    CallError::new(Reason::Internal, "a chunk could not be sent; tell the operator")
}
