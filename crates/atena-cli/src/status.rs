//! A failed call in words: the stable reason, the gateway's message, and what to do about it.

use std::fmt;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A failed call. Holds what the gateway said, which never includes personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallFailure {
    /// `ErrorInfo.reason`, e.g. `RELEASE_NOT_PERMITTED`; the gRPC code where the gateway gave no reason.
    pub(crate) reason: String,
    /// What the gateway said.
    pub(crate) message: String,
    /// Fields that break a rule: path and rule.
    pub(crate) fields: Vec<(String, String)>,
}

// === impl CallFailure ===

impl From<&Status> for CallFailure {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map_or_else(|| code_name(status.code()), |info| info.reason.clone());
        let fields = details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|one| (one.field.clone(), one.description.clone())).collect())
            .unwrap_or_default();
        // For clients that show nothing else, the message begins with the reason.
        let message = status.message();
        let message = message.strip_prefix(&format!("{reason}: ")).unwrap_or(message).to_owned();
        Self { reason, message, fields }
    }
}

impl std::error::Error for CallFailure {}

impl fmt::Display for CallFailure {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{}: {}", self.reason, self.message)?;
        for (field, description) in &self.fields {
            // The message may name the field already.
            if !(self.message.contains(field.as_str()) && self.message.contains(description.as_str())) {
                write!(text, "\n  {field}: {description}")?;
            }
        }
        match advice(&self.reason) {
            Some(advice) => write!(text, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

/// What to do about a reason, where the gateway's own message does not say it for the user of this program.
fn advice(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "CALLER_UNKNOWN" => {
            "the certificate or sign-in names no system of policy.toml and no account of people.toml; is this the home of that gateway?"
        }
        "CALLER_REVOKED" => "see policy.toml (revoked) for a system, people.toml (valid_from, expires) for a person",
        "SIGN_IN_REQUIRED" => "sign in: atena login --home DIR --as CONSOLE (again for content: --again)",
        "NOT_DATASET_OWNER" => "push as the owner: policy.toml, [[dataset]] owner",
        "RELEASE_NOT_PERMITTED" | "UNKNOWN_AFFAIR" => {
            "see what this system may have: atena entitlements --home DIR --as SYSTEM"
        }
        "PERSONAL_NUMBER_NOT_PERMITTED" => {
            "leave the personal number out, or have a legal basis entered in policy.toml (personal_number_basis)"
        }
        "ROLE_REQUIRED" => "use a system or account with that role, e.g. --as auditor for the transfer log",
        "RULE_CHANGED" => "the rules changed since the cursor was made: remove the cursor file and pull in full",
        "LOG_UNAVAILABLE" | "STORE_UNAVAILABLE" | "SIGN_IN_UNAVAILABLE" | "UNAVAILABLE" => {
            "nothing was half done; try again"
        }
        "MESSAGE_TOO_LARGE" => "send smaller chunks: --request-size 100",
        _ => return None,
    })
}

/// `PermissionDenied` as `PERMISSION_DENIED`.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_refusal_shows_reason_message_fields_and_what_to_do() {
        let mut details = ErrorDetails::with_error_info("RELEASE_NOT_PERMITTED", "atena.v1", []);
        details.add_bad_request_violation("datasets[0]", "not released");
        let status = Status::with_error_details(Code::PermissionDenied, "no rule in force", details);
        let text = CallFailure::from(&status).to_string();
        for part in ["RELEASE_NOT_PERMITTED: no rule in force", "datasets[0]: not released", "atena entitlements"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_message_that_names_the_field_is_shown_once_and_fields_alone_are_shown_as_well() {
        let with = |message: &str| {
            let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "atena.v1", []);
            details.add_bad_request_violation("effective_date", "must be a date that exists");
            CallFailure::from(&Status::with_error_details(Code::InvalidArgument, message, details)).to_string()
        };
        for message in ["some fields break the rules", "effective_date: must be a date that exists"] {
            let text = with(message);
            assert_eq!(text.matches("effective_date: must be a date that exists").count(), 1, "{text}");
        }
    }

    #[test]
    fn a_status_without_details_is_named_after_its_code() {
        let failure = CallFailure::from(&Status::deadline_exceeded("late"));
        assert_eq!(failure.reason, "DEADLINE_EXCEEDED");
    }
}
