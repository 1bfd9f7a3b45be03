//! What a witness decides (c2sp.org/tlog-witness v1.0.0, `add-checkpoint`): it cosigns a head only if the log's key signed it and it
//! extends the last head that the witness cosigned. The network and the file are others'.

use std::fmt;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::hash::Hash;
use crate::note::{Note, NoteError, VerifierKey};
use crate::proof::verify_consistency;
use crate::text::parse_decimal;

/// Proof lines of a request, at most (the specification's figure).
const PROOF_LINES_MAX: usize = 63;

/// The body of `POST <prefix>/add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the log believes the witness cosigned last.
    pub old_size: u64,
    /// From the old size to the size of the checkpoint.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// The last head of a log that a witness cosigned; the default is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// A head that the witness may cosign, once it has kept it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What to keep.
    pub seen: Seen,
    /// The text to cosign.
    pub text: String,
    /// The key that is about to take the place of the one that the log was known by: to be kept as known from now on.
    pub next_key: Option<VerifierKey>,
}

/// Why a witness refuses a head; [`Refusal::http_status`] gives the specification's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a request, or the old size is beyond the checkpoint's.
    #[error("this is not an add-checkpoint request")]
    BadRequest,
    /// Another log than the one that is watched.
    #[error("this witness does not watch that log")]
    UnknownLog,
    /// Not signed by the log.
    #[error("the checkpoint is not signed by the log")]
    NotSigned,
    /// The log is behind, or shows another tree of the same size: a rewound or forked log.
    #[error("the last head this witness cosigned has size {size}")]
    Conflict {
        /// Of the last head cosigned.
        size: u64,
    },
    /// The checkpoint does not extend the last one: a forked log.
    #[error("the checkpoint does not extend the last one")]
    Inconsistent,
}

/// Decides on a request, given what was cosigned last and the keys by which the log is known.
///
/// # Errors
/// [`Refusal`].
pub fn decide<K>(request: &AddCheckpoint, seen: Option<Seen>, log: &K) -> Result<Accepted, Refusal>
where
    K: AsRef<[VerifierKey]> + ?Sized,
{
    let log = log.as_ref();
    let note = Note::parse(&request.checkpoint).map_err(|_| Refusal::BadRequest)?;
    let checkpoint = Checkpoint::parse(&note.text).map_err(|_: CheckpointError| Refusal::BadRequest)?;
    if log.iter().any(|key| key.name() != checkpoint.origin) {
        return Err(Refusal::UnknownLog);
    }
    note.verify(log).map_err(|_: NoteError| Refusal::NotSigned)?;
    if request.old_size > checkpoint.size {
        return Err(Refusal::BadRequest);
    }
    let seen = seen.unwrap_or(Seen { size: 0, root: Hash::EMPTY_ROOT });
    if request.old_size != seen.size || (seen.size == checkpoint.size && seen.root != checkpoint.root) {
        return Err(Refusal::Conflict { size: seen.size });
    }
    verify_consistency(seen.size, &seen.root, checkpoint.size, &checkpoint.root, &request.proof)
        .map_err(|_| Refusal::Inconsistent)?;
    let next_key = checkpoint.next_key(&note).filter(|key| !log.contains(key));
    Ok(Accepted { seen: Seen { size: checkpoint.size, root: checkpoint.root }, text: note.text, next_key })
}

