//! The key file: `keys.toml`, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use atena_domain::MunicipalityCode;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::error::VaultError;
use crate::key_service::{DataKey, KeyKind, KeyService, LogKey, Purpose, WRAPPED_AES, hmac_sha256, message};
use crate::private_file;
use crate::sealing::{SealContext, SealingKey, Suite};

/// Version of the file's form.
const VERSION: u32 = 2;

/// The keys of one municipality, in a file.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Written {
    #[zeroize(skip)]
    version: u32,
    #[zeroize(skip)]
    municipality_code: String,
    municipal_key: String,
    cursor_key: String,
    pseudonym_key: String,
    digest_key: String,
    /// Wrapping keys; the last wraps, all unwrap.
    wrapping: Vec<WrittenKey>,
    /// Blind index keys; new indexes are made with the last.
    blind_index: Vec<WrittenKey>,
    /// Ed25519 seeds that sign the heads of the log.
    log: Vec<WrittenKey>,
    /// Public halves of those that signed before: what they signed is still verified.
    #[zeroize(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    log_retired: Vec<WrittenPublicKey>,
}

/// One version of a key.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    #[zeroize(skip)]
    version: u32,
    #[zeroize(skip)]
    id: String,
    key: String,
}

/// The public half of one version of a key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPublicKey {
    version: u32,
    id: String,
    public_key: String,
}

/// The form before keys had versions.
#[derive(Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct WrittenFirst {
    #[zeroize(skip)]
    version: u32,
    #[zeroize(skip)]
    municipality_code: String,
    #[zeroize(skip)]
    kek_id: String,
    wrapping_key: String,
    blind_index_key: String,
    cursor_key: String,
    pseudonym_key: String,
    digest_key: String,
    log_key: String,
}

/// The keys of one municipality, in memory.
pub struct KeyFile {
    written: Written,
    purposes: [(Purpose, Zeroizing<[u8; 32]>); 4],
    wrapping: Vec<(String, WrappingKey)>,
    indexes: Vec<(u32, Zeroizing<[u8; 32]>)>,
    log: Vec<(u32, SigningKey)>,
    log_retired: Vec<(u32, VerifyingKey)>,
}

/// A wrapping key. Keys of either suite are wrapped by a key of their own suite: no key is used for two ciphers.
struct WrappingKey {
    xaes: SealingKey,
    aes: SealingKey,
}

// === impl WrappingKey ===

impl WrappingKey {
    fn new(key: &[u8; 32], municipality: &MunicipalityCode, id: &str) -> Self {
        let derived = Zeroizing::new(hmac_sha256(key, &message(municipality, &[b"atena/v1/wrapping-key/aes-256-gcm"])));
        Self {
            xaes: SealingKey::new(Suite::Xaes256Gcm, key, municipality, id),
            aes: SealingKey::new(Suite::Aes256Gcm, &derived, municipality, id),
        }
    }
}

// === impl KeyFile ===

