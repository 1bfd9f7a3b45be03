//! What the transfer log is told of registrations.

use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber};
use atena_policy::RegistrationPermit;

use crate::call::Call;
use crate::error::Reason;
use crate::transfer::{Heading, Subject, TransferRecord, refuse};

/// What records of registrations have in common.
pub(super) fn heading(call: &Call, permit: &RegistrationPermit) -> Heading {
    Heading {
        affair: Some(permit.affair().as_str().into()),
        legal_basis: Some(permit.basis().into()),
        ..call.heading(Some(Dataset::Person))
    }
}

/// The record of a registration, an outcome still to be set.
pub(super) fn inbound(call: &Call, permit: &RegistrationPermit, local: Option<LocalAddressNumber>) -> TransferRecord {
    under(&Arc::new(heading(call, permit)), local)
}

/// As [`inbound`], under a heading that is there already.
pub(super) fn under(heading: &Arc<Heading>, local: Option<LocalAddressNumber>) -> TransferRecord {
    TransferRecord::under(heading, Subject { local_address_number: local, unified_address_number: None })
}

/// The record of a registration that was refused.
pub(super) fn refusal(heading: &Arc<Heading>, local: Option<LocalAddressNumber>, reason: Reason) -> TransferRecord {
    let mut record = under(heading, local);
    refuse(&mut record, reason);
    record
}
