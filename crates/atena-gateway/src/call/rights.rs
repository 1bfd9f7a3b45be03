//! Which call needs what of a person.

use atena_policy::{Refusal, Right};
use jiff::Timestamp;

use crate::caller::{Caller, SignedIn};
use crate::clock;
use crate::error::{CallError, Reason};
use crate::hall::Hall;

/// What a call of `method` needs of a person. What is not here no person may call, whatever their roles.
pub(crate) fn right(method: &str) -> Option<Right> {
    match method {
        "TransferLogService/ListTransfers"
        | "TransferLogService/GetTransfer"
        | "TransferLogService/SummarizeTransfers"
        | "TransferLogService/ListPersonTransfers"
        | "TransferLogService/GetCheckpoint"
        | "TransferLogService/GetInclusionProof"
        | "TransferLogService/GetConsistencyProof" => Some(Right::ReadLog),
        "TransferLogService/ReconstructTransfer" => Some(Right::Reconstruct),
        "LinkageService/ListEntitlements" => Some(Right::ReadRules),
        _ => None,
    }
}

/// May this caller, if it is a person, call `method` at all? Content is shown only to who signed in a short while ago.
pub(crate) fn may_call(hall: &Hall, caller: &Caller, method: &str, now: Timestamp) -> Result<(), CallError> {
    let Some(person) = &caller.person else { return Ok(()) };
    let right = right(method).ok_or(Refusal::RoleRequired)?;
    hall.people.accounts().authorize(&person.account, right, clock::japanese_day(now))?;
    if right == Right::Reconstruct && !hall.people.signed_in_for_content(person.at, now) {
        return Err(CallError::new(
            Reason::SignInRequired,
            "content is shown only to somebody who signed in a short while ago; sign in again (atena login --again), or connect anew with the card",
        ));
    }
    Ok(())
}

/// Whether this auditor may see content: with the right to it and, as a person, shortly after signing in.
pub(crate) fn may_see_content(hall: &Hall, caller: &Caller, now: Timestamp) -> bool {
    let recent = |person: &SignedIn| hall.people.signed_in_for_content(person.at, now);
    caller.authorize_reconstruction(hall).is_ok() && caller.person.as_ref().is_none_or(recent)
}
