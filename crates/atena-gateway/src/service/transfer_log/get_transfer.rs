//! GetTransfer: one transfer, whole.

use std::sync::Arc;

use atena_proto::v1;

use super::tell;
use crate::call::Call;
use crate::error::{CallError, Reason};
use crate::log::search;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::GetTransferRequest,
) -> Result<v1::GetTransferResponse, CallError> {
    super::may_they(&call)?;
    let id = super::transfer_id(&request.transfer_id)?;
    let located = search::by_id(&call.hall.log, id)
        .await?
        .ok_or_else(|| CallError::new(Reason::TransferNotFound, "no transfer has this id"))?;
    let subject = located.found.subject();
    super::log_query(&call, &subject).await?;
    Ok(v1::GetTransferResponse { transfer: Some(tell::transfer(located.found, super::numbers(&call))) })
}
