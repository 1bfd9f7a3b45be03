//! Whether a database is the newest one, as far as the signed head beside it can say, and whether the keys are those that signed it.
//!
//! A database that has signed heads is not served where the file that vouches for it is missing, empty, of another log, or old: that is how
//! an old copy looks which was put back together with its files. An operator who knows better accepts the head, and that is recorded.

use std::io;
use std::path::{Path, PathBuf};

use atena_domain::MunicipalityCode;
use atena_ledger::{Note, open_checkpoint};
use atena_store::{Log, Store, StoreError};
use atena_vault::{Vault, VaultError};

use super::keys::{LogKeyError, LogKeys};
use crate::config::Config;

/// Heads that may be newer than the file: a crash between the commit of a head and the replacing of the file leaves one.
const HEADS_AHEAD_MAX: usize = 2;

/// Why a database is not used.
#[derive(Debug, thiserror::Error)]
pub enum FreshnessError {
    /// The file is not what it should be.
    #[error("{}: {fault}, and the database has a signed head of {size} leaves. {}", file.display(), ACCEPT)]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
        /// Leaves under the newest signed head of the database.
        size: u64,
    },
    /// The file can't be read.
    #[error("cannot read {}: {source}. Give the user that runs atena the right to read it", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Other keys signed.
    #[error(
        "the keys in {keys} did not sign the head in {place}: they are the keys of another home, or older ones. Bring the keys of \
         this home back (keys_file or token in atena.toml); after a rotation elsewhere, the newest ones"
    )]
    OtherKeys {
        /// Where the keys are from.
        keys: String,
        /// Which head.
        place: String,
    },
    /// The keys.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The key of the log.
    #[error("the key of the log can't be used: {0}")]
    Key(#[from] LogKeyError),
    /// The database.
    #[error("the database can't be used: {0}")]
    Store(#[from] StoreError),
}

/// What to do about a file that does not vouch for the database.
const ACCEPT: &str = "The database may be an old copy, so it is not used. Bring the newest file back. If there is none, and the \
    information manager answers for it that this database is the newest one: atena log accept-head";

/// What is wrong with a file that should vouch for a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// It is not there.
    #[error("the file with the newest signed head is missing")]
    Missing,
    /// It is empty.
    #[error("the file with the newest signed head is empty")]
    Empty,
    /// It holds no signed head.
    #[error("the file holds no signed head: it is damaged or cut off")]
    Malformed,
    /// It is of another log.
    #[error("the file holds a head of another log, {0}")]
    OtherLog(String),
    /// It is older than the database.
    #[error("the file holds an old head, of {0} leaves")]
    Old(u64),
}

// === impl FileFault ===

impl FileFault {
    /// As the admin log names it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::Malformed => "malformed",
            Self::OtherLog(_) => "other-log",
            Self::Old(_) => "old",
        }
    }
}

/// Looks at both logs of a municipality.
///
/// # Errors
/// [`FreshnessError`]: the first that is wrong.
pub(crate) async fn check(
    store: &Store,
    municipality: &MunicipalityCode,
    vault: &Vault,
    config: &Config,
) -> Result<(), FreshnessError> {
    for log in Log::ALL {
        check_log(store, log, municipality, vault, config).await?;
    }
    Ok(())
}

/// Looks at one log.
///
/// # Errors
/// As [`check`].
pub(crate) async fn check_log(
    store: &Store,
    log: Log,
    municipality: &MunicipalityCode,
    vault: &Vault,
    config: &Config,
) -> Result<(), FreshnessError> {
    let store = store.about_log(log);
    let file = config.log.checkpoint_file_of(log);
    // First the database: a running gateway replaces the file after its commit.
    let newest = store.newest_checkpoint().await?;
    let note = read(file)?;
    let mut keys = LogKeys::of(log, municipality, vault)?;
    let notes = || newest.iter().map(|head| head.note.as_str()).chain(note.as_deref());
    if notes().any(|note| foreign(note, &keys)) {
        // Another gateway may have changed the key.
        vault.read_again()?;
        keys = LogKeys::of(log, municipality, vault)?;
    }
    let other_keys = |place: String| FreshnessError::OtherKeys { keys: config.keys_place(), place };
    if newest.as_ref().is_some_and(|head| foreign(&head.note, &keys)) {
        return Err(other_keys("the database".to_owned()));
    }
    if note.as_ref().is_some_and(|note| foreign(note, &keys)) {
        return Err(other_keys(file.display().to_string()));
    }
    let Some(newest) = newest else { return Ok(()) };
    let fault = |fault| FreshnessError::File { file: file.to_owned(), fault, size: newest.size };
    let Some(note) = note else { return Err(fault(FileFault::Missing)) };
    if note.trim().is_empty() {
        return Err(fault(FileFault::Empty));
    }
    let Ok(head) = open_checkpoint(&note, &keys) else {
        return Err(fault(other_log(&note, &keys).map_or(FileFault::Malformed, FileFault::OtherLog)));
    };
    // Of several gateways on one database each has a file of its own, which stands still while it is stopped.
    if config.has_database_file() && head.size < newest.size {
        let limit = u32::try_from(HEADS_AHEAD_MAX + 1).unwrap_or(u32::MAX);
        let newer = store.checkpoints_from(head.size + 1, limit).await?;
        if newer.iter().filter(|row| row.size <= newest.size).count() > HEADS_AHEAD_MAX {
            return Err(fault(FileFault::Old(head.size)));
        }
    }
    Ok(())
}

/// The content of the file, if it is there. What is not text is no head either.
fn read(file: &Path) -> Result<Option<String>, FreshnessError> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8(bytes).unwrap_or_else(|_| "not text".to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FreshnessError::Unreadable { file: file.to_owned(), source }),
    }
}

/// Whether a head of this log is signed by keys that are not these.
fn foreign(note: &str, keys: &LogKeys) -> bool {
    let Ok(note) = Note::parse(note) else { return false };
    let known: &[_] = keys.as_ref();
    let mut of_log = note.signatures.iter().filter(|line| known.iter().any(|key| key.name() == line.name)).peekable();
    of_log.peek().is_some() && of_log.all(|line| known.iter().all(|key| key.key_id() != line.key_id))
}

/// The name of the log that a head is of, where it is another one.
fn other_log(note: &str, keys: &LogKeys) -> Option<String> {
    let note = Note::parse(note).ok()?;
    let known: &[_] = keys.as_ref();
    let origin = note.text.lines().next()?;
    known.iter().all(|key| key.name() != origin).then(|| origin.chars().filter(|char| !char.is_control()).collect())
}