impl KeyFile {
    /// New keys from the operating system's random numbers.
    ///
    /// # Errors
    /// [`VaultError::Random`].
    pub fn generate(municipality: &MunicipalityCode) -> Result<Self, VaultError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|_| VaultError::Random)?;
        let first = |id: String| Ok(vec![WrittenKey { version: 1, id, key: random_key()? }]);
        let written = Written {
            version: VERSION,
            municipality_code: municipality.as_str().to_owned(),
            municipal_key: random_key()?,
            cursor_key: random_key()?,
            pseudonym_key: random_key()?,
            digest_key: random_key()?,
            wrapping: first(format!("kek-{}", hexadecimal(&id)))?,
            blind_index: first("blind-index-1".to_owned())?,
            log: first("log-1".to_owned())?,
            log_retired: Vec::new(),
        };
        // Made from random numbers just now, it can't be refused; if it is, nothing is written.
        Self::of(written, municipality).map_err(|_| VaultError::Random)
    }

    /// Adds a newer version of a key and writes the file anew, whole or not at all.
    pub(crate) fn add(path: &Path, municipality: &MunicipalityCode, kind: KeyKind) -> Result<(), VaultError> {
        let mut keys = Self::read(path, municipality)?;
        let versions = keys.versions(kind);
        let version = versions.iter().map(|key| key.version).max().unwrap_or(0) + 1;
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|_| VaultError::Random)?;
        let id = match kind {
            KeyKind::Wrapping => format!("kek-{}", hexadecimal(&id)),
            KeyKind::BlindIndex => format!("blind-index-{version}"),
            KeyKind::Log => format!("log-{version}"),
        };
        versions.push(WrittenKey { version, id, key: random_key()? });
        keys.replace(path)
    }

    /// Forgets all versions of a key but the newest; of a key that signs, the private half.
    pub(crate) fn keep_newest(path: &Path, municipality: &MunicipalityCode, kind: KeyKind) -> Result<(), VaultError> {
        let mut keys = Self::read(path, municipality)?;
        if kind == KeyKind::Log {
            let older = keys.log.len().saturating_sub(1);
            for (version, key) in keys.log.iter().take(older) {
                let public_key = hexadecimal(key.verifying_key().as_bytes());
                let id = format!("log-{version}");
                keys.written.log_retired.push(WrittenPublicKey { version: *version, id, public_key });
            }
        }
        let versions = keys.versions(kind);
        versions.drain(..versions.len().saturating_sub(1));
        keys.replace(path)
    }

    fn versions(&mut self, kind: KeyKind) -> &mut Vec<WrittenKey> {
        match kind {
            KeyKind::Wrapping => &mut self.written.wrapping,
            KeyKind::BlindIndex => &mut self.written.blind_index,
            KeyKind::Log => &mut self.written.log,
        }
    }

    fn replace(&self, path: &Path) -> Result<(), VaultError> {
        let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => self.write_new(&new)?,
        }
        fs::rename(&new, path).map_err(failed)?;
        sync_folder(path).map_err(failed)
    }

    /// Writes the keys to a new file of mode 0600, durable when this returns. An existing file is never overwritten, and what could
    /// be written only in part is removed.
    ///
    /// # Errors
    /// [`VaultError::KeyFile`].
    pub fn write_new(&self, path: &Path) -> Result<(), VaultError> {
        let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
        let body = toml::to_string(&self.written).map_err(|_| VaultError::KeyFileContent {
            path: path.to_owned(),
            what: "the keys could not be written as TOML",
        })?;
        let text = Zeroizing::new(format!(
            "# Keys of one municipality. Whoever has this file and the database can read everything: mode 0600, and a copy kept\n\
             # apart from the database's backups. Without it, nothing that is sealed can ever be read again.\n{}",
            Zeroizing::new(body).as_str()
        ));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|source| {
            // The first error is the one to tell; a rest that can't be removed is refused when it is read.
            let _ = fs::remove_file(path);
            failed(source)
        })?;
        sync_folder(path).map_err(failed)
    }

    /// Reads the keys, refusing a file that others could have read or that belongs to another municipality.
    pub(crate) fn read(path: &Path, municipality: &MunicipalityCode) -> Result<Self, VaultError> {
        let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
        let refused = |what| VaultError::KeyFileContent { path: path.to_owned(), what };
        if !fs::symlink_metadata(path).map_err(failed)?.is_file() {
            return Err(VaultError::KeyFileKind { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        private_file::check_metadata(path, &metadata).map_err(|error| match error {
            VaultError::SecretFileMode { path, mode } => VaultError::KeyFileMode { path, mode },
            error => error,
        })?;
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(failed)?;
        // The parser's own message could quote a key.
        let strange = |_| refused("it is not in the form that `atena init` writes");
        let written = match toml::from_str::<WrittenFirst>(&text) {
            Ok(first) => first.in_todays_form().map_err(refused)?,
            Err(_) => toml::from_str(&text).map_err(strange)?,
        };
        Self::of(written, municipality).map_err(refused)
    }

    fn of(written: Written, municipality: &MunicipalityCode) -> Result<Self, &'static str> {
        if written.version != VERSION {
            return Err("its version is unknown");
        }
        if written.municipality_code != municipality.as_str() {
            return Err("it belongs to another municipality");
        }
        let digits = |text: &str| key(text).map(Zeroizing::new).ok_or("a key must be 64 hexadecimal digits");
        let purposes = [
            (Purpose::Municipal, digits(&written.municipal_key)?),
            (Purpose::Cursor, digits(&written.cursor_key)?),
            (Purpose::Pseudonym, digits(&written.pseudonym_key)?),
            (Purpose::Digest, digits(&written.digest_key)?),
        ];
        let (mut wrapping, mut indexes) = (Vec::new(), Vec::new());
        for of_version in &written.wrapping {
            let key = WrappingKey::new(&*digits(&of_version.key)?, municipality, &of_version.id);
            wrapping.push((of_version.id.clone(), key));
        }
        for of_version in &written.blind_index {
            indexes.push((of_version.version, digits(&of_version.key)?));
        }
        let (mut log, mut log_retired) = (Vec::new(), Vec::new());
        for of_version in &written.log {
            log.push((of_version.version, SigningKey::from_bytes(&*digits(&of_version.key)?)));
        }
        for of_version in &written.log_retired {
            let public = VerifyingKey::from_bytes(&*digits(&of_version.public_key)?);
            log_retired.push((of_version.version, public.map_err(|_| "a public key of the log is none")?));
        }
        if log.is_empty() {
            return Err("it has no key for the log");
        }
        let several = written.wrapping.iter().chain(&written.blind_index).chain(&written.log).map(|key| &key.key);
        let single = [&written.municipal_key, &written.cursor_key, &written.pseudonym_key, &written.digest_key];
        let mut all: Vec<&str> = several.chain(single).map(String::as_str).collect();
        all.sort_unstable();
        if all.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err("two of its keys are equal");
        }
        if wrapping.is_empty() || indexes.is_empty() {
            return Err("it lacks a wrapping key or a blind index key");
        }
        Ok(Self { purposes, wrapping, indexes, log, log_retired, written })
    }
}

