//! Checkpoints (c2sp.org/tlog-checkpoint v1.0.0): the head of the log, signed.

use crate::hash::Hash;
use crate::note::{Note, NoteError, Signer, VerifierKey};
use crate::text::parse_decimal;

/// The head of a log at one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Names the log, e.g. `atena.city.example/132098`.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
    /// Lines that the log may add; opaque.
    pub extensions: Vec<String>,
}

/// Why a text is no checkpoint of the log that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not in the form of the specification.
    #[error("this is not a checkpoint")]
    Malformed,
    /// Of another log.
    #[error("the checkpoint is of another log")]
    OtherLog,
    /// The signed note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// What the line begins with in which a head names the log's next key. The heads that do are signed by both, so whoever knows the older
/// key learns the newer one from it.
const NEXT_KEY: &str = "atena-next-key ";

/// The checkpoint in a signed note, verified with the log's public key, whose name is the log's origin. A log whose key was replaced has
/// had several, of which one is enough; a signature of another one of them that does not verify is refused all the same.
///
/// # Errors
/// [`CheckpointError`].
pub fn open_checkpoint<K>(note: &str, log: &K) -> Result<Checkpoint, CheckpointError>
where
    K: AsRef<[VerifierKey]> + ?Sized,
{
    let note = Note::parse(note)?;
    let by = note.verify(log.as_ref())?;
    let checkpoint = Checkpoint::parse(&note.text)?;
    if by.iter().all(|key| key.name() == checkpoint.origin) { Ok(checkpoint) } else { Err(CheckpointError::OtherLog) }
}

// === impl Checkpoint ===

impl Checkpoint {
    /// A head without extension lines.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self { origin: origin.to_owned(), size, root, extensions: Vec::new() }
    }

    /// The same head, naming the key that is about to take the place of the older one.
    #[must_use]
    pub fn naming(mut self, next: &VerifierKey) -> Self {
        self.extensions.push(format!("{NEXT_KEY}{next}"));
        self
    }

    /// The key that is about to take the place of the one that `note`, of which this is the text, is verified with: it is named here, is of
    /// the same log, and signed the note as well.
    #[must_use]
    pub fn next_key(&self, note: &Note) -> Option<VerifierKey> {
        let named = self.extensions.iter().find_map(|line| line.strip_prefix(NEXT_KEY))?;
        let key = VerifierKey::parse(named).ok().filter(|key| key.name() == self.origin)?;
        note.verify(key.as_ref()).is_ok().then_some(key)
    }

    /// The note text: origin, size, root, extension lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64());
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// Reads the note text.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Malformed)?.split('\n');
        let mut next = || lines.next().filter(|line| !line.is_empty());
        let origin = next().ok_or(CheckpointError::Malformed)?.to_owned();
        let size = next().and_then(parse_decimal).ok_or(CheckpointError::Malformed)?;
        let root = next().and_then(Hash::from_base64).ok_or(CheckpointError::Malformed)?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Malformed);
        }
        Ok(Self { origin, size, root, extensions })
    }

    /// Signs it. The origin is the signer's name.
    #[must_use]
    pub fn sign(&self, signer: &Signer) -> Note {
        let text = self.text();
        let signature = signer.sign(text.as_bytes()).to_vec();
        Note { text, signatures: vec![signer.line(signature)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::parse(text).unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(checkpoint.text(), text);
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for wrong in [
            format!("o\n01\n{root}\n"),
            format!("o\n1\n{root}"),
            format!("\n1\n{root}\n"),
            "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n".to_owned(),
            format!("o\n1\n{root}\n\n"),
            format!("o\n1\n{root}\nline\n\nline\n"),
            "o\n1\n".to_owned(),
        ] {
            assert_eq!(Checkpoint::parse(&wrong), Err(CheckpointError::Malformed), "{wrong}");
        }
    }

    /// A head under two keys is good for those who know either; the older key vouches for the newer one.
    #[test]
    fn a_log_that_changes_its_key_is_verified_with_either_and_names_the_next() {
        let (old, new) =
            (Signer::new("log.example/a", &[1; 32]).unwrap(), Signer::new("log.example/a", &[2; 32]).unwrap());
        let checkpoint = Checkpoint::new("log.example/a", 0, Hash::EMPTY_ROOT).naming(&new.verifier_key());
        let mut note = checkpoint.sign(&old);
        assert_eq!(checkpoint.next_key(&note), None, "named, and not signed by it");
        note.signatures.extend(checkpoint.sign(&new).signatures);
        let both = [old.verifier_key(), new.verifier_key()];
        for keys in [&both[..1], &both[1..], &both[..]] {
            assert_eq!(open_checkpoint(&note.to_string(), keys).unwrap(), checkpoint);
        }
        assert_eq!(checkpoint.next_key(&Note::parse(&note.to_string()).unwrap()), Some(new.verifier_key()));
        let other = Signer::new("log.example/b", &[3; 32]).unwrap();
        let elsewhere = Checkpoint::new("log.example/a", 0, Hash::EMPTY_ROOT).naming(&other.verifier_key());
        assert_eq!(elsewhere.next_key(&elsewhere.sign(&other)), None, "a key of another log");
        // A signature of a known key that does not verify spoils the head, whatever the other says.
        note.signatures[1].signature[0] ^= 1;
        assert!(open_checkpoint(&note.to_string(), &both[..]).is_err());
    }

    #[test]
    fn a_checkpoint_of_another_log_is_refused_though_the_key_is_right() {
        let signer = Signer::new("log.example/a", &[1; 32]).unwrap();
        let key = signer.verifier_key();
        let good = Checkpoint::new("log.example/a", 0, Hash::EMPTY_ROOT).sign(&signer).to_string();
        assert_eq!(open_checkpoint(&good, &key).unwrap().size, 0);
        let other = Checkpoint::new("log.example/b", 0, Hash::EMPTY_ROOT).sign(&signer).to_string();
        assert_eq!(open_checkpoint(&other, &key), Err(CheckpointError::OtherLog));
        let forger = Signer::new("log.example/a", &[2; 32]).unwrap();
        let forged = Checkpoint::new("log.example/a", 0, Hash::EMPTY_ROOT).sign(&forger).to_string();
        assert_eq!(open_checkpoint(&forged, &key), Err(CheckpointError::Note(NoteError::UnknownSigner)));
    }
}
