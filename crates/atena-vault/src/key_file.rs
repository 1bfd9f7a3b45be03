//! The key file: `keys.toml`, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use atena_domain::MunicipalityCode;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::VaultError;

/// Version of the file's form.
const VERSION: u32 = 1;

/// Mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// The keys of one municipality.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    #[zeroize(skip)]
    version: u32,
    #[zeroize(skip)]
    municipality_code: String,
    /// Names the wrapping key in every wrapped key.
    #[zeroize(skip)]
    pub(crate) kek_id: String,
    wrapping_key: String,
    blind_index_key: String,
    cursor_key: String,
    pseudonym_key: String,
    digest_key: String,
    /// Ed25519 seed that signs the heads of the transfer log.
    log_key: String,
}

/// The keys as bytes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Keys {
    pub(crate) wrapping: [u8; 32],
    pub(crate) blind_index: [u8; 32],
    pub(crate) cursor: [u8; 32],
    pub(crate) pseudonym: [u8; 32],
    pub(crate) digest: [u8; 32],
    pub(crate) log: [u8; 32],
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
        Ok(Self {
            version: VERSION,
            municipality_code: municipality.as_str().to_owned(),
            kek_id: format!("kek-{}", hexadecimal(&id)),
            wrapping_key: random_key()?,
            blind_index_key: random_key()?,
            cursor_key: random_key()?,
            pseudonym_key: random_key()?,
            digest_key: random_key()?,
            log_key: random_key()?,
        })
    }

    /// Writes the keys to a new file of mode 0600, durable when this returns. An existing file is never overwritten, and what could
    /// be written only in part is removed.
    ///
    /// # Errors
    /// [`VaultError::KeyFile`].
    pub fn write_new(&self, path: &Path) -> Result<(), VaultError> {
        let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
        let body = toml::to_string(self).map_err(|_| VaultError::KeyFileContent {
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
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    /// Reads the keys, refusing a file that others could have read or that belongs to another municipality.
    pub(crate) fn read(path: &Path, municipality: &MunicipalityCode) -> Result<(Self, Keys), VaultError> {
        let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
        let refused = |what| VaultError::KeyFileContent { path: path.to_owned(), what };
        if !fs::symlink_metadata(path).map_err(failed)?.is_file() {
            return Err(VaultError::KeyFileKind { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(VaultError::KeyFileMode { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(failed)?;
        // The parser's own message could quote a key.
        let keys: Self =
            toml::from_str(&text).map_err(|_| refused("it is not in the form that `atena init` writes"))?;
        if keys.version != VERSION {
            return Err(refused("its version is unknown"));
        }
        if keys.municipality_code != municipality.as_str() {
            return Err(refused("it belongs to another municipality"));
        }
        let bytes = Keys {
            wrapping: key(&keys.wrapping_key).ok_or_else(|| refused("wrapping_key must be 64 hexadecimal digits"))?,
            blind_index: key(&keys.blind_index_key)
                .ok_or_else(|| refused("blind_index_key must be 64 hexadecimal digits"))?,
            cursor: key(&keys.cursor_key).ok_or_else(|| refused("cursor_key must be 64 hexadecimal digits"))?,
            pseudonym: key(&keys.pseudonym_key)
                .ok_or_else(|| refused("pseudonym_key must be 64 hexadecimal digits"))?,
            digest: key(&keys.digest_key).ok_or_else(|| refused("digest_key must be 64 hexadecimal digits"))?,
            log: key(&keys.log_key).ok_or_else(|| refused("log_key must be 64 hexadecimal digits"))?,
        };
        let mut all = [bytes.wrapping, bytes.blind_index, bytes.cursor, bytes.pseudonym, bytes.digest, bytes.log];
        all.sort_unstable();
        let equal = all.windows(2).any(|pair| pair.first() == pair.last());
        all.zeroize();
        if equal {
            return Err(refused("two of its keys are equal"));
        }
        Ok((keys, bytes))
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
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn machida() -> MunicipalityCode {
        MunicipalityCode::parse("132098").unwrap()
    }

    fn written() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        KeyFile::generate(&machida()).unwrap().write_new(&path).unwrap();
        (folder, path)
    }

    #[test]
    fn keys_come_back_and_their_file_is_for_its_owner_alone() {
        let (_folder, path) = written();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(KeyFile::read(&path, &machida()).is_ok());
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused_with_the_remedy() {
        let (_folder, path) = written();
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = KeyFile::read(&path, &machida()).err().unwrap();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn an_existing_key_file_is_never_overwritten() {
        let (_folder, path) = written();
        let before = fs::read(&path).unwrap();
        assert!(KeyFile::generate(&machida()).unwrap().write_new(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_link_another_municipality_and_damage_are_refused_without_quoting_a_key() {
        let (folder, path) = written();
        let link = folder.path().join("link.toml");
        symlink(&path, &link).unwrap();
        assert!(matches!(KeyFile::read(&link, &machida()), Err(VaultError::KeyFileKind { .. })));
        assert!(KeyFile::read(&path, &MunicipalityCode::parse("131016").unwrap()).is_err());

        let text = fs::read_to_string(&path).unwrap();
        let cursor = text.lines().find(|line| line.starts_with("cursor_key")).unwrap();
        let wrapping = text.lines().find(|line| line.starts_with("wrapping_key")).unwrap();
        let value = wrapping.split('"').nth(1).unwrap();
        for damaged in [
            text.replace(cursor, &wrapping.replace("wrapping_key", "cursor_key")),
            text.replace(cursor, "cursor_key = \"00\""),
            text.replace(cursor, ""),
            text.replace("version = 1", "version = 2"),
            text.replace(value, &format!("{value}\" oops = \"")),
        ] {
            fs::write(&path, damaged).unwrap();
            let error = KeyFile::read(&path, &machida()).err().unwrap().to_string();
            assert!(!error.contains(value), "{error}");
        }
    }
}
