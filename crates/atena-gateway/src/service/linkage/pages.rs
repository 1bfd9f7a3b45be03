//! The people of a full pull, page by page, read ahead of their turn.

use std::sync::Arc;

use atena_domain::LocalAddressNumber;
use atena_store::Holding;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::Allowed;
use crate::call::Call;
use crate::error::{CallError, Reason};

/// People read at once.
const PEOPLE_AT_ONCE: u32 = 512;

/// Pages that wait for their turn; one more is being read.
const PAGES_WAITING_MAX: usize = 1;

/// Some of the caller's people, with everything that is packed for them.
pub(super) struct Page {
    pub(super) people: Vec<Holding>,
    pub(super) last: LocalAddressNumber,
}

/// Pages in the order of the caller's local numbers. A task of its own reads them: while a page is packed, the questions for the next go
/// back and forth.
pub(super) struct Pages {
    read: mpsc::Receiver<Result<Option<Page>, CallError>>,
    _work: AbortOnDropHandle<()>,
}

// === impl Pages ===

impl Pages {
    /// Begins with the people after `after`.
    pub(super) fn new(
        call: &Arc<Call>,
        allowed: &Arc<Allowed>,
        as_of: u64,
        mut after: Option<LocalAddressNumber>,
    ) -> Self {
        let (sender, read) = mpsc::channel(PAGES_WAITING_MAX);
        let (call, allowed) = (Arc::clone(call), Arc::clone(allowed));
        let work = async move {
            loop {
                let page = Page::read(&call, &allowed, as_of, after).await;
                after = page.as_ref().ok().and_then(|page| page.as_ref().map(|page| page.last.clone()));
                if sender.send(page).await.is_err() || after.is_none() {
                    return;
                }
            }
        };
        Self { read, _work: AbortOnDropHandle::new(tokio::spawn(work.in_current_span())) }
    }

    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, CallError> {
        let broken = || CallError::new(Reason::Internal, "a page could not be read; tell the operator");
        self.read.recv().await.ok_or_else(broken)?
    }
}

// === impl Page ===

impl Page {
    /// The people after `after`; `None` after the last.
    async fn read(
        call: &Call,
        allowed: &Allowed,
        as_of: u64,
        after: Option<LocalAddressNumber>,
    ) -> Result<Option<Self>, CallError> {
        let work = async {
            let store = call.hall.store.as_new_as(as_of).await;
            let people = store.holdings_after(&allowed.permits, after.as_ref(), PEOPLE_AT_ONCE).await?;
            let last = people.last().map(|person| person.local_address_number.clone());
            Ok(last.map(|last| Self { people, last }))
        };
        work.instrument(tracing::info_span!("read")).await
    }
}
