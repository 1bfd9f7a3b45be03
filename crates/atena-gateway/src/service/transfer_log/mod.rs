//! TransferLogService: who got what about whom. Auditors only, and every query is itself recorded.

mod get_transfer;
mod list_transfers;
mod summarize_transfers;
mod tell;

use std::sync::Arc;

use atena_policy::AuditPermit;
use atena_proto::v1;
use atena_proto::v1::transfer_log_service_server::TransferLogService;
use atena_store::{Direction, Outcome, TransferQuery};
use tonic::{Request, Response, Status};

use crate::call::{self, Call, Method};
use crate::error::CallError;
use crate::hall::Hall;
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

/// The methods of this service.
pub(super) const METHODS: [Method; 3] = [LIST_TRANSFERS, GET_TRANSFER, SUMMARIZE_TRANSFERS];

/// Step 2, may they: auditors only.
fn may_they(call: &Call) -> Result<AuditPermit, CallError> {
    Ok(call.hall.policy.authorize_audit(&call.caller.system_id, call.hall.today())?)
}

/// Records the query itself; the answer leaves after that.
async fn log_query(call: &Call, subject: &Subject) -> Result<(), CallError> {
    let mut record = call.transfer(None, subject);
    record.outcome = Outcome::Released;
    call.log_release(vec![record]).await
}

/// The query that a filter stands for, and the person it asks about. A person nobody knows matches no transfer.
async fn query(call: &Call, text: &str) -> Result<(Option<TransferQuery>, Subject), CallError> {
    let Filter { mut query, person } = transfer_filter::parse(text)?;
    let Some((system, local)) = person else {
        return Ok((Some(query), Subject::default()));
    };
    let linked = call.hall.store.links_by_local(&system, std::slice::from_ref(&local)).await?.remove(&local);
    let subject = Subject { local_address_number: Some(local), unified_address_number: linked.clone() };
    Ok(match linked {
        Some(unified) => {
            query.conditions.push(atena_store::Condition::Person(unified));
            (Some(query), subject)
        }
        None => (None, subject),
    })
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
}
