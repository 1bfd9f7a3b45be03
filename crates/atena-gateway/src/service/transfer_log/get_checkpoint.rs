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
    let (checkpoint, key) = match log.newest_head() {
        Some(head) => (head.note, head.key),
        None => (String::new(), log.key()),
    };
    Ok(v1::GetCheckpointResponse { checkpoint, verifier_key: key.to_string() })
}
