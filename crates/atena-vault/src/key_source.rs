//! Where the keys of a municipality are kept.

use std::path::PathBuf;
use std::sync::Arc;

use atena_domain::MunicipalityCode;

use crate::error::VaultError;
use crate::key_file::KeyFile;
use crate::key_service::{KeyKind, KeyService};
use crate::token::{TokenKeys, TokenPlace};

/// Where the keys of a municipality are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file of mode 0600.
    File(PathBuf),
    /// In a token that speaks PKCS #11 (an HSM).
    Token(TokenPlace),
}

// === impl KeySource ===

impl KeySource {
    /// Makes a newer version of a key, beside the older ones.
    ///
    /// # Errors
    /// [`VaultError`]; then nothing has changed.
    pub fn add(&self, municipality: &MunicipalityCode, kind: KeyKind) -> Result<(), VaultError> {
        match self {
            Self::File(path) => KeyFile::add(path, municipality, kind),
            Self::Token(place) => TokenKeys::add(place, municipality, kind),
        }
    }

    /// Destroys all versions of a key but the newest. What was made with them can't be read any more; of a key that signs, the public half
    /// is kept.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn keep_newest(&self, municipality: &MunicipalityCode, kind: KeyKind) -> Result<(), VaultError> {
        match self {
            Self::File(path) => KeyFile::keep_newest(path, municipality, kind),
            Self::Token(place) => TokenKeys::keep_newest(place, municipality, kind),
        }
    }

    pub(crate) fn open(&self, municipality: &MunicipalityCode) -> Result<Arc<dyn KeyService>, VaultError> {
        Ok(match self {
            Self::File(path) => Arc::new(KeyFile::read(path, municipality)?),
            Self::Token(place) => Arc::new(TokenKeys::open(place, municipality)?),
        })
    }
}
