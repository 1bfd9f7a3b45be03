//! TransferLogService: who got what about whom. Auditors only, and every query is itself recorded.

mod get_checkpoint;
mod get_consistency_proof;
mod get_inclusion_proof;
mod get_transfer;
mod list_person_transfers;
mod list_transfers;
mod page;
mod reconstruct_transfer;
mod summarize_transfers;
mod tell;

use std::sync::Arc;

use atena_domain::{LocalAddressNumber, SystemId};
use atena_ledger::{Direction, Outcome};
use atena_policy::AuditPermit;
use atena_proto::v1;
use atena_proto::v1::transfer_log_service_server::TransferLogService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use self::tell::Numbers;
use crate::call::{self, Call, rights};
use crate::clock;
use crate::convert::parse_uuid;
use crate::error::CallError;
use crate::hall::Hall;
use crate::log::query::{Condition, TransferQuery};
use crate::transfer::Method;
use crate::transfer::Subject;
use crate::transfer_filter::{self, Filter};

/// The service.
pub(crate) struct TransferLog {
    pub(crate) hall: Arc<Hall>,
}

const LIST_TRANSFERS: Method = Method { name: "TransferLogService/ListTransfers", direction: Direction::Outbound };
const GET_TRANSFER: Method = Method { name: "TransferLogService/GetTransfer", direction: Direction::Outbound };
const SUMMARIZE_TRANSFERS: Method =
    Method { name: "TransferLogService/SummarizeTransfers", direction: Direction::Outbound };
const LIST_PERSON_TRANSFERS: Method =
    Method { name: "TransferLogService/ListPersonTransfers", direction: Direction::Outbound };
const RECONSTRUCT_TRANSFER: Method =
    Method { name: "TransferLogService/ReconstructTransfer", direction: Direction::Outbound };
const GET_CHECKPOINT: Method = Method { name: "TransferLogService/GetCheckpoint", direction: Direction::Outbound };
const GET_INCLUSION_PROOF: Method =
    Method { name: "TransferLogService/GetInclusionProof", direction: Direction::Outbound };
const GET_CONSISTENCY_PROOF: Method =
    Method { name: "TransferLogService/GetConsistencyProof", direction: Direction::Outbound };

/// The methods of this service.
pub(super) const METHODS: [Method; 8] = [
    LIST_TRANSFERS,
    GET_TRANSFER,
    SUMMARIZE_TRANSFERS,
    LIST_PERSON_TRANSFERS,
    RECONSTRUCT_TRANSFER,
    GET_CHECKPOINT,
    GET_INCLUSION_PROOF,
    GET_CONSISTENCY_PROOF,
];

/// Step 2, may they: auditors only.
fn may_they(call: &Call) -> Result<AuditPermit, CallError> {
    Ok(call.caller.authorize_audit(&call.hall)?)
}

/// Which local numbers the caller is shown.
fn numbers(call: &Call) -> Numbers {
    match rights::may_see_content(&call.hall, &call.caller, clock::now()) {
        true => Numbers::All,
        false => Numbers::OfLinkedPeople,
    }
}

/// The id of a transfer, as a request names it.
fn transfer_id(text: &str) -> Result<Uuid, CallError> {
    parse_uuid(text).ok_or_else(|| CallError::field("transfer_id", "must be a UUID, as it came with the transfer"))
}

/// Records the query itself; the answer leaves after that.
async fn log_query(call: &Call, subject: &Subject) -> Result<(), CallError> {
    let mut record = call.transfer(None, subject.clone());
    record.outcome = Outcome::Released;
    call.log_release(vec![record]).await
}

/// The query that a filter stands for, and the person it asks about. A person nobody knows matches no transfer.
async fn query(call: &Call, text: &str) -> Result<(Option<TransferQuery>, Subject), CallError> {
    let Filter { mut query, person } = transfer_filter::parse(text)?;
    let Some((system, local)) = person else {
        return Ok((Some(query), Subject::default()));
    };
    let subject = subject(call, &system, local).await?;
    Ok(match subject.unified_address_number.clone() {
        Some(unified) => {
            query.conditions.push(Condition::Person(unified));
            (Some(query), subject)
        }
        None => (None, subject),
    })
}

/// The person whom a system knows under this number.
async fn subject(call: &Call, system: &SystemId, local: LocalAddressNumber) -> Result<Subject, CallError> {
    let unified = call.hall.store.links_by_local(system, std::slice::from_ref(&local)).await?.remove(&local);
    Ok(Subject { local_address_number: Some(local), unified_address_number: unified })
}

#[tonic::async_trait]
impl TransferLogService for TransferLog {
    async fn list_transfers(
        &self,
        request: Request<v1::ListTransfersRequest>,
    ) -> Result<Response<v1::ListTransfersResponse>, Status> {
        call::unary(&self.hall, LIST_TRANSFERS, request, list_transfers::run).await
    }

    async fn get_transfer(
        &self,
        request: Request<v1::GetTransferRequest>,
    ) -> Result<Response<v1::GetTransferResponse>, Status> {
        call::unary(&self.hall, GET_TRANSFER, request, get_transfer::run).await
    }

    async fn summarize_transfers(
        &self,
        request: Request<v1::SummarizeTransfersRequest>,
    ) -> Result<Response<v1::SummarizeTransfersResponse>, Status> {
        call::unary(&self.hall, SUMMARIZE_TRANSFERS, request, summarize_transfers::run).await
    }

    async fn list_person_transfers(
        &self,
        request: Request<v1::ListPersonTransfersRequest>,
    ) -> Result<Response<v1::ListPersonTransfersResponse>, Status> {
        call::unary(&self.hall, LIST_PERSON_TRANSFERS, request, list_person_transfers::run).await
    }

    async fn reconstruct_transfer(
        &self,
        request: Request<v1::ReconstructTransferRequest>,
    ) -> Result<Response<v1::ReconstructTransferResponse>, Status> {
        call::unary(&self.hall, RECONSTRUCT_TRANSFER, request, reconstruct_transfer::run).await
    }

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Result<Response<v1::GetCheckpointResponse>, Status> {
        call::unary(&self.hall, GET_CHECKPOINT, request, get_checkpoint::run).await
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<v1::GetInclusionProofRequest>,
    ) -> Result<Response<v1::GetInclusionProofResponse>, Status> {
        call::unary(&self.hall, GET_INCLUSION_PROOF, request, get_inclusion_proof::run).await
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::GetConsistencyProofResponse>, Status> {
        call::unary(&self.hall, GET_CONSISTENCY_PROOF, request, get_consistency_proof::run).await
    }
}
