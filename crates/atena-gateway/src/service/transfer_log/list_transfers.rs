//! ListTransfers: transfers that match a filter, newest first, in stable pages.

use std::sync::Arc;

use atena_proto::v1;

use super::page::{Wanted, page};
use crate::call::Call;
use crate::error::CallError;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::ListTransfersRequest,
) -> Result<v1::ListTransfersResponse, CallError> {
    let permit = super::may_they(&call)?;
    let (query, subject) = super::query(&call, &request.filter).await?;
    let wanted =
        Wanted { page_size: request.page_size, page_token: &request.page_token, asked: &[request.filter.as_str()] };
    let (transfers, next_page_token) = page(&call, &permit, query.as_ref(), &wanted).await?;
    super::log_query(&call, &subject).await?;
    Ok(v1::ListTransfersResponse { transfers, next_page_token })
}