impl KeyService for KeyFile {
    fn wrapping_ids(&self) -> Vec<String> {
        self.wrapping.iter().map(|(id, _)| id.clone()).collect()
    }

    fn wrap(&self, id: &str, place: &[u8], key: &DataKey) -> Result<Vec<u8>, VaultError> {
        let (_, wrapping) = self.wrapping.iter().find(|(known, _)| known == id).ok_or(VaultError::UnknownKey)?;
        let (context, bytes) = (wrapping_context(place), key.bytes.as_slice());
        match key.suite {
            Suite::Xaes256Gcm => wrapping.xaes.seal(&context, bytes),
            Suite::Aes256Gcm => Ok([&[WRAPPED_AES], wrapping.aes.seal(&context, bytes)?.as_slice()].concat()),
        }
    }

    fn unwrap(&self, id: &str, place: &[u8], wrapped: &[u8]) -> Result<DataKey, VaultError> {
        let (_, wrapping) = self.wrapping.iter().find(|(known, _)| known == id).ok_or(VaultError::UnknownKey)?;
        let context = wrapping_context(place);
        match wrapped.split_first() {
            Some((&WRAPPED_AES, sealed)) => {
                Ok(DataKey { suite: Suite::Aes256Gcm, bytes: wrapping.aes.open_key(&context, sealed)? })
            }
            _ => Ok(DataKey { suite: Suite::Xaes256Gcm, bytes: wrapping.xaes.open_key(&context, wrapped)? }),
        }
    }

    fn index_versions(&self) -> Vec<u32> {
        self.indexes.iter().map(|(version, _)| *version).collect()
    }

    fn index(&self, version: u32, message: &[u8]) -> Result<[u8; 32], VaultError> {
        let (_, key) = self.indexes.iter().find(|(known, _)| *known == version).ok_or(VaultError::UnknownKey)?;
        Ok(hmac_sha256(key, message))
    }

    fn purpose_key(&self, purpose: Purpose) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let found = self.purposes.iter().find(|(known, _)| *known == purpose);
        found.map(|(_, key)| key.clone()).ok_or(VaultError::UnknownKey)
    }

    fn log_keys(&self) -> Vec<LogKey> {
        let retired = self.log_retired.iter().map(|(version, key)| (version, key.to_bytes(), false));
        let there = self.log.iter().map(|(version, key)| (version, key.verifying_key().to_bytes(), true));
        let all = retired.chain(there);
        all.map(|(version, public_key, signs)| LogKey { version: *version, public_key, signs }).collect()
    }

    fn sign_log_head(&self, version: u32, text: &[u8]) -> Result<[u8; 64], VaultError> {
        let (_, key) = self.log.iter().find(|(known, _)| *known == version).ok_or(VaultError::UnknownKey)?;
        Ok(key.sign(text).to_bytes())
    }
}

// === impl WrittenFirst ===

impl WrittenFirst {
    /// The same keys in today's form. What the municipal key was derived from is kept as what it was.
    fn in_todays_form(&self) -> Result<Written, &'static str> {
        if self.version != 1 {
            return Err("its version is unknown");
        }
        let municipality =
            MunicipalityCode::parse(&self.municipality_code).map_err(|_| "it belongs to no municipality")?;
        let wrapping = Zeroizing::new(key(&self.wrapping_key).ok_or("wrapping_key must be 64 hexadecimal digits")?);
        let municipal = hmac_sha256(&wrapping, &message(&municipality, &[b"atena/v1/municipal-key"]));
        let first = |id: &str, key: &str| vec![WrittenKey { version: 1, id: id.to_owned(), key: key.to_owned() }];
        Ok(Written {
            version: VERSION,
            municipality_code: self.municipality_code.clone(),
            municipal_key: hexadecimal(&municipal),
            cursor_key: self.cursor_key.clone(),
            pseudonym_key: self.pseudonym_key.clone(),
            digest_key: self.digest_key.clone(),
            wrapping: first(&self.kek_id, &self.wrapping_key),
            blind_index: first("blind-index-1", &self.blind_index_key),
            log: first("log-1", &self.log_key),
            log_retired: Vec::new(),
        })
    }
}

fn wrapping_context(person: &[u8]) -> SealContext<'_> {
    SealContext { table: "person_key", column: "wrapped_key", row: person }
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn random_key() -> Result<String, VaultError> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(|_| VaultError::Random)?;
    Ok(hexadecimal(key.as_slice()))
}

fn key(text: &str) -> Option<[u8; 32]> {
    let digits = Zeroizing::new(
        text.chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<Vec<u8>>>()?,
    );
    if digits.len() != 64 {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
    }
    Some(key)
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| DIGITS.get(usize::from(digit)))
        .map(|digit| char::from(*digit))
        .collect()
}

#[cfg(test)]
mod tests;
