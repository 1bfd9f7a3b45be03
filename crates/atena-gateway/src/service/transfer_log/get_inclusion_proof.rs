//! GetInclusionProof: a receipt for one transfer, to be checked offline.

use std::sync::Arc;

use atena_ledger::{Checkpoint, Note, Receipt, inclusion_nodes, inclusion_proof};
use atena_proto::v1;

use crate::call::Call;
use crate::convert::hexadecimal;
use crate::error::{CallError, Reason};
use crate::log::{damaged, search};

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::GetInclusionProofRequest,
) -> Result<v1::GetInclusionProofResponse, CallError> {
    let id = super::transfer_id(&request.transfer_id)?;
    let auditor = super::may_they(&call).is_ok();
    let located = search::by_id(&call.hall.log, id)
        .await?
        // Whether somebody else's transfer exists is nobody's business.
        .filter(|located| auditor || located.found.shape.system == call.caller.system_id.as_str())
        .ok_or_else(|| CallError::new(Reason::TransferNotFound, "no transfer of yours has this id"))?;
    let checkpoint = call.hall.log.checkpoint_over(located.index).await.ok_or_else(|| {
        CallError::new(Reason::LogUnavailable, "the head of the log is not signed at present; try again later")
    })?;
    let text = Note::parse(&checkpoint).map_err(|_| damaged())?.text;
    let size = Checkpoint::parse(&text).map_err(|_| damaged())?.size;
    let nodes = call.hall.store.log_nodes(&inclusion_nodes(located.index, size)).await?;
    let proof = inclusion_proof(located.index, size, |level, index| {
        nodes.get(&(level, index)).copied().ok_or("it was not fetched")
    })
    .map_err(|_| damaged())?;
    let receipt = Receipt { extra: None, index: located.index, proof, checkpoint };
    let details = located.found.details.as_ref();
    let salts = details.and_then(|details| details.salts());
    let answer = v1::GetInclusionProofResponse {
        leaf: located.text,
        receipt: receipt.to_string(),
        content_salt: salts.map(|salts| hexadecimal(&salts.content)).unwrap_or_default(),
        content_sha256: details.map(|details| hexadecimal(&details.content_sha256)).unwrap_or_default(),
    };
    super::log_query(&call, &located.found.subject()).await?;
    Ok(answer)
}
