//! A registration on its way, and what becomes of it.

use std::sync::Arc;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::RegistrationPermit;
use atena_proto::v1;
use uuid::Uuid;

use super::merge::Kept;
use super::plan::Index;
use crate::convert::person::Registration;
use crate::error::{CallError, Reason};
use crate::transfer::Heading;

/// What became of one registration.
pub(super) struct Registered {
    pub(super) local: Option<LocalAddressNumber>,
    pub(super) result: Result<Success, CallError>,
    pub(super) transfer_id: Uuid,
}

/// A registration that went through.
pub(super) struct Success {
    pub(super) outcome: v1::RegistrationOutcome,
    pub(super) unified: Option<UnifiedAddressNumber>,
    pub(super) review_case: Option<Uuid>,
}

/// A registration that passed every check of its own.
pub(super) struct Candidate {
    pub(super) allowed: Arc<Allowed>,
    /// Among all registrations of the transaction.
    pub(super) position: usize,
    pub(super) registration: Registration,
    /// Under every version of the key that is in use, oldest first.
    pub(super) indexes: Vec<Index>,
    /// The caller's view of the person that it makes.
    pub(super) view: Kept,
}

// === impl Candidate ===

impl Candidate {
    /// What the number is found by from here on.
    pub(super) fn index(&self) -> Option<Index> {
        self.indexes.last().copied()
    }
}

/// What a call may do, and what its records have in common.
pub(super) struct Allowed {
    pub(super) permit: RegistrationPermit,
    pub(super) heading: Arc<Heading>,
}

/// Why a registration stops where the database contradicts itself.
pub(super) fn inconsistent() -> CallError {
    tracing::error!("a person among these has neither a number nor a key");
    CallError::new(Reason::Internal, "the registration could not be completed; nothing was changed; tell the operator")
}
