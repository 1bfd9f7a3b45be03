//! Signed notes (c2sp.org/signed-note v1.0.0): text with signature lines, and the keys for them. Ed25519, type 0x01.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// Largest note that is read, in bytes.
const BYTES_MAX: usize = 1 << 20;

/// Signatures read at most; the specification asks for at least 16.
const SIGNATURES_MAX: usize = 100;

/// What every signature line begins with.
const DASH: &str = "— ";

/// Signature types of the specification.
pub(crate) const ED25519: u8 = 0x01;
pub(crate) const COSIGNATURE: u8 = 0x04;

/// A note: text that ends with a newline, and its signature lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The signed text, final newline included.
    pub text: String,
    /// The signatures, in order.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Who signed.
    pub name: String,
    /// Tells keys of one name apart: the first four bytes of a hash of the key.
    pub key_id: [u8; 4],
    /// The signature, in the form of its type.
    pub signature: Vec<u8>,
}

/// A public key with its name: `<name>+<key id in hex>+<base64 of type and key>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: u8,
    key: VerifyingKey,
}

/// A private key with its name. It can't be printed.
pub struct Signer {
    name: String,
    kind: u8,
    key: SigningKey,
}

/// Why a text is no note, or not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not in the form of the specification.
    #[error("this is not a signed note")]
    Malformed,
    /// Larger than anything we read.
    #[error("the note is too large")]
    TooLarge,
    /// No signature of a known key.
    #[error("the note is not signed by a known key")]
    UnknownSigner,
    /// A signature of a known key that does not verify.
    #[error("a signature of a known key does not verify")]
    BadSignature,
}

/// Why a key or its name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty, or with a space, a plus sign or a control character.
    #[error("a key name is not empty and has no space, no '+' and no control character")]
    Name,
    /// Not in the form `<name>+<key id>+<base64>`, or not an Ed25519 key.
    #[error("this is not a verifier key of the form <name>+<key id>+<base64>")]
    Malformed,
}

// === impl Note ===

