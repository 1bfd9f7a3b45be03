//! GetCheckpoint: the newest signed head of the log. It says nothing about anybody, so asking for it is not recorded.

use std::sync::Arc;

use atena_proto::v1;

use crate::call::Call;
use crate::error::CallError;

pub(crate) async fn run(
    call: Arc<Call>,
    _request: v1::GetCheckpointRequest,
) -> Result<v1::GetCheckpointResponse, CallError> {
    let log = &call.hall.log;
    Ok(v1::GetCheckpointResponse {
        checkpoint: log.newest_checkpoint().unwrap_or_default(),
        verifier_key: log.key().to_string(),
    })
}
