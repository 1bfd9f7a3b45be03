//! GetPushStatus: what the gateway holds of a dataset, for its owner to reconcile with.

use std::sync::Arc;

use atena_proto::v1;

use crate::call::Call;
use crate::convert::dataset::parse_pension_dataset;
use crate::error::CallError;
use crate::transfer::Subject;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::GetPushStatusRequest,
) -> Result<v1::GetPushStatusResponse, CallError> {
    let dataset = parse_pension_dataset(request.dataset)?;
    let permit = match call.hall.policy().authorize_push(&call.caller.system_id, dataset, call.hall.today()) {
        Ok(permit) => permit,
        Err(refusal) => {
            let record = call.transfer(Some(dataset), Subject::default());
            return Err(call.refuse(refusal.into(), vec![record]).await);
        }
    };
    let status = call.hall.store.push_status(&permit).await?;
    Ok(v1::GetPushStatusResponse {
        current_records: status.current_records,
        deleted_records: status.deleted_records,
        revisions: status.revisions,
        last_revision: status.last_revision,
        // The owner's own changes alone: a number of the municipality would tell how much others did.
        last_change_sequence: status.revisions,
    })
}
