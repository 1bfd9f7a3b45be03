//! Cosignatures (c2sp.org/tlog-cosignature, Ed25519, type 0x04): a witness states that, at a time, this was the largest head it had
//! seen of the log, and that it extends the ones before.

use crate::note::{COSIGNATURE, KeyError, Note, NoteError, NoteSignature, Signer, VerifierKey};

/// A witness's private key.
pub struct Cosigner {
    key: Signer,
}

/// The time (POSIX seconds) of the witness's cosignature on a checkpoint, which is verified.
///
/// # Errors
/// [`NoteError::UnknownSigner`] where the note has none of this witness, [`NoteError::BadSignature`] where it does not verify.
pub fn verify_cosignature(note: &Note, witness: &VerifierKey) -> Result<u64, NoteError> {
    let line = note.signatures.iter().find(|line| witness.made(line)).ok_or(NoteError::UnknownSigner)?;
    let (time, signature) = line.signature.split_first_chunk::<8>().ok_or(NoteError::BadSignature)?;
    let time = u64::from_be_bytes(*time);
    if witness.kind() != COSIGNATURE || i64::try_from(time).is_err() {
        return Err(NoteError::BadSignature);
    }
    witness.verify(message(&note.text, time).as_bytes(), signature)?;
    Ok(time)
}

// === impl Cosigner ===

impl Cosigner {
    /// The witness with this name and Ed25519 seed (32 random bytes, to be kept secret).
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Ok(Self { key: Signer::of_kind(name, seed, COSIGNATURE)? })
    }

    /// The public half.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.key.verifier_key()
    }

    /// The signature line for a checkpoint's text at `time` (POSIX seconds).
    #[must_use]
    pub fn cosign(&self, checkpoint_text: &str, time: u64) -> NoteSignature {
        let signature = self.key.sign(message(checkpoint_text, time).as_bytes());
        self.key.line([&time.to_be_bytes()[..], &signature].concat())
    }
}

fn message(checkpoint_text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{checkpoint_text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, open_checkpoint};
    use crate::hash::Hash;

    #[test]
    fn a_cosigned_checkpoint_verifies_with_both_keys() {
        let log = Signer::new("log.example", &[1; 32]).unwrap();
        let witness = Cosigner::new("witness.example", &[2; 32]).unwrap();
        let mut note = Checkpoint::new("log.example", 0, Hash::EMPTY_ROOT).sign(&log);
        let line = witness.cosign(&note.text, 1_700_000_000);
        note.signatures.push(line);
        let read = Note::parse(&note.to_string()).unwrap();
        let key = VerifierKey::parse(&witness.verifier_key().to_string()).unwrap();
        assert_eq!(verify_cosignature(&read, &key), Ok(1_700_000_000));
        open_checkpoint(&note.to_string(), &log.verifier_key()).unwrap();
        // Another time, or the log's own kind of key, does not pass.
        note.signatures[1].signature[7] ^= 1;
        assert_eq!(verify_cosignature(&note, &key), Err(NoteError::BadSignature));
        assert_eq!(verify_cosignature(&note, &log.verifier_key()), Err(NoteError::BadSignature));
    }
}
