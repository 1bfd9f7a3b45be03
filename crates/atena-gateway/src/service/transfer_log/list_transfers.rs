//! ListTransfers: transfers that match a filter, newest first, in stable pages.

use std::sync::Arc;

use atena_proto::v1;

use super::tell;
use crate::call::Call;
use crate::error::CallError;

/// Transfers in a page unless the auditor says otherwise, and at most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::ListTransfersRequest,
) -> Result<v1::ListTransfersResponse, CallError> {
    let permit = super::may_they(&call)?;
    let page_size = match request.page_size {
        0 => PAGE_DEFAULT,
        size @ 1..=PAGE_MAX => size,
        _ => return Err(CallError::field("page_size", "must be 0 to 1000")),
    };
    let before = match request.page_token.as_str() {
        "" => None,
        token => Some(
            token
                .parse()
                .map_err(|_| CallError::field("page_token", "must be the next_page_token of the previous page"))?,
        ),
    };
    let (query, subject) = super::query(&call, &request.filter).await?;
    let found = match &query {
        // One more than the page tells whether another page follows.
        Some(query) => call.hall.store.list_transfers(&permit, query, before, page_size + 1).await?,
        None => Vec::new(),
    };
    let page = usize::try_from(page_size).unwrap_or(usize::MAX);
    let next_page_token = match found.get(page) {
        Some(_) => found.get(page - 1).map(|(sequence, _)| sequence.to_string()).unwrap_or_default(),
        None => String::new(),
    };
    let transfers = found.into_iter().take(page).map(|(_, record)| tell::transfer(record)).collect();
    super::log_query(&call, &subject).await?;
    Ok(v1::ListTransfersResponse { transfers, next_page_token })
}
