//! GetConsistencyProof: that one head of the log extends another. It says nothing about anybody, so asking for it is not recorded.

use std::sync::Arc;

use atena_ledger::{consistency_nodes, consistency_proof};
use atena_proto::v1;

use crate::call::Call;
use crate::error::CallError;
use crate::log::damaged;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::GetConsistencyProofRequest,
) -> Result<v1::GetConsistencyProofResponse, CallError> {
    let store = &call.hall.store;
    if request.new_size > store.log_size().await? {
        return Err(CallError::field("new_size", "is larger than the log"));
    }
    if request.old_size > request.new_size {
        return Err(CallError::field("old_size", "must not be larger than new_size"));
    }
    let nodes = store.log_nodes(&consistency_nodes(request.old_size, request.new_size)).await?;
    let proof = consistency_proof(request.old_size, request.new_size, |level, index| {
        nodes.get(&(level, index)).copied().ok_or("it was not fetched")
    })
    .map_err(|_| damaged())?;
    Ok(v1::GetConsistencyProofResponse { hashes: proof.iter().map(|hash| hash.0.to_vec()).collect() })
}
