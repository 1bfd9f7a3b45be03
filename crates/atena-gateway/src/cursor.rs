//! Where a pull goes on: sealed, so that it tells a consumer nothing (not even how much changed elsewhere), and of one length.

use atena_domain::LocalAddressNumber;
use atena_policy::ReleasePermit;
use sha2::{Digest, Sha256};

use crate::call::Call;
use crate::error::{CallError, Reason};

/// Version byte of the sealed content. Page tokens of the log are sealed with the same key, so it
/// is none of theirs.
const VERSION: u8 = 4;

/// Versions before, each with how many sequences it has.
const BEFORE: [(u8, usize); 2] = [(1, 2), (2, 3)];

/// Bytes of the sealed content: version, rules, kind, two sequences, a local number with its
/// length.
const LENGTH: usize = length(2);

const fn length(sequences: usize) -> usize {
    1 + 32 + 1 + 8 * sequences + 1 + 15
}

/// Namespace of the two functions.
pub(crate) struct Cursor;

/// A place in a consumer's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Position {
    /// In a full pull that began at change `as_of`: after this person.
    Full { as_of: u64, after: Option<LocalAddressNumber> },
    /// Before the changes after `since`.
    Changes { since: u64 },
    /// In the changes after `since` up to `until`: after this person.
    Window { since: u64, until: u64, after: Option<LocalAddressNumber> },
    /// In everything once more as of change `as_of`, with all that ended after `since`: after this
    /// person.
    Again { since: u64, as_of: u64, after: Option<LocalAddressNumber> },
}

// === impl Cursor ===

impl Cursor {
    /// Seals a position for the caller and the rules under which it was made.
    pub(crate) fn seal(call: &Call, position: &Position, permits: &[ReleasePermit]) -> Result<Vec<u8>, CallError> {
        Ok(call.hall.vault.seal_cursor(&call.caller.system_id, &encode(position, &rules_digest(permits)))?)
    }

    /// Opens a cursor that was sealed for this caller; another caller's is refused like garbage.
    pub(crate) fn open(call: &Call, sealed: &[u8], permits: &[ReleasePermit]) -> Result<Position, CallError> {
        let unknown = || CallError::field("cursor", "is not a cursor that your system was given for these datasets");
        let content = call.hall.vault.open_cursor(&call.caller.system_id, sealed).map_err(|_| unknown())?;
        let (rules, position) = decode(&content).ok_or_else(unknown)?;
        if rules != rules_digest(permits) {
            return Err(CallError::new(
                Reason::RuleChanged,
                "the rules or the datasets asked for changed since this cursor was made; pull in full (without cursor)",
            ));
        }
        Ok(position)
    }
}

