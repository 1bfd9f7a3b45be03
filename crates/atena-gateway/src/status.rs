//! The one place that turns reasons into gRPC status (and into the errors of single items).

use std::error::Error;
use std::time::Duration;

use atena_proto::v1;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use crate::error::{CallError, Reason};

/// The domain of every `ErrorInfo`.
const DOMAIN: &str = "atena.v1";

/// When a caller should try again after the database or the log was away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let mut details = ErrorDetails::with_error_info(error.reason.as_str(), DOMAIN, []);
        for problem in &error.problems {
            details.add_bad_request_violation(problem.field.as_str(), problem.description.as_ref());
        }
        let code = code(error.reason);
        match code {
            Code::Unavailable => {
                details.set_retry_info(Some(RETRY_AFTER));
            }
            Code::FailedPrecondition => {
                details.set_precondition_failure(vec![PreconditionViolation::new(
                    error.reason.as_str(),
                    "",
                    error.message.as_ref(),
                )]);
            }
            _ => {}
        }
        // A client that shows no details shows this, so it begins with what is wrong with a field.
        let message = match error.problems.is_empty() {
            true => error.message.into_owned(),
            false => format!("{}: {}", error.reason.as_str(), error.message),
        };
        Self::with_error_details(code, message, details)
    }
}

impl CallError {
    /// The error of the item at `index` of a batch.
    pub(crate) fn into_item(self, index: usize) -> v1::ItemError {
        v1::ItemError {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            reason: self.reason.as_str().to_owned(),
            message: self.message.into_owned(),
            violations: self
                .problems
                .into_iter()
                .map(|problem| v1::FieldViolation {
                    field: problem.field,
                    description: problem.description.into_owned(),
                })
                .collect(),
        }
    }

    /// What a caller's own stream ended with, as far as it says something that we can act on: too large, or not this contract.
    pub(crate) fn from_inbound(status: &Status) -> Self {
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => {
                Self::new(Reason::MessageTooLarge, "a message is larger than the gateway takes; send smaller chunks")
            }
            // A status with a source comes from the connection, not from decoding.
            Code::Cancelled => Self::new(Reason::CallCancelled, "the caller went away"),
            _ if status.source().is_some() => Self::new(Reason::CallCancelled, "the caller went away"),
            Code::DeadlineExceeded => Self::new(Reason::CallTimedOut, "the deadline passed"),
            _ => Self::new(Reason::InvalidField, "a message is not in the form of the contract (is every text UTF-8?)"),
        }
    }
}

/// Every reason has exactly one code.
fn code(reason: Reason) -> Code {
    match reason {
        Reason::CallerUnknown | Reason::CallerRevoked | Reason::SignInRequired => Code::Unauthenticated,
        Reason::NotDatasetOwner
        | Reason::ReleaseNotPermitted
        | Reason::PersonalNumberNotPermitted
        | Reason::RoleRequired => Code::PermissionDenied,
        Reason::InvalidPersonalNumber
        | Reason::InvalidField
        | Reason::UnknownDataset
        | Reason::UnknownAffair
        | Reason::TooManyPersons => Code::InvalidArgument,
        Reason::LocalNumberNotLinked | Reason::TransferNotFound => Code::NotFound,
        Reason::LocalNumberConflict | Reason::PersonalNumberConflict | Reason::RevisionConflict => Code::AlreadyExists,
        Reason::StaleRevision | Reason::RuleChanged => Code::FailedPrecondition,
        Reason::LogUnavailable | Reason::StoreUnavailable | Reason::SignInUnavailable => Code::Unavailable,
        Reason::MessageTooLarge => Code::ResourceExhausted,
        Reason::CallCancelled => Code::Cancelled,
        Reason::CallTimedOut => Code::DeadlineExceeded,
        Reason::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_stable_reason() {
        let status = Status::from(CallError::new(Reason::ReleaseNotPermitted, "no"));
        assert_eq!(status.code(), Code::PermissionDenied);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("RELEASE_NOT_PERMITTED", DOMAIN));
    }

    #[test]
    fn a_message_names_a_few_fields_and_says_that_there_are_more() {
        let problem =
            |field: &str| crate::error::FieldProblem { field: field.into(), description: "must be a date".into() };
        let error = CallError::fields(["a", "b", "c", "d"].map(problem).to_vec());
        let expected = "a: must be a date; b: must be a date; c: must be a date; and more, see the details";
        assert_eq!(error.clone().into_item(0).message, expected);
        assert_eq!(Status::from(error).message(), format!("INVALID_FIELD: {expected}"));
    }

    #[test]
    fn all_violations_are_told_at_once() {
        let error = CallError::fields(vec![
            crate::error::FieldProblem { field: "a".into(), description: "x".into() },
            crate::error::FieldProblem { field: "b".into(), description: "y".into() },
        ]);
        let status = Status::from(error);
        assert_eq!(status.message(), "INVALID_FIELD: a: x; b: y", "also without the details");
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
