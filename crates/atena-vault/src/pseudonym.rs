//! What a record is called in one consumer's system.

use atena_domain::{Dataset, MunicipalityCode, SystemId};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::key_service::{begin_hmac_sha256, message};

/// Bytes of a pseudonym: 128 bits, far beyond any chance of a collision among one municipality's records.
const LENGTH: usize = 16;

/// The names of a dataset's records in one consumer's system: HMAC-SHA-256 over the municipality, the consumer, the dataset and the owner's
/// record key, begun once for all of them.
pub struct Pseudonyms {
    begun: Hmac<Sha256>,
}

/// A record's name: 32 hexadecimal digits.
pub struct Pseudonym([u8; 2 * LENGTH]);

// === impl Pseudonyms ===

impl Pseudonyms {
    pub(crate) fn new(key: &[u8; 32], municipality: &MunicipalityCode, consumer: &SystemId, dataset: Dataset) -> Self {
        let mut begun = begin_hmac_sha256(key);
        begun.update(&message(municipality, &[consumer.as_str().as_bytes(), dataset.as_str().as_bytes()]));
        Self { begun }
    }

    /// The name of the record with this key of its owner.
    #[must_use]
    pub fn of(&self, record_key: &str) -> Pseudonym {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // A part with its length, as `push_part` writes it.
        let length = (record_key.len() as u64).to_be_bytes();
        let mac = self.begun.clone().chain_update(length).chain_update(record_key).finalize().into_bytes();
        let mut name = [0; 2 * LENGTH];
        for (digits, byte) in name.chunks_exact_mut(2).zip(mac) {
            digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Pseudonym(name)
    }
}

// === impl Pseudonym ===

impl Pseudonym {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Hexadecimal digits are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