// === impl AddCheckpoint ===

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`].
    pub fn parse(body: &str) -> Result<Self, Refusal> {
        let (head, checkpoint) = body.split_once("\n\n").ok_or(Refusal::BadRequest)?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(parse_decimal)
            .ok_or(Refusal::BadRequest)?;
        let proof = lines.map(Hash::from_base64).collect::<Option<Vec<_>>>().ok_or(Refusal::BadRequest)?;
        if proof.len() > PROOF_LINES_MAX {
            return Err(Refusal::BadRequest);
        }
        Ok(Self { old_size, proof, checkpoint: checkpoint.to_owned() })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(formatter, "{}", hash.to_base64()))?;
        write!(formatter, "\n{}", self.checkpoint)
    }
}

// === impl Refusal ===

impl Refusal {
    /// The HTTP status that the specification gives.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent => 422,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::frontier::Frontier;
    use crate::hash::leaf_hash;
    use crate::note::Signer;
    use crate::proof::consistency_proof;

    /// A log with a head for every size up to `size`, its leaves made of `salt`.
    struct Log {
        signer: Signer,
        heads: Vec<Hash>,
        nodes: HashMap<(u8, u64), Hash>,
    }

    fn log(size: u64, salt: &str) -> Log {
        let (mut tree, mut nodes, mut heads) = (Frontier::empty(), HashMap::new(), vec![Hash::EMPTY_ROOT]);
        for number in 0..size {
            tree.push(leaf_hash(format!("{salt}{number}").as_bytes()), |level, index, hash| {
                nodes.insert((level, index), hash);
            });
            heads.push(tree.root());
        }
        Log { signer: Signer::new("log.example", &[1; 32]).unwrap(), heads, nodes }
    }

    impl Log {
        fn request(&self, old_size: u64, size: u64) -> AddCheckpoint {
            let root = self.heads[usize::try_from(size).unwrap()];
            let read = |level, index| self.nodes.get(&(level, index)).copied().ok_or(());
            let proof = consistency_proof(old_size, size, read).unwrap();
            let checkpoint = Checkpoint::new("log.example", size, root).sign(&self.signer).to_string();
            AddCheckpoint { old_size, proof, checkpoint }
        }
    }

    #[test]
    fn a_growing_log_is_cosigned_step_by_step() {
        let log = log(40, "a");
        let mut seen = None;
        for (old, new) in [(0, 5), (5, 5), (5, 6), (6, 39), (39, 40)] {
            let request = AddCheckpoint::parse(&log.request(old, new).to_string()).unwrap();
            seen = Some(decide(&request, seen, &log.signer.verifier_key()).unwrap().seen);
        }
        assert_eq!(seen.unwrap().size, 40);
    }

    #[test]
    fn a_log_that_changes_its_key_teaches_it_to_those_who_know_the_older_one() {
        let log = log(3, "a");
        let next = Signer::new("log.example", &[2; 32]).unwrap();
        let head = Checkpoint::new("log.example", 1, log.heads[1]).naming(&next.verifier_key());
        let request = |note: Note| AddCheckpoint { checkpoint: note.to_string(), ..log.request(0, 1) };
        let known = [log.signer.verifier_key()];
        assert_eq!(decide(&request(head.sign(&log.signer)), None, &known[..]).unwrap().next_key, None);
        assert_eq!(decide(&request(head.sign(&next)), None, &known[..]), Err(Refusal::NotSigned), "not yet known");
        let mut both = head.sign(&log.signer);
        both.signatures.extend(head.sign(&next).signatures);
        let learned = decide(&request(both.clone()), None, &known[..]).unwrap().next_key.unwrap();
        assert_eq!(learned, next.verifier_key());
        let known = [known[0].clone(), learned];
        assert_eq!(decide(&request(both), None, &known[..]).unwrap().next_key, None, "known already");
        assert!(decide(&request(head.sign(&next)), None, &known[..]).is_ok());
    }

    #[test]
    fn tamper_evident_a_rewound_or_forked_log_is_refused() {
        let (log, fork) = (log(40, "a"), log(40, "b"));
        let key = log.signer.verifier_key();
        let seen = Some(decide(&log.request(0, 20), None, &key).unwrap().seen);
        let status = |request: &AddCheckpoint| decide(request, seen, &key).unwrap_err().http_status();
        assert_eq!(status(&log.request(10, 15)), 409, "an old backup goes on");
        assert_eq!(status(&fork.request(20, 20)), 409, "another tree of the same size");
        assert_eq!(status(&fork.request(20, 30)), 422, "another history");
        assert_eq!(status(&log.request(30, 40)), 409, "a size never seen");
        assert_eq!(status(&AddCheckpoint { old_size: 41, ..log.request(20, 40) }), 400);
        let forger = Log { signer: Signer::new("log.example", &[9; 32]).unwrap(), ..fork };
        assert_eq!(status(&forger.request(20, 30)), 403);
        let other = Signer::new("other.example", &[1; 32]).unwrap();
        assert_eq!(decide(&log.request(0, 1), None, &other.verifier_key()).unwrap_err().http_status(), 404);
    }
}
