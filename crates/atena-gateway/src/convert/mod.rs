//! Wire types stop here: what comes in becomes domain values once, and domain values become wire types once.

pub(crate) mod dataset;
pub(crate) mod delivery;
mod in_order;
mod pension;
pub(crate) mod person;
pub(crate) mod pushed;
pub(crate) mod view;

use std::fmt::Write as _;
use std::io::Write as _;

use atena_domain::{Dataset, LocalAddressNumber, RecordKey, SystemId, UnifiedAddressNumber};
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::FieldProblem;

/// A UUID of a request: 36 characters with hyphens, in either case (RFC 9562). Other spellings, nil
/// and max are none.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok().filter(|_| text.len() == uuid::fmt::Hyphenated::LENGTH)?;
    (!id.is_nil() && !id.is_max()).then_some(id)
}

/// Lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A time of the contract.
pub(crate) fn wire_time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// The row that a sealed record belongs to, for its associated data: a ciphertext moved elsewhere does not open.
pub(crate) fn record_row(dataset: Dataset, key: &RecordKey, revision: u64) -> Vec<u8> {
    let mut row = Vec::new();
    put_record_row(dataset, key, revision, &mut row);
    row
}

/// Appends what [`record_row`] tells.
pub(crate) fn put_record_row(dataset: Dataset, key: &RecordKey, revision: u64, row: &mut Vec<u8>) {
    for part in [dataset.as_str(), "/", key.as_str(), "/"] {
        row.extend_from_slice(part.as_bytes());
    }
    // Writing into memory does not fail.
    let _ = write!(row, "{revision}");
}

/// The row that a sealed view belongs to.
pub(crate) fn view_row(system: &SystemId, local: &LocalAddressNumber, revision: u64) -> Vec<u8> {
    format!("{}/{}/{revision}", system.as_str(), local.as_str()).into_bytes()
}

/// The row that a sealed personal number belongs to.
pub(crate) fn personal_number_row(person: &UnifiedAddressNumber, sequence: u32) -> Vec<u8> {
    format!("{}/{sequence}", person.as_str()).into_bytes()
}

/// Violations that the domain found, below a path of the contract.
pub(crate) fn problems(prefix: &str, violations: Vec<atena_domain::Violation>) -> Vec<FieldProblem> {
    violations
        .into_iter()
        .map(|violation| FieldProblem {
            field: if violation.field.is_empty() { prefix.to_owned() } else { format!("{prefix}.{}", violation.field) },
            description: violation.text,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_one_spelling() {
        let right = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        assert_eq!(parse_uuid(right).unwrap().to_string(), right);
        assert_eq!(parse_uuid(&right.to_uppercase()).unwrap().to_string(), right, "kept in lower case");
        let simple = right.replace('-', "");
        for wrong in [
            "",
            &simple,
            &format!("{{{right}}}"),
            &format!("urn:uuid:{right}"),
            &format!("{right} "),
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "0190a1b2c-3d4-7e5f-8a9b-0c1d2e3f4a5b",
        ] {
            assert!(parse_uuid(wrong).is_none(), "{wrong}");
        }
    }
}
