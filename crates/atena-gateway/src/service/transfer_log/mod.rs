//! TransferLogService: who got what about whom. Auditors only, and every query is itself recorded.

mod get_checkpoint;
mod get_consistency_proof;
mod get_inclusion_proof;
mod get_transfer;
mod list_person_transfers;
mod list_transfers;
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

use self::tell::Numbers;
use crate::call::{self, Call, Method};
use crate::clock;
use crate::error::CallError;
use crate::hall::Hall;
use crate::log::query::{Condition, TransferQuery};
use crate::log::search;
use crate::people;
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

/// Transfers in a page unless the auditor says otherwise, and at most.
const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;

/// Step 2, may they: auditors only.
fn may_they(call: &Call) -> Result<AuditPermit, CallError> {
    Ok(call.caller.authorize_audit(&call.hall)?)
}

/// One page of what a query finds, and the token of the next.
async fn page(
    call: &Call,
    permit: &AuditPermit,
    query: Option<&TransferQuery>,
    page_size: u32,
    page_token: &str,
) -> Result<(Vec<v1::Transfer>, String), CallError> {
    let page = match page_size {
        0 => PAGE_DEFAULT,
        size @ 1..=PAGE_MAX => size,
        _ => return Err(CallError::field("page_size", "must be 0 to 1000")),
    };
    let page = usize::try_from(page).unwrap_or(usize::MAX);
    let before = match page_token {
        "" => None,
        token => Some(
            token
                .parse()
                .map_err(|_| CallError::field("page_token", "must be the next_page_token of the previous page"))?,
        ),
    };
    let mut found = match query {
        // One more than the page tells whether another page follows.
        Some(query) => search::list(&call.hall, permit, query, before, page + 1).await?,
        None => Vec::new(),
    };
    let next = match found.get(page) {
        Some(_) => found.get(page - 1).map(|found| found.index.to_string()).unwrap_or_default(),
        None => String::new(),
    };
    found.truncate(page);
    search::open(&call.hall, &mut found).await?;
    let numbers = numbers(call);
    Ok((found.into_iter().map(|found| tell::transfer(found, numbers)).collect(), next))
}

/// Which local numbers the caller is shown.
fn numbers(call: &Call) -> Numbers {
    match people::may_see_content(&call.hall, &call.caller, clock::now()) {
        true => Numbers::All,
        false => Numbers::OfLinkedPeople,
    }
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
