//! The people of a full pull, page by page, read ahead of their turn.

use std::sync::Arc;

use atena_domain::LocalAddressNumber;
use atena_store::Holding;
use tracing::Instrument;

use super::Allowed;
use crate::ahead::Ahead;
use crate::call::Call;
use crate::error::CallError;

/// People read at once.
const PEOPLE_AT_ONCE: u32 = 512;

/// Pages that wait for their turn; one more is being read.
const PAGES_WAITING_MAX: usize = 1;

/// Some of the caller's people, with everything that is packed for them.
pub(super) struct Page {
    pub(super) people: Vec<Holding>,
    pub(super) last: LocalAddressNumber,
}

// === impl Page ===

impl Page {
    /// The pages after `after`, in the order of the caller's local numbers. Each takes questions that follow each other; they go back and forth
    /// while the page before is packed.
    pub(super) fn ahead(
        call: &Arc<Call>,
        allowed: &Arc<Allowed>,
        as_of: u64,
        after: Option<LocalAddressNumber>,
    ) -> Ahead<Self> {
        let (call, allowed) = (Arc::clone(call), Arc::clone(allowed));
        Ahead::unfold(PAGES_WAITING_MAX, after, move |after| {
            let (call, allowed) = (Arc::clone(&call), Arc::clone(&allowed));
            async move {
                let page = Self::read(&call, &allowed, as_of, after).await?;
                Ok(page.map(|page| {
                    let last = page.last.clone();
                    (page, Some(last))
                }))
            }
        })
    }

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
