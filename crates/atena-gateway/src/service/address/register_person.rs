//! RegisterPerson: one person; an error fails the call.

use std::sync::Arc;

use atena_proto::v1;

use super::register::{check, register};
use super::register_persons::result;
use crate::call::Call;
use crate::error::{CallError, Reason};

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::RegisterPersonRequest,
) -> Result<v1::RegisterPersonResponse, CallError> {
    let request_id = call.keep_request_id(&request.request_id)?;
    let registration = request.registration.ok_or_else(|| CallError::field("registration", "is required"))?;
    let chunks = register(&call, vec![check(&call, request_id, vec![registration])?]).await?;
    let registered = chunks
        .into_iter()
        .flatten()
        .next()
        .ok_or_else(|| CallError::new(Reason::Internal, "the registration had no result; tell the operator"))?;
    match &registered.result {
        // `register` recorded it with the person it is about.
        Err(error) => Err(CallError { recorded: true, ..error.clone() }),
        Ok(_) => Ok(v1::RegisterPersonResponse { result: Some(result(&call, 0, registered)) }),
    }
}
