//! The sealed details of a chunk's leaves, packed: for each leaf the person (length and digits,
//! length 0 where unknown) and the sealed bytes (length in 4 bytes, big endian; 0 once erased).

use atena_domain::UnifiedAddressNumber;

use crate::error::StoreError;
use crate::log_append::LogEntry;

/// Details of one leaf as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDetails {
    /// The person, where known.
    pub person: Option<UnifiedAddressNumber>,
    /// Sealed; empty once erased.
    pub sealed: Vec<u8>,
}

pub(crate) fn pack_details(entries: &[LogEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.iter().map(|entry| entry.details().len() + 20).sum());
    for entry in entries {
        push(&mut out, entry.person(), entry.details());
    }
    out
}

pub(crate) fn pack_stored(details: &[StoredDetails]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in details {
        push(&mut out, one.person.as_ref(), &one.sealed);
    }
    out
}

fn push(out: &mut Vec<u8>, person: Option<&UnifiedAddressNumber>, sealed: &[u8]) {
    let person = person.map_or("", UnifiedAddressNumber::as_str).as_bytes();
    // A unified number has 15 digits; sealed details stay far below 4 GiB.
    out.push(u8::try_from(person.len()).unwrap_or(0));
    out.extend_from_slice(person);
    out.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(sealed);
}

pub(crate) fn unpack_details(packed: &[u8]) -> Result<Vec<StoredDetails>, StoreError> {
    let details = Packed { rest: packed }.map(|one| {
        let (person, sealed) = one?;
        Ok(StoredDetails { person, sealed: sealed.to_vec() })
    });
    details.collect()
}

/// The people alone, without copying the sealed bytes of many chunks.
pub(crate) fn unpack_people(packed: &[u8]) -> Result<Vec<Option<UnifiedAddressNumber>>, StoreError> {
    Packed { rest: packed }.map(|one| Ok(one?.0)).collect()
}

/// Packed details that are read one by one, up to the first that is damaged.
struct Packed<'p> {
    rest: &'p [u8],
}

// === impl Packed ===

impl<'p> Iterator for Packed<'p> {
    type Item = Result<(Option<UnifiedAddressNumber>, &'p [u8]), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.rest.split_first()?;
        let one = one(*length, rest);
        self.rest = one.as_ref().map_or(&[], |(_, _, rest)| rest);
        Some(one.map(|(person, sealed, _)| (person, sealed)).ok_or(StoreError::Corrupt { table: "log_details" }))
    }
}

/// Person and sealed bytes, behind the length of the person, and what follows.
fn one(length: u8, rest: &[u8]) -> Option<(Option<UnifiedAddressNumber>, &[u8], &[u8])> {
    let (person, rest) = rest.split_at_checked(usize::from(length))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sealed, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let person = match std::str::from_utf8(person).ok()? {
        "" => None,
        digits => Some(UnifiedAddressNumber::parse_migrated(digits).ok()?),
    };
    Some((person, sealed, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_come_back_and_whatever_is_cut_short_is_refused() {
        let person = |body| UnifiedAddressNumber::from_body(body).ok();
        let details = [(person(1), b"sealed".to_vec()), (None, Vec::new()), (person(2), Vec::new())];
        let details = details.map(|(person, sealed)| StoredDetails { person, sealed });
        let packed = pack_stored(&details);
        assert_eq!(unpack_details(&packed).unwrap(), details);
        assert_eq!(unpack_people(&packed).unwrap(), [person(1), None, person(2)]);
        let ends = [&details[..0], &details[..1], &details[..2]].map(|part| pack_stored(part).len());
        for end in 0..packed.len() {
            let whole = ends.contains(&end);
            assert_eq!(unpack_details(&packed[..end]).is_ok(), whole, "{end}");
            assert_eq!(unpack_people(&packed[..end]).is_ok(), whole, "{end}");
        }
        let mut letters = packed;
        letters[1] = b'x';
        assert!(unpack_people(&letters).is_err(), "no unified number");
    }
}
