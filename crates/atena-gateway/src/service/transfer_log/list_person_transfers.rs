//! ListPersonTransfers: everything about one person, under whatever number. The answer to a disclosure request (開示請求).

use std::sync::Arc;

use atena_domain::{LocalAddressNumber, SystemId};
use atena_proto::v1;

use super::page::{Wanted, page};
use crate::call::Call;
use crate::error::CallError;
use crate::log::query::{Condition, TransferQuery};

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::ListPersonTransfersRequest,
) -> Result<v1::ListPersonTransfersResponse, CallError> {
    let permit = super::may_they(&call)?;
    let system = SystemId::parse(&request.system_id)
        .map_err(|_| CallError::field("system_id", "must be the id of a system, e.g. pension"))?;
    let local = LocalAddressNumber::parse(&request.local_address_number).map_err(|_| {
        CallError::field("local_address_number", "must be 1 to 15 letters or digits, and not exactly 12 digits")
    })?;
    let subject = super::subject(&call, &system, local).await?;
    let Some(person) = subject.unified_address_number.clone() else {
        super::log_query(&call, &subject).await?;
        return Err(CallError::new(
            crate::error::Reason::LocalNumberNotLinked,
            "that system has registered nobody under this local address number",
        ));
    };
    let query = TransferQuery { conditions: vec![Condition::Person(person)] };
    let asked = [request.system_id.as_str(), request.local_address_number.as_str()];
    let wanted = Wanted { page_size: request.page_size, page_token: &request.page_token, asked: &asked };
    let (transfers, next_page_token) = page(&call, &permit, Some(&query), &wanted).await?;
    super::log_query(&call, &subject).await?;
    Ok(v1::ListPersonTransfersResponse { transfers, next_page_token })
}
