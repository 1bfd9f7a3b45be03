//! The leaf: what the log says of one transfer in the open. Text, one line an item, so that an auditor can read it as it is; without
//! personal data, which stays behind three salted commitments.
//!
//! ```text
//! atena-transfer/1
//! direction OUTBOUND
//! method LinkageService/GetRecords
//! system resident-tax
//! division 財務部市民税課
//! affair 市都民税賦課業務
//! rule transfer-1 1
//! basis 町田市個人番号及び特定個人情報の利用に関する条例
//! dataset payment
//! fields fiscal_year months.month months.status
//! policy 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9
//! id 0199c2a4-0000-7000-8000-000000000001
//! requested 1763888400000000
//! provided 1763888400001234
//! outcome RELEASED
//! records 3
//! subject e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
//! content 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
//! details fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
//! ```
//!
//! `division`, `affair`, `rule`, `basis`, `dataset`, `fields` and `reason` (after `outcome`) are left out where there is none. Times
//! are microseconds since 1970-01-01T00:00:00Z. One leaf has one spelling.

mod lines;
mod shape;
#[cfg(test)]
mod tests;
mod words;

use lines::{Reader, is_name};
pub use shape::{LeafShape, RenderedShape};
pub use words::{Direction, Outcome};

use crate::hash::Hash;
use crate::text::{push_decimal, push_hex};

/// The first line.
const VERSION: &str = "atena-transfer/1";

/// Longest leaf, in bytes: what fits an entry bundle (c2sp.org/tlog-tiles).
const BYTES_MAX: usize = 65_535;

/// What is one leaf's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The transfer's id, a UUID.
    pub id: [u8; 16],
    /// 求め日時, microseconds since 1970.
    pub requested_us: u64,
    /// 提供日時, microseconds since 1970.
    pub provided_us: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Reason of a refusal.
    pub reason: Option<String>,
    /// Rows sent or received.
    pub records: u64,
    /// Commitment to the person.
    pub subject: Hash,
    /// Commitment to the digest of what was sent or stored.
    pub content: Hash,
    /// Commitment to the sealed details.
    pub details: Hash,
}

/// Why something is no leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// A value has a control character, or a name has a space, or is empty.
    #[error("a value of a leaf has a character that it may not have")]
    Character,
    /// Longer than 65,535 bytes.
    #[error("a leaf has at most 65,535 bytes")]
    TooLong,
    /// Not in the form of a leaf.
    #[error("this is not a leaf of version 1")]
    Malformed,
}

// === impl Leaf ===

impl Leaf {
    /// Appends the whole leaf to `out`; on an error `out` is as it was.
    ///
    /// # Errors
    /// [`LeafError::Character`], [`LeafError::TooLong`].
    pub fn encode(&self, shape: &RenderedShape, out: &mut Vec<u8>) -> Result<(), LeafError> {
        let start = out.len();
        out.extend_from_slice(shape.as_bytes());
        let encoded = self.encode_own(out).and_then(|()| fits(out.len() - start));
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }

    /// The hash of the whole leaf, as [`leaf_hash`](crate::leaf_hash) of what [`Leaf::encode`] writes; `scratch` is overwritten.
    ///
    /// # Errors
    /// As [`Leaf::encode`].
    pub fn hash(&self, shape: &RenderedShape, scratch: &mut Vec<u8>) -> Result<Hash, LeafError> {
        scratch.clear();
        self.encode_own(scratch)?;
        fits(shape.as_bytes().len() + scratch.len())?;
        Ok(shape.hash_with(scratch))
    }

    /// The lines that are the leaf's own.
    fn encode_own(&self, out: &mut Vec<u8>) -> Result<(), LeafError> {
        if let Some(reason) = &self.reason {
            is_name(reason)?;
        }
        out.extend_from_slice(b"id ");
        for (index, part) in
            [&self.id[..4], &self.id[4..6], &self.id[6..8], &self.id[8..10], &self.id[10..]].iter().enumerate()
        {
            if index > 0 {
                out.push(b'-');
            }
            push_hex(out, part);
        }
        let mut number = |name: &str, value: u64| {
            out.extend_from_slice(name.as_bytes());
            push_decimal(out, value);
        };
        number("\nrequested ", self.requested_us);
        number("\nprovided ", self.provided_us);
        out.extend_from_slice(b"\noutcome ");
        out.extend_from_slice(self.outcome.as_str().as_bytes());
        if let Some(reason) = &self.reason {
            out.extend_from_slice(b"\nreason ");
            out.extend_from_slice(reason.as_bytes());
        }
        out.extend_from_slice(b"\nrecords ");
        push_decimal(out, self.records);
        for (name, commitment) in
            [("\nsubject ", &self.subject), ("\ncontent ", &self.content), ("\ndetails ", &self.details)]
        {
            out.extend_from_slice(name.as_bytes());
            push_hex(out, &commitment.0);
        }
        out.push(b'\n');
        Ok(())
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// [`LeafError::Malformed`] for everything that [`Leaf::encode`] would not write.
    pub fn decode(leaf: &[u8]) -> Result<(LeafShape, Self), LeafError> {
        let mut reader = Reader::new(leaf)?;
        let shape = reader.shape()?;
        let own = reader.own()?;
        if reader.rest.is_empty() { Ok((shape, own)) } else { Err(LeafError::Malformed) }
    }
}

fn fits(bytes: usize) -> Result<(), LeafError> {
    if bytes > BYTES_MAX { Err(LeafError::TooLong) } else { Ok(()) }
}
