//! The keys of a log: those that sign its heads, and those that did. Whoever verifies knows them under the log's origin.

use atena_domain::MunicipalityCode;
use atena_ledger::{KeyError, Note, VerifierKey};
use atena_store::{Log, StoredLogKey};
use atena_vault::Vault;

/// Why the log's key can't be used.
pub type LogKeyError = KeyError;

/// Every key of a log that the vault knows, oldest first.
pub struct LogKeys {
    versions: Vec<u32>,
    keys: Vec<VerifierKey>,
    /// Whether the private half of each is there.
    signs: Vec<bool>,
}

// === impl LogKeys ===

impl LogKeys {
    /// The keys of a municipality's log, named after its origin: `<municipality code>.atena/log`, or `…/admin-log`. Both logs are signed with
    /// the same keys; the name makes them different keys for whoever verifies, and stands in every head.
    ///
    /// # Errors
    /// [`LogKeyError`]: never for keys that the vault made.
    pub fn of(log: Log, municipality: &MunicipalityCode, vault: &Vault) -> Result<Self, LogKeyError> {
        let origin = match log {
            Log::Transfers => format!("{municipality}.atena/log"),
            Log::Administration => format!("{municipality}.atena/admin-log"),
        };
        let mut all = Self { versions: Vec::new(), keys: Vec::new(), signs: Vec::new() };
        for key in vault.log_keys() {
            all.versions.push(key.version);
            all.keys.push(VerifierKey::of_log(&origin, &key.public_key)?);
            all.signs.push(key.signs);
        }
        if all.keys.is_empty() { Err(KeyError::Malformed) } else { Ok(all) }
    }

    /// Each version with its key.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = (u32, &VerifierKey)> {
        self.versions.iter().copied().zip(&self.keys)
    }

    /// Those whose private half is there.
    pub(crate) fn signing(&self) -> Vec<VerifierKey> {
        self.keys.iter().zip(&self.signs).filter(|(_, signs)| **signs).map(|(key, _)| key.clone()).collect()
    }

    /// The versions that are to sign, oldest first, by what the database says; `None` where the newest of them is not here. Older ones whose
    /// private half is gone are left out: they can't sign any more.
    pub(crate) fn in_use(&self, stored: &[StoredLogKey]) -> Option<Vec<(u32, &VerifierKey)>> {
        let places = self.versions.iter().zip(&self.keys).zip(&self.signs);
        if stored.is_empty() {
            let first = places.map(|((version, key), _)| (*version, key)).next()?;
            return Some(vec![first]);
        }
        let current: Vec<_> = stored.iter().filter(|key| key.until.is_none()).collect();
        let newest = current.last()?.version;
        let here = |version: u32, key: &VerifierKey| {
            current.iter().any(|stored| stored.version == version && stored.public_key == key.public_key())
        };
        let found: Vec<_> = places
            .filter(|((version, key), signs)| **signs && here(**version, key))
            .map(|((version, key), _)| (*version, key))
            .collect();
        found.last().is_some_and(|(version, _)| *version == newest).then_some(found)
    }

    /// Whether every signature of a head that is of this log is by one of them.
    pub(crate) fn know_all_of(&self, note: &str) -> bool {
        let known = |name: &str, id: [u8; 4]| {
            let mut of_log = self.keys.iter().filter(|key| key.name() == name).peekable();
            of_log.peek().is_none() || of_log.any(|key| key.key_id() == id)
        };
        Note::parse(note).is_ok_and(|note| note.signatures.iter().all(|line| known(&line.name, line.key_id)))
    }

    /// The newest of them that signed a head.
    pub(crate) fn signer_of(&self, note: &str) -> Option<VerifierKey> {
        let note = Note::parse(note).ok()?;
        let by = note.verify(&self.keys).ok()?;
        self.keys.iter().rev().find(|key| by.contains(key)).cloned()
    }
}

impl AsRef<[VerifierKey]> for LogKeys {
    fn as_ref(&self) -> &[VerifierKey] {
        &self.keys
    }
}
