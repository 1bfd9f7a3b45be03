//! RecordService: the owner of a dataset pushes what it knows.

mod get_push_status;
mod item;
mod notice;
mod people;
mod push_records;

use std::sync::Arc;

use atena_ledger::Direction;
use atena_proto::v1::record_service_server::RecordService;
use atena_proto::{arriving, v1};
use tonic::{Request, Response, Status, Streaming};

use crate::call::{self, AnswerStream};
use crate::hall::Hall;
use crate::transfer::Method;

/// The service.
pub(crate) struct Record {
    pub(crate) hall: Arc<Hall>,
}

const PUSH_RECORDS: Method = Method { name: "RecordService/PushRecords", direction: Direction::Inbound };
const GET_PUSH_STATUS: Method = Method { name: "RecordService/GetPushStatus", direction: Direction::Inbound };

/// The methods of this service.
pub(super) const METHODS: [Method; 2] = [PUSH_RECORDS, GET_PUSH_STATUS];

#[tonic::async_trait]
impl RecordService for Record {
    type PushRecordsStream = AnswerStream<v1::PushRecordsResponse>;

    async fn push_records(
        &self,
        request: Request<Streaming<arriving::PushRecordsRequest>>,
    ) -> Result<Response<Self::PushRecordsStream>, Status> {
        call::stream(&self.hall, PUSH_RECORDS, request, push_records::run).await
    }

    async fn get_push_status(
        &self,
        request: Request<v1::GetPushStatusRequest>,
    ) -> Result<Response<v1::GetPushStatusResponse>, Status> {
        call::unary(&self.hall, GET_PUSH_STATUS, request, get_push_status::run).await
    }
}
