//! Transfers in the words of the contract.

use atena_domain::Dataset;
use atena_ledger::{Direction, Outcome};
use atena_proto::v1;
use jiff::Timestamp;
use uuid::Uuid;

use crate::convert::dataset::wire_dataset;
use crate::convert::{hexadecimal, wire_time};
use crate::log::Details;
use crate::log::search::Found;
use crate::transfer::OperatorProof;

/// Which local numbers an auditor is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// All of them.
    All,
    /// Those under which a person was found. What else a caller sent as a number may be anything.
    OfLinkedPeople,
}

/// One transfer. The unified number stays inside: an auditor names people by the caller's local number.
pub(super) fn transfer(found: Found, numbers: Numbers) -> v1::Transfer {
    let Found { shape, leaf, details, .. } = found;
    let mut details = details.unwrap_or_default();
    let withheld = numbers == Numbers::OfLinkedPeople
        && details.unified_address_number.is_none()
        && details.local_address_number.take().is_some();
    let (rule_id, rule_version) = shape.rule.clone().unwrap_or_default();
    v1::Transfer {
        transfer_id: Uuid::from_bytes(leaf.id).to_string(),
        requested_time: Some(wire_time(time(leaf.requested_us))),
        provided_time: Some(wire_time(time(leaf.provided_us))),
        direction: direction(shape.direction).into(),
        outcome: outcome(leaf.outcome).into(),
        reason: leaf.reason.unwrap_or_default(),
        system_id: shape.system.clone(),
        division: shape.division.clone().unwrap_or_default(),
        operator_proof: operator_proof(&details).into(),
        operator_id: details.operator_id.unwrap_or_default(),
        affair: shape.affair.clone().unwrap_or_default(),
        rule_id,
        rule_version,
        legal_basis: shape.basis.clone().unwrap_or_default(),
        dataset: dataset(shape.dataset.as_deref()).map_or(v1::Dataset::Unspecified, wire_dataset).into(),
        fields: shape.fields.clone(),
        local_address_number: details.local_address_number.unwrap_or_default(),
        record_count: leaf.records,
        records: details
            .records
            .into_iter()
            .map(|row| v1::RecordReference { record_key: row.record_key, revision: row.revision })
            .collect(),
        content_sha256: hexadecimal(&details.content_sha256),
        method: shape.method.clone(),
        request_id: details.request_id.unwrap_or_default(),
        policy_hash: hexadecimal(&shape.policy),
        local_address_number_withheld: withheld,
    }
}

pub(super) fn direction(direction: Direction) -> v1::TransferDirection {
    match direction {
        Direction::Inbound => v1::TransferDirection::Inbound,
        Direction::Outbound => v1::TransferDirection::Outbound,
    }
}

pub(super) fn outcome(outcome: Outcome) -> v1::TransferOutcome {
    match outcome {
        Outcome::Released => v1::TransferOutcome::Released,
        Outcome::Received => v1::TransferOutcome::Received,
        Outcome::Refused => v1::TransferOutcome::Refused,
        Outcome::Cancelled => v1::TransferOutcome::Cancelled,
        Outcome::TimedOut => v1::TransferOutcome::TimedOut,
        Outcome::Failed => v1::TransferOutcome::Failed,
        Outcome::Erased => v1::TransferOutcome::Erased,
        Outcome::Done => v1::TransferOutcome::Done,
        // In the admin log alone.
        Outcome::Begun => v1::TransferOutcome::Unspecified,
    }
}

fn operator_proof(details: &Details) -> v1::OperatorProof {
    match (&details.operator_id, details.operator_proof()) {
        (None, _) => v1::OperatorProof::Unspecified,
        (Some(_), OperatorProof::Told) => v1::OperatorProof::Told,
        (Some(_), OperatorProof::Certificate) => v1::OperatorProof::Certificate,
        (Some(_), OperatorProof::SignIn) => v1::OperatorProof::SignIn,
    }
}

fn dataset(name: Option<&str>) -> Option<Dataset> {
    name.and_then(|name| Dataset::parse(name).ok())
}

fn time(microseconds: u64) -> Timestamp {
    let at = i64::try_from(microseconds).ok().and_then(|at| Timestamp::from_microsecond(at).ok());
    at.unwrap_or(Timestamp::MAX)
}