impl Note {
    /// Signs `text`, which ends with a newline and holds no other control characters.
    ///
    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn sign(text: String, signer: &Signer) -> Result<Self, NoteError> {
        if !text.ends_with('\n') || has_control_characters(&text) {
            return Err(NoteError::Malformed);
        }
        let signature = signer.sign(text.as_bytes());
        Ok(Self { text, signatures: vec![signer.line(signature.to_vec())] })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Malformed`], [`NoteError::TooLarge`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        if has_control_characters(note) {
            return Err(NoteError::Malformed);
        }
        // The last empty line separates text and signatures.
        let separator = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, lines) = (&note[..=separator], &note[separator + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == SIGNATURES_MAX {
                return Err(NoteError::TooLarge);
            }
            signatures.push(NoteSignature::parse(line)?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The keys among `known` whose signature verifies: at least one. Signatures of unknown keys are ignored.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] where a known key's signature does not verify, [`NoteError::UnknownSigner`] where none is there.
    pub fn verify<'k>(&self, known: &'k [VerifierKey]) -> Result<Vec<&'k VerifierKey>, NoteError> {
        let mut verified: Vec<&VerifierKey> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = known.iter().find(|key| key.made(signature)) else { continue };
            key.verify(self.text.as_bytes(), &signature.signature)?;
            if !verified.contains(&key) {
                verified.push(key);
            }
        }
        if verified.is_empty() { Err(NoteError::UnknownSigner) } else { Ok(verified) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(formatter, "{signature}"))
    }
}

// === impl NoteSignature ===

impl NoteSignature {
    /// Reads one signature line, without its newline.
    ///
    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let (name, encoded) =
            line.strip_prefix(DASH).and_then(|line| line.split_once(' ')).ok_or(NoteError::Malformed)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Malformed)?;
        let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::Malformed)?;
        if !is_key_name(name) || signature.is_empty() {
            return Err(NoteError::Malformed);
        }
        Ok(Self { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id[..], &self.signature].concat();
        write!(formatter, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

// === impl VerifierKey ===

impl VerifierKey {
    /// Reads `<name>+<key id in hex>+<base64 of type and key>`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed);
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Malformed)?;
        let (kind, key) = bytes.split_first().ok_or(KeyError::Malformed)?;
        let key: &[u8; 32] = key.try_into().map_err(|_| KeyError::Malformed)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| KeyError::Malformed)?;
        let key = Self::new(name, *kind, key)?;
        let known_kind = [ED25519, COSIGNATURE].contains(kind);
        if known_kind && crate::text::parse_hex(id) == Some(key.key_id()) { Ok(key) } else { Err(KeyError::Malformed) }
    }

    /// The Ed25519 public key itself (RFC 8032), 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// The Ed25519 key of a log whose private half is kept elsewhere.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn of_log(origin: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        Self::new(origin, ED25519, VerifyingKey::from_bytes(public_key).map_err(|_| KeyError::Malformed)?)
    }

    fn new(name: &str, kind: u8, key: VerifyingKey) -> Result<Self, KeyError> {
        if is_key_name(name) { Ok(Self { name: name.to_owned(), kind, key }) } else { Err(KeyError::Name) }
    }

    /// The key's name; for a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `SHA-256(name || "\n" || type || key)`, the first four bytes.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', self.kind])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// The signature line of a signature that this key's private half made elsewhere.
    #[must_use]
    pub fn line(&self, signature: Vec<u8>) -> NoteSignature {
        NoteSignature { name: self.name.clone(), key_id: self.key_id(), signature }
    }

    pub(crate) fn kind(&self) -> u8 {
        self.kind
    }

    /// Whether a signature line says that it is of this key.
    pub(crate) fn made(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.key_id == self.key_id()
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        let signature = Signature::from_slice(signature).map_err(|_| NoteError::BadSignature)?;
        self.key.verify_strict(message, &signature).map_err(|_| NoteError::BadSignature)
    }
}

/// One key is a list of one, for whatever takes all the keys that a log has had.
impl AsRef<[VerifierKey]> for VerifierKey {
    fn as_ref(&self) -> &[VerifierKey] {
        std::slice::from_ref(self)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut id = Vec::new();
        crate::text::push_hex(&mut id, &self.key_id());
        let id: String = id.into_iter().map(char::from).collect();
        let key = [&[self.kind][..], self.key.as_bytes()].concat();
        write!(formatter, "{}+{id}+{}", self.name, STANDARD.encode(key))
    }
}

// === impl Signer ===

impl Signer {
    /// The key with this name and Ed25519 seed (32 random bytes, to be kept secret).
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::of_kind(name, seed, ED25519)
    }

    pub(crate) fn of_kind(name: &str, seed: &[u8; 32], kind: u8) -> Result<Self, KeyError> {
        if is_key_name(name) {
            Ok(Self { name: name.to_owned(), kind, key: SigningKey::from_bytes(seed) })
        } else {
            Err(KeyError::Name)
        }
    }

    /// The key's name; for a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half, to be given to everybody who verifies.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), kind: self.kind, key: self.key.verifying_key() }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    pub(crate) fn line(&self, signature: Vec<u8>) -> NoteSignature {
        self.verifier_key().line(signature)
    }
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '+')
}

fn has_control_characters(text: &str) -> bool {
    text.bytes().any(|byte| byte < 0x20 && byte != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of c2sp.org/signed-note: text, signature line and the key that Go's documentation gives for such notes.
    #[test]
    fn the_known_key_of_gos_documentation_is_read_and_written() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = VerifierKey::parse(text).unwrap();
        assert_eq!(key.to_string(), text);
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
            — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let parsed = Note::parse(note).unwrap();
        assert_eq!(parsed.to_string(), note);
        assert_eq!(parsed.verify(std::slice::from_ref(&key)).unwrap(), [&key]);
    }

    #[test]
    fn every_flipped_bit_of_a_note_is_found() {
        let signer = Signer::new("log.example", &[3; 32]).unwrap();
        let known = [signer.verifier_key()];
        let note = Note::sign("one\n\ntwo\n".to_owned(), &signer).unwrap().to_string();
        Note::parse(&note).unwrap().verify(&known).unwrap();
        for bit in 0..note.len() * 8 {
            let mut bytes = note.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let accepted = Note::parse(&text).is_ok_and(|note| note.verify(&known).is_ok());
            assert!(!accepted, "bit {bit}");
        }
    }

    #[test]
    fn signatures_of_others_are_ignored_and_a_bad_one_of_a_known_key_is_not() {
        let (ours, theirs) = (Signer::new("ours", &[1; 32]).unwrap(), Signer::new("theirs", &[2; 32]).unwrap());
        let mut note = Note::sign("text\n".to_owned(), &ours).unwrap();
        note.signatures.insert(0, theirs.line(vec![0; 64]));
        assert_eq!(note.verify(&[ours.verifier_key()]).unwrap().len(), 1);
        assert_eq!(note.verify(&[ours.verifier_key(), theirs.verifier_key()]), Err(NoteError::BadSignature));
        assert_eq!(note.verify(&[]), Err(NoteError::UnknownSigner));
    }

    #[test]
    fn names_and_texts_of_the_wrong_form_are_refused() {
        for name in ["", "a b", "a+b", "a\nb", "a\u{3000}b"] {
            assert!(matches!(Signer::new(name, &[0; 32]), Err(KeyError::Name)), "{name}");
        }
        let signer = Signer::new("a", &[0; 32]).unwrap();
        for text in ["", "no newline", "tab\t\n"] {
            assert_eq!(Note::sign(text.to_owned(), &signer), Err(NoteError::Malformed));
        }
    }
}
