//! Why the answer was no.

/// A refusal: a closed list, each with its stable reason of the contract (`ErrorInfo.reason`).
///
/// It names no field, person or value, and is the same whether or not what was asked for exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The caller does not own the dataset, or the owner's legal basis has lapsed. `NOT_DATASET_OWNER`.
    #[error("only the owner of a dataset may push it")]
    NotDatasetOwner,
    /// No rule in force names this caller, affair and dataset. `RELEASE_NOT_PERMITTED`.
    #[error("no rule in force releases this dataset to this system for this affair")]
    ReleaseNotPermitted,
    /// The rule would release a personal number, and the caller has no legal basis in force. `PERSONAL_NUMBER_NOT_PERMITTED`.
    #[error("this system has no legal basis in force to use personal numbers")]
    PersonalNumberNotPermitted,
    /// The call needs a role that the caller does not have. `ROLE_REQUIRED`.
    #[error("this system does not have the role for this call")]
    RoleRequired,
    /// No rule knows the affair (事務). `UNKNOWN_AFFAIR`.
    #[error("no rule names this affair")]
    UnknownAffair,
    /// The system is registered, but revoked. `CALLER_REVOKED`.
    #[error("this system's registration is revoked")]
    CallerRevoked,
    /// The system is not registered. `CALLER_UNKNOWN`.
    #[error("this system is not registered")]
    CallerUnknown,
}
