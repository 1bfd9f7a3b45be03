//! Receipts (c2sp.org/tlog-proof, `c2sp.org/tlog-proof@v1`): all that is needed to check offline that a leaf is in the log.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, CheckpointError, open_checkpoint};
use crate::hash::{Hash, leaf_hash};
use crate::note::VerifierKey;
use crate::proof::{ProofError, verify_inclusion};
use crate::text::parse_decimal;

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof has one hash for each level of the tree at most.
const PROOF_LINES_MAX: usize = 64;

/// A signed checkpoint, the place of a leaf, and the way from the leaf to the checkpoint's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Bytes of the application's own, not authenticated by the proof.
    pub extra: Option<Vec<u8>>,
    /// Zero-based place of the leaf.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub proof: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// Why a receipt does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not in the form of the specification.
    #[error("this is not a tlog-proof receipt")]
    Malformed,
    /// Its checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

// === impl Receipt ===

impl Receipt {
    /// Reads a receipt.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ReceiptError::Malformed)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(ReceiptError::Malformed);
        }
        let mut extra = None;
        if let Some(encoded) = lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            extra = Some(STANDARD.decode(encoded).map_err(|_| ReceiptError::Malformed)?);
            lines.next();
        }
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(parse_decimal)
            .ok_or(ReceiptError::Malformed)?;
        let proof = lines.map(Hash::from_base64).collect::<Option<Vec<_>>>().ok_or(ReceiptError::Malformed)?;
        if proof.len() > PROOF_LINES_MAX {
            return Err(ReceiptError::Malformed);
        }
        Ok(Self { extra, index, proof, checkpoint: checkpoint.to_owned() })
    }

    /// The checkpoint that proves `leaf` to be in the log, whose key, or one of whose keys, signed it.
    ///
    /// # Errors
    /// [`ReceiptError`]: the leaf is not proved.
    pub fn verify<K>(&self, leaf: &[u8], log: &K) -> Result<Checkpoint, ReceiptError>
    where
        K: AsRef<[VerifierKey]> + ?Sized,
    {
        let checkpoint = open_checkpoint(&self.checkpoint, log)?;
        verify_inclusion(self.index, checkpoint.size, &leaf_hash(leaf), &self.proof, &checkpoint.root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(formatter, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(formatter, "index {}", self.index)?;
        self.proof.iter().try_for_each(|hash| writeln!(formatter, "{}", hash.to_base64()))?;
        write!(formatter, "\n{}", self.checkpoint)
    }
}
