//! GetTransfer: one transfer, whole.

use std::sync::Arc;

use atena_proto::v1;
use uuid::Uuid;

use super::tell;
use crate::call::Call;
use crate::error::{CallError, Reason};
use crate::transfer::Subject;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::GetTransferRequest,
) -> Result<v1::GetTransferResponse, CallError> {
    let permit = super::may_they(&call)?;
    let id = Uuid::parse_str(&request.transfer_id).map_err(|_| CallError::field("transfer_id", "must be a UUID"))?;
    let record = call
        .hall
        .store
        .transfer(&permit, id)
        .await?
        .ok_or_else(|| CallError::new(Reason::TransferNotFound, "no transfer has this id"))?;
    let subject = Subject { local_address_number: None, unified_address_number: record.unified_address_number.clone() };
    super::log_query(&call, &subject).await?;
    Ok(v1::GetTransferResponse { transfer: Some(tell::transfer(record)) })
}