/// What the caller may have decides what "changed" means: a cursor is good only under the rules it was made under.
fn rules_digest(permits: &[ReleasePermit]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for permit in permits {
        for text in [permit.dataset().as_str(), permit.affair().as_str(), permit.rule_id()] {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        hash.update(permit.rule_version().to_be_bytes());
        for field in permit.field_names().iter() {
            hash.update(field.as_bytes());
            hash.update([0]);
        }
    }
    hash.finalize().into()
}

fn encode(position: &Position, rules: &[u8; 32]) -> Vec<u8> {
    let (kind, sequences, local) = match position {
        Position::Full { as_of, after } => (0, [*as_of, 0], after.as_ref()),
        Position::Changes { since } => (1, [*since, 0], None),
        Position::Window { since, until, after } => (2, [*since, *until], after.as_ref()),
        Position::Again { since, as_of, after } => (3, [*since, *as_of], after.as_ref()),
    };
    let local = local.map_or("", LocalAddressNumber::as_str);
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(VERSION);
    bytes.extend_from_slice(rules);
    bytes.push(kind);
    bytes.extend(sequences.iter().flat_map(|sequence| sequence.to_be_bytes()));
    // A local number has at most 15 characters.
    bytes.push(u8::try_from(local.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(local.as_bytes());
    bytes.resize(LENGTH, 0);
    bytes
}

fn decode(bytes: &[u8]) -> Option<([u8; 32], Position)> {
    let (&version, rest) = bytes.split_first()?;
    let before = BEFORE.into_iter().find(|(before, _)| *before == version);
    let sequences = match before {
        Some((_, sequences)) => sequences,
        None if version == VERSION => 2,
        None => return None,
    };
    if bytes.len() != length(sequences) {
        return None;
    }
    let (rules, rest) = rest.split_first_chunk::<32>()?;
    let (&kind, rest) = rest.split_first()?;
    let (first, _) = rest.split_first_chunk::<8>()?;
    let (second, _) = rest.get(8..)?.split_first_chunk::<8>()?;
    let rest = rest.get(8 * sequences..)?;
    let (&length, rest) = rest.split_first()?;
    let local = std::str::from_utf8(rest.get(..usize::from(length))?).ok()?;
    let [first, second] = [*first, *second].map(u64::from_be_bytes);
    let after = match local {
        "" => None,
        local => Some(LocalAddressNumber::parse(local).ok()?),
    };
    let position = match (kind, before) {
        (0, _) => Position::Full { as_of: first, after },
        // A window of an earlier version begins again at its start.
        (1, _) | (2, Some(_)) => Position::Changes { since: first },
        (2, None) => Position::Window { since: first, until: second, after },
        (3, None) => Position::Again { since: first, as_of: second, after },
        (3, Some(_)) => Position::Again { since: 0, as_of: first, after },
        _ => return None,
    };
    Some((*rules, position))
}

/// For [`crate::fuzz`].
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Some((rules, position)) = decode(bytes) {
        // Bytes that say nothing may differ; the position may not.
        let again = decode(&encode(&position, &rules));
        assert!(again == Some((rules, position)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_comes_back_and_all_cursors_have_one_length() {
        let local = LocalAddressNumber::parse("000000000000019").unwrap();
        for position in [
            Position::Full { as_of: 7, after: None },
            Position::Full { as_of: u64::MAX, after: Some(local.clone()) },
            Position::Changes { since: 3 },
            Position::Window { since: 3, until: 9, after: Some(local.clone()) },
            Position::Again { since: 3, as_of: 9, after: Some(local) },
        ] {
            let bytes = encode(&position, &[9; 32]);
            assert_eq!(bytes.len(), LENGTH);
            assert_eq!(decode(&bytes), Some(([9; 32], position)));
        }
    }

    /// A cursor as a version before wrote it, for a person with local number 19.
    fn before(version: u8, kind: u8, sequences: &[u64]) -> Vec<u8> {
        let mut bytes = vec![version];
        bytes.extend([9; 32]);
        bytes.push(kind);
        bytes.extend(sequences.iter().flat_map(|sequence| sequence.to_be_bytes()));
        bytes.extend(*b"\x0219");
        bytes.resize(length(sequences.len()), 0);
        bytes
    }

    #[test]
    fn cursors_of_versions_before_are_read() {
        let after = Some(LocalAddressNumber::parse("19").unwrap());
        for (kind, position) in [
            (0, Position::Full { as_of: 3, after: after.clone() }),
            (1, Position::Changes { since: 3 }),
            (2, Position::Changes { since: 3 }),
            (3, Position::Again { since: 0, as_of: 3, after }),
        ] {
            for bytes in [before(1, kind, &[3, 5]), before(2, kind, &[3, 5, 7])] {
                assert_eq!(decode(&bytes), Some(([9; 32], position.clone())));
            }
        }
    }

    #[test]
    fn other_bytes_are_no_position() {
        for bytes in [&[][..], &[4; LENGTH - 1], &[3; LENGTH], &[4; LENGTH + 1], &[2; LENGTH], &[1; LENGTH]] {
            assert_eq!(decode(bytes), None);
        }
    }
}
