//! LinkageService: consumers pull what the rules in force allow them.

mod changes;
mod deliver;
mod get_records;
mod list_entitlements;
mod pages;
mod pull_records;
pub(crate) mod upkeep;

use std::sync::Arc;

use atena_domain::{Affair, Dataset};
use atena_ledger::Direction;
use atena_policy::ReleasePermit;
use atena_proto::v1;
use atena_proto::v1::linkage_service_server::LinkageService;
use tonic::{Request, Response, Status};

use crate::call::{self, AnswerStream, Call};
use crate::error::{CallError, Reason};
use crate::hall::Hall;
use crate::transfer::Method;
use crate::transfer::{Heading, Subject, Text, TransferRecord};

/// The service.
pub(crate) struct Linkage {
    pub(crate) hall: Arc<Hall>,
}

/// What a pull was allowed: its datasets with a permit each, in the order asked for.
struct Allowed {
    datasets: Vec<Dataset>,
    permits: Vec<ReleasePermit>,
}

// === impl Allowed ===

impl Allowed {
    /// Whether the rules of now, on the day of now, still allow exactly the same. A long pull must not outlive its permission.
    fn still(&self, call: &Call) -> bool {
        let (policy, today) = (call.hall.policy(), call.hall.today());
        self.permits.iter().all(|permit| {
            let now = policy.authorize_release(permit.caller(), permit.affair(), permit.dataset(), today);
            now.is_ok_and(|now| now.allows_the_same_as(permit))
        })
    }
}

const GET_RECORDS: Method = Method { name: "LinkageService/GetRecords", direction: Direction::Outbound };
const PULL_RECORDS: Method = Method { name: "LinkageService/PullRecords", direction: Direction::Outbound };
const LIST_ENTITLEMENTS: Method = Method { name: "LinkageService/ListEntitlements", direction: Direction::Outbound };

/// The methods of this service.
pub(super) const METHODS: [Method; 3] = [GET_RECORDS, PULL_RECORDS, LIST_ENTITLEMENTS];

/// Step 2, may they: a permit for every dataset, or none.
fn decide(call: &Call, affair: &str, datasets: &[Dataset]) -> Result<Vec<ReleasePermit>, CallError> {
    tracing::info_span!("may").in_scope(|| {
        let affair = Affair::parse(affair).map_err(|_| {
            CallError::new(Reason::UnknownAffair, "name the affair (事務); ListEntitlements names those of your system")
        })?;
        let today = call.hall.today();
        datasets
            .iter()
            .map(|dataset| {
                Ok(call.hall.policy().authorize_release(&call.caller.system_id, &affair, *dataset, today)?)
            })
            .collect()
    })
}

/// Records a refusal once for each subject and dataset, and hands the error back.
async fn refuse(call: &Call, affair: &str, datasets: &[Dataset], subjects: &[Subject], error: CallError) -> CallError {
    // Only an affair that the rules know is written down: the text is the caller's, and could hold anything.
    let affair = Affair::parse(affair).ok().filter(|affair| call.hall.policy().knows_affair(affair));
    let affair = affair.as_ref().map(|affair| affair.as_str());
    let headings: Vec<_> = datasets
        .iter()
        .map(|dataset| Arc::new(Heading { affair: affair.map(Text::from), ..call.heading(Some(*dataset)) }))
        .collect();
    let records = subjects
        .iter()
        .flat_map(|subject| headings.iter().map(|heading| TransferRecord::under(heading, subject.clone())))
        .collect();
    call.refuse(error, records).await
}

#[tonic::async_trait]
impl LinkageService for Linkage {
    type PullRecordsStream = AnswerStream<v1::PullRecordsResponse>;

    async fn get_records(
        &self,
        request: Request<v1::GetRecordsRequest>,
    ) -> Result<Response<v1::GetRecordsResponse>, Status> {
        call::unary(&self.hall, GET_RECORDS, request, get_records::run).await
    }

    async fn pull_records(
        &self,
        request: Request<v1::PullRecordsRequest>,
    ) -> Result<Response<Self::PullRecordsStream>, Status> {
        call::stream(&self.hall, PULL_RECORDS, request, pull_records::run).await
    }

    async fn list_entitlements(
        &self,
        request: Request<v1::ListEntitlementsRequest>,
    ) -> Result<Response<v1::ListEntitlementsResponse>, Status> {
        call::unary(&self.hall, LIST_ENTITLEMENTS, request, list_entitlements::run).await
    }
}
