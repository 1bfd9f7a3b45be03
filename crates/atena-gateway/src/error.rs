//! What can be wrong with a call or with one item of it: a closed set of reasons, free of transport and of personal data.

use std::borrow::Cow;

use atena_policy::Refusal;
use atena_store::StoreError;
use atena_vault::VaultError;

/// The stable reasons of the contract (`ErrorInfo.reason`, `ItemError.reason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    CallerUnknown,
    CallerRevoked,
    SignInRequired,
    SignInUnavailable,
    NotDatasetOwner,
    ReleaseNotPermitted,
    PersonalNumberNotPermitted,
    RoleRequired,
    InvalidPersonalNumber,
    InvalidField,
    UnknownDataset,
    UnknownAffair,
    LocalNumberNotLinked,
    LocalNumberConflict,
    PersonalNumberConflict,
    RevisionConflict,
    StaleRevision,
    RuleChanged,
    LogUnavailable,
    StoreUnavailable,
    TooManyPersons,
    MessageTooLarge,
    TransferNotFound,
    CallCancelled,
    CallTimedOut,
    Internal,
}

/// Fields that the message of an error names. All of them are in its details, which not every client shows.
const PROBLEMS_NAMED_MAX: usize = 3;

/// One field that breaks a rule; never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldProblem {
    pub(crate) field: String,
    pub(crate) description: Cow<'static, str>,
}

/// Why a call failed, or one item of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason:?}: {message}")]
pub(crate) struct CallError {
    pub(crate) reason: Reason,
    pub(crate) message: Cow<'static, str>,
    pub(crate) problems: Vec<FieldProblem>,
    /// Whether the transfer log holds this failure already; if not, the call records itself as a whole.
    pub(crate) recorded: bool,
}

// === impl Reason ===

impl Reason {
    /// As the contract spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::CallerUnknown => "CALLER_UNKNOWN",
            Self::CallerRevoked => "CALLER_REVOKED",
            Self::SignInRequired => "SIGN_IN_REQUIRED",
            Self::SignInUnavailable => "SIGN_IN_UNAVAILABLE",
            Self::NotDatasetOwner => "NOT_DATASET_OWNER",
            Self::ReleaseNotPermitted => "RELEASE_NOT_PERMITTED",
            Self::PersonalNumberNotPermitted => "PERSONAL_NUMBER_NOT_PERMITTED",
            Self::RoleRequired => "ROLE_REQUIRED",
            Self::InvalidPersonalNumber => "INVALID_PERSONAL_NUMBER",
            Self::InvalidField => "INVALID_FIELD",
            Self::UnknownDataset => "UNKNOWN_DATASET",
            Self::UnknownAffair => "UNKNOWN_AFFAIR",
            Self::LocalNumberNotLinked => "LOCAL_NUMBER_NOT_LINKED",
            Self::LocalNumberConflict => "LOCAL_NUMBER_CONFLICT",
            Self::PersonalNumberConflict => "PERSONAL_NUMBER_CONFLICT",
            Self::RevisionConflict => "REVISION_CONFLICT",
            Self::StaleRevision => "STALE_REVISION",
            Self::RuleChanged => "RULE_CHANGED",
            Self::LogUnavailable => "LOG_UNAVAILABLE",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::TooManyPersons => "TOO_MANY_PERSONS",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::TransferNotFound => "TRANSFER_NOT_FOUND",
            Self::CallCancelled => "CALL_CANCELLED",
            Self::CallTimedOut => "CALL_TIMED_OUT",
            Self::Internal => "INTERNAL",
        }
    }
}

// === impl CallError ===

impl CallError {
    pub(crate) fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, message: message.into(), problems: Vec::new(), recorded: false }
    }

    /// One field that breaks a rule.
    pub(crate) fn field(field: impl Into<String>, description: impl Into<Cow<'static, str>>) -> Self {
        Self::fields(vec![FieldProblem { field: field.into(), description: description.into() }])
    }

    /// Several fields that break rules.
    pub(crate) fn fields(problems: Vec<FieldProblem>) -> Self {
        let named = |problem: &FieldProblem| format!("{}: {}", problem.field, problem.description);
        let mut message = problems.iter().take(PROBLEMS_NAMED_MAX).map(named).collect::<Vec<_>>().join("; ");
        if problems.len() > PROBLEMS_NAMED_MAX {
            message.push_str("; and more, see the details");
        }
        Self { problems, ..Self::new(Reason::InvalidField, message) }
    }

    /// A local number that is not linked in the caller's system.
    pub(crate) fn not_linked() -> Self {
        Self::new(
            Reason::LocalNumberNotLinked,
            "this local address number is not registered by your system; register the person first",
        )
    }

    /// The keys were rotated, and this gateway does not have the new ones.
    pub(crate) fn keys_missing() -> Self {
        tracing::error!("the keys were rotated: bring the new keys_file to this machine");
        Self::new(
            Reason::StoreUnavailable,
            "this gateway does not have the newest keys yet; nothing was changed; try again later",
        )
    }

    /// The transfer log can't be written: nothing may leave (log-before-release).
    pub(crate) fn log_unavailable(error: &StoreError) -> Self {
        tracing::error!(%error, "the transfer log can't be written: nothing is released");
        Self::new(Reason::LogUnavailable, "the transfer log can't be written, so nothing was released; try again later")
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the database did not answer");
        Self::new(Reason::StoreUnavailable, "the database did not answer; nothing was changed; try again later")
    }
}

impl From<VaultError> for CallError {
    fn from(error: VaultError) -> Self {
        if matches!(error, VaultError::Token { .. }) {
            tracing::error!(%error, "the token with the keys did not answer");
            let message = "the keys can't be used just now; nothing was released or changed; try again later";
            return Self::new(Reason::StoreUnavailable, message);
        }
        tracing::error!(%error, "sealed data can't be opened");
        Self::new(Reason::Internal, "stored data can't be opened; nothing was released; tell the operator")
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotDatasetOwner => Self::new(
                Reason::NotDatasetOwner,
                "only the owner of a dataset may push it; see `dataset` in the policy",
            ),
            Refusal::ReleaseNotPermitted => Self::new(
                Reason::ReleaseNotPermitted,
                "no rule in force releases this dataset to your system for this affair; ListEntitlements tells what is",
            ),
            Refusal::PersonalNumberNotPermitted => {
                Self::new(Reason::PersonalNumberNotPermitted, "your system has no legal basis to use personal numbers")
            }
            Refusal::RoleRequired => {
                Self::new(Reason::RoleRequired, "your system or account does not have the role for this call")
            }
            Refusal::UnknownAffair => {
                Self::new(Reason::UnknownAffair, "no such affair (事務); ListEntitlements names those of your system")
            }
            Refusal::CallerRevoked => Self::new(
                Reason::CallerRevoked,
                "this system's registration is revoked, or this person's account has ended or not begun",
            ),
            Refusal::CallerUnknown => Self::new(
                Reason::CallerUnknown,
                "who calls is no registered system and has no account for this way of signing in",
            ),
        }
    }
}
