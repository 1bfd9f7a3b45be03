//! Transfer records in the words of the contract.

use atena_proto::v1;
use atena_store::{Direction, Outcome, TransferRecord};

use crate::convert::dataset::wire_dataset;
use crate::convert::{hexadecimal, wire_time};

/// One record. The unified number stays inside: an auditor names people by the caller's local number.
pub(super) fn transfer(record: TransferRecord) -> v1::Transfer {
    v1::Transfer {
        transfer_id: record.transfer_id.to_string(),
        requested_time: Some(wire_time(record.requested_at)),
        provided_time: Some(wire_time(record.provided_at)),
        direction: direction(record.direction).into(),
        outcome: outcome(record.outcome).into(),
        reason: record.reason.unwrap_or_default(),
        system_id: record.system_id,
        division: record.division.unwrap_or_default(),
        operator_id: record.operator_id.unwrap_or_default(),
        affair: record.affair.unwrap_or_default(),
        rule_id: record.rule_id.unwrap_or_default(),
        rule_version: record.rule_version,
        legal_basis: record.legal_basis.unwrap_or_default(),
        dataset: record.dataset.map_or(v1::Dataset::Unspecified, wire_dataset).into(),
        fields: record.fields.to_vec(),
        local_address_number: record.local_address_number.unwrap_or_default(),
        record_count: u64::try_from(record.records.len()).unwrap_or(u64::MAX),
        records: record
            .records
            .into_iter()
            .map(|(key, revision)| v1::RecordReference { record_key: key.as_str().to_owned(), revision })
            .collect(),
        content_sha256: record.content_sha256.map(|digest| hexadecimal(&digest)).unwrap_or_default(),
        method: record.method.into_owned(),
        request_id: record.request_id.unwrap_or_default(),
        policy_hash: hexadecimal(&record.policy_hash),
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
    }
}
