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
const PEOPLE_AT_ONCE: u32 = 1024;

/// Pages that wait for their turn; one more is being read.
const PAGES_WAITING_MAX: usize = 1;

/// The pages after `after`, in the order of the caller's local numbers: people, with everything that is packed for them. Each takes questions that
/// follow each other; they go back and forth while the page before is packed.
pub(super) fn ahead(
    call: &Arc<Call>,
    allowed: &Arc<Allowed>,
    as_of: u64,
    after: Option<LocalAddressNumber>,
) -> Ahead<Vec<Holding>> {
    let (call, allowed) = (Arc::clone(call), Arc::clone(allowed));
    Ahead::unfold(PAGES_WAITING_MAX, after, move |after| {
        let (call, allowed) = (Arc::clone(&call), Arc::clone(&allowed));
        async move {
            let people = read(&call, &allowed, as_of, after.as_ref()).await?;
            let last = people.last().map(|person| person.local_address_number.clone());
            Ok(last.map(|last| (people, Some(last))))
        }
    })
}

/// The people after `after`; none after the last.
async fn read(
    call: &Call,
    allowed: &Allowed,
    as_of: u64,
    after: Option<&LocalAddressNumber>,
) -> Result<Vec<Holding>, CallError> {
    let work = async {
        let store = call.hall.store.as_new_as(as_of).await;
        Ok(store.holdings_after(&allowed.permits, after, PEOPLE_AT_ONCE).await?)
    };
    work.instrument(tracing::info_span!("read")).await
}
