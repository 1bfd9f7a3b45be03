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

/// The checkpoint in a signed note, verified with the log's public key, whose name is the log's origin.
///
/// # Errors
/// [`CheckpointError`].
pub fn open_checkpoint(note: &str, log: &VerifierKey) -> Result<Checkpoint, CheckpointError> {
    let note = Note::parse(note)?;
    note.verify(std::slice::from_ref(log))?;
    let checkpoint = Checkpoint::parse(&note.text)?;
    if checkpoint.origin == log.name() { Ok(checkpoint) } else { Err(CheckpointError::OtherLog) }
}

// === impl Checkpoint ===

impl Checkpoint {
    /// A head without extension lines.
    #[must_use]
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self { origin: origin.to_owned(), size, root, extensions: Vec::new() }
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
