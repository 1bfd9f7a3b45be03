//! The sealed details of a chunk's leaves, packed: for each leaf the person (length and digits, length 0 for nobody) and the sealed
//! bytes (length in 4 bytes, big endian; 0 once erased).

use atena_domain::UnifiedAddressNumber;

use crate::error::StoreError;
use crate::log_append::LogEntry;

/// Details of one leaf as stored: whom they are sealed for, and the sealed bytes (empty once erased).
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

pub(crate) fn unpack_details(mut bytes: &[u8]) -> Result<Vec<StoredDetails>, StoreError> {
    const CORRUPT: StoreError = StoreError::Corrupt { table: "log_details" };
    let mut all = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (person, rest) = rest.split_at_checked(usize::from(*length)).ok_or(CORRUPT)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(CORRUPT)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CORRUPT)?;
        let (sealed, rest) = rest.split_at_checked(length).ok_or(CORRUPT)?;
        let person = match std::str::from_utf8(person).map_err(|_| CORRUPT)? {
            "" => None,
            digits => Some(UnifiedAddressNumber::parse_migrated(digits).map_err(|_| CORRUPT)?),
        };
        all.push(StoredDetails { person, sealed: sealed.to_vec() });
        bytes = rest;
    }
    Ok(all)
}
