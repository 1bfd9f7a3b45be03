//! What the vault needs of whatever keeps the keys: a file on a single machine, or a token (HSM) that they never leave.

use atena_domain::MunicipalityCode;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::sealing::{Suite, push_part};

/// The keys of one municipality.
pub(crate) trait KeyService: Send + Sync {
    /// Names the wrapping keys, oldest first.
    fn wrapping_ids(&self) -> Vec<String>;

    /// Wraps a data key with the wrapping key of this name; it unwraps only for the same `place`.
    fn wrap(&self, id: &str, place: &[u8], key: &DataKey) -> Result<Vec<u8>, VaultError>;

    /// Unwraps a data key that the wrapping key of this name wrapped.
    fn unwrap(&self, id: &str, place: &[u8], wrapped: &[u8]) -> Result<DataKey, VaultError>;

    /// Versions of the blind index key, oldest first.
    fn index_versions(&self) -> Vec<u32>;

    /// HMAC-SHA-256 under a version of the blind index key.
    fn index(&self, version: u32, message: &[u8]) -> Result<[u8; 32], VaultError>;

    /// A key for a purpose that is less than a person's or a personal number's; it is kept in memory.
    fn purpose_key(&self, purpose: Purpose) -> Result<Zeroizing<[u8; 32]>, VaultError>;

    /// The keys that sign or signed heads of the log, oldest first.
    fn log_keys(&self) -> Vec<LogKey>;

    /// Signs a head of the log with a version of its key.
    fn sign_log_head(&self, version: u32, text: &[u8]) -> Result<[u8; 64], VaultError>;

    /// Whether the keys can be used now. Keys in memory always can.
    fn probe(&self) -> Result<(), VaultError> {
        Ok(())
    }
}

/// A key of the log (Ed25519, RFC 8032). Its public half is kept for ever: what it signed goes on being verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogKey {
    /// Which version.
    pub version: u32,
    /// The public half.
    pub public_key: [u8; 32],
    /// Whether the private half is still there.
    pub signs: bool,
}

/// A person's data key in the clear, and what it seals with.
pub(crate) struct DataKey {
    pub(crate) suite: Suite,
    pub(crate) bytes: Zeroizing<[u8; 32]>,
}

/// First byte of a wrapped key of [`Suite::Aes256Gcm`]. (Those before are of [`Suite::Xaes256Gcm`]; 0x01 in a file, 0x02 in a token.)
pub(crate) const WRAPPED_AES: u8 = 0x03;

/// A key of which there are versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Wraps the data keys of people.
    Wrapping,
    /// Indexes personal numbers.
    BlindIndex,
    /// Signs heads of the log.
    Log,
}

/// What a lesser key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Seals what belongs to no person yet.
    Municipal,
    /// Seals cursors.
    Cursor,
    /// Names records differently in every consumer.
    Pseudonym,
    /// Tells whether two contents are the same.
    Digest,
}

// === impl DataKey ===

impl DataKey {
    /// From what was unwrapped.
    pub(crate) fn of(suite: Suite, bytes: &[u8]) -> Result<Self, VaultError> {
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| VaultError::DoesNotOpen)?;
        Ok(Self { suite, bytes: Zeroizing::new(bytes) })
    }
}

// === impl Purpose ===

impl Purpose {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Municipal => "municipal",
            Self::Cursor => "cursor",
            Self::Pseudonym => "pseudonym",
            Self::Digest => "digest",
        }
    }
}

/// The message of a keyed digest: the municipality and parts, each with its length.
pub(crate) fn message(municipality: &MunicipalityCode, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut message = Zeroizing::new(Vec::new());
    push_part(&mut message, municipality.as_str().as_bytes());
    for part in parts {
        push_part(&mut message, part);
    }
    message
}

/// HMAC-SHA-256 (RFC 2104).
pub(crate) fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    begin_hmac_sha256(key).chain_update(message).finalize().into_bytes().into()
}

/// HMAC-SHA-256 of a message that is still to come.
pub(crate) fn begin_hmac_sha256(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC pads a short key with zeros to one block (§2); given as a block, it has no length to go wrong.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::<Sha256>::new(&(*block).into())
}
