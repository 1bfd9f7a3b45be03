//! RegisterPersons: chunks of people; one answer for each chunk, once everything good in it is durable. Chunks that wait are stored together.

use std::sync::Arc;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_proto::v1;
use tonic::Streaming;

use super::candidate::Registered;
use super::register::{Checked, check, register};
use crate::call::{Answers, Call, prefetch_chunks};
use crate::error::{CallError, Reason};

/// People in one chunk.
const PEOPLE_MAX: usize = 1000;

pub(crate) async fn run(
    call: Arc<Call>,
    chunks: Streaming<v1::RegisterPersonsRequest>,
    answers: Answers<v1::RegisterPersonsResponse>,
) -> Result<(), CallError> {
    let mut ahead = prefetch_chunks(&call, chunks, prepare);
    while let Some(chunks) = ahead.next_together().await? {
        let room = answers.room().await?;
        let registered = register(&call, chunks).await?;
        let told = registered.into_iter().map(|registered| {
            let results = registered.into_iter().enumerate().map(|(index, one)| result(&call, index, one));
            v1::RegisterPersonsResponse { results: results.collect() }
        });
        answers.send_all(room, told).await?;
    }
    Ok(())
}

async fn prepare(call: Arc<Call>, chunk: v1::RegisterPersonsRequest) -> Result<Checked, CallError> {
    let request_id = call.keep_request_id(&chunk.request_id)?;
    if chunk.registrations.len() > PEOPLE_MAX {
        return Err(CallError::new(Reason::TooManyPersons, "send at most 1,000 registrations in a chunk"));
    }
    let mut checked = check(&call, request_id, chunk.registrations)?;
    checked.index_ahead(&call).await?;
    Ok(checked)
}

/// What the caller is told of one registration. The unified number only goes to systems whose entry says so (own-number-only).
pub(super) fn result(call: &Call, index: usize, registered: Registered) -> v1::RegistrationResult {
    let mut told = v1::RegistrationResult {
        local_address_number: registered.local.as_ref().map(LocalAddressNumber::as_str).unwrap_or_default().to_owned(),
        transfer_id: registered.transfer_id.to_string(),
        ..v1::RegistrationResult::default()
    };
    match registered.result {
        Ok(success) => {
            told.set_outcome(success.outcome);
            told.review_case_id = success.review_case.map(|id| id.to_string()).unwrap_or_default();
            told.unified_address_number = unified_for(call, success.unified.as_ref());
        }
        Err(error) => told.error = Some(error.into_item(index)),
    }
    told
}

/// The unified number as this caller may see it: empty unless its registry entry allows it.
pub(super) fn unified_for(call: &Call, unified: Option<&UnifiedAddressNumber>) -> String {
    let allowed = call
        .hall
        .policy()
        .system(&call.caller.system_id)
        .is_some_and(|system| system.receives_unified_address_number());
    unified.filter(|_| allowed).map(UnifiedAddressNumber::as_str).unwrap_or_default().to_owned()
}
