//! Signing the head of a log, in the transaction that sees it: one size has one head, signed with every key that is in use at that point.

use std::io::Write as _;
use std::path::Path;

use atena_domain::MunicipalityCode;
use atena_ledger::{Checkpoint, Note, VerifierKey, open_checkpoint};
use atena_store::{Log, StoreError, StoredCheckpoint, WriteTransaction};
use atena_vault::{Vault, VaultError};

use super::keys::{LogKeyError, LogKeys};
use crate::clock;

/// A signed head, and the newest key that verifies it.
#[derive(Clone)]
pub(crate) struct Head {
    /// The signed note.
    pub(crate) note: String,
    /// The key.
    pub(crate) key: VerifierKey,
}

/// Why a head was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key.
    #[error(transparent)]
    Key(#[from] VaultError),
    /// The key is none.
    #[error("the key of the log can't be used: {0}")]
    Malformed(#[from] LogKeyError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two heads of one size.
    #[error("the log's head has the size of the last signed head, and another root: run `atena log fsck`")]
    Forked,
    /// A shorter log.
    #[error("the log is shorter than its last signed head: run `atena log fsck`")]
    Rewound,
    /// Another gateway changed the key.
    #[error("the key of the log was changed, and the newer one is not here: bring the new keys_file to this machine")]
    KeyMissing,
    /// The file beside the database.
    #[error("the signed head can't be kept beside the database: {0}")]
    File(#[from] std::io::Error),
}

/// Signs and keeps the head of the log that `transaction` is about, unless this size has one. `thin_out` forgets older heads that say nothing
/// more.
pub(crate) async fn sign(
    transaction: &mut WriteTransaction,
    vault: &Vault,
    municipality: &MunicipalityCode,
    thin_out: bool,
) -> Result<StoredCheckpoint, SignError> {
    let head = transaction.log_frontier().await?;
    let (size, root) = (head.size(), head.root());
    match transaction.newest_checkpoint().await? {
        Some(newest) if newest.size > size => return Err(SignError::Rewound),
        Some(newest) if newest.size == size && newest.root != root => return Err(SignError::Forked),
        Some(newest) if newest.size == size => return Ok(newest),
        _ => {}
    }
    let stored = transaction.log_keys().await?;
    let mut keys = LogKeys::of(transaction.log(), municipality, vault)?;
    if keys.in_use(&stored).is_none() {
        vault.read_again()?;
        keys = LogKeys::of(transaction.log(), municipality, vault)?;
    }
    let in_use = keys.in_use(&stored).ok_or(SignError::KeyMissing)?;
    let (_, newest) = in_use.last().ok_or(SignError::KeyMissing)?;
    let mut checkpoint = Checkpoint::new(newest.name(), size, root);
    if in_use.len() > 1 {
        checkpoint = checkpoint.naming(newest);
    }
    let text = checkpoint.text();
    let mut signatures = Vec::with_capacity(in_use.len());
    for (version, key) in &in_use {
        signatures.push(key.line(vault.sign_log_head(*version, text.as_bytes())?.to_vec()));
    }
    let checkpoint = StoredCheckpoint { size, root, note: Note { text, signatures }.to_string() };
    transaction.insert_checkpoint(&checkpoint, clock::now()).await?;
    if thin_out {
        transaction.thin_out_checkpoints().await?;
    }
    Ok(checkpoint)
}

/// Keeps a head in the file beside the database, unless a newer one is there: another gateway on the same machine may have been faster.
pub(crate) fn keep_beside(path: &Path, head: &StoredCheckpoint, keys: &LogKeys) -> std::io::Result<()> {
    let beside = beside(path, keys);
    if beside.is_none_or(|beside| beside.size < head.size) { replace_file(path, &head.note) } else { Ok(()) }
}

/// Leaves under the head that is kept beside the database; none where there is no such file.
pub(crate) fn size_beside(path: &Path, keys: &LogKeys) -> u64 {
    beside(path, keys).map_or(0, |head| head.size)
}

fn beside(path: &Path, keys: &LogKeys) -> Option<Checkpoint> {
    open_checkpoint(&std::fs::read_to_string(path).ok()?, keys).ok()
}

/// The keys of a log, and the newest of them that signed `note`. They are read again where the note has a signature of this log by another
/// key: another gateway may have changed it.
pub(crate) fn keys_of(
    log: Log,
    municipality: &MunicipalityCode,
    vault: &Vault,
    note: &str,
) -> Result<(LogKeys, VerifierKey), SignError> {
    let mut keys = LogKeys::of(log, municipality, vault)?;
    if !keys.know_all_of(note) {
        vault.read_again()?;
        keys = LogKeys::of(log, municipality, vault)?;
    }
    let key = keys.signer_of(note).ok_or(SignError::KeyMissing)?;
    Ok((keys, key))
}

/// Replaces a file as a whole: a reader finds the old or the new one, also after a crash.
fn replace_file(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Of this process alone: several gateways may keep their heads in one place.
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = std::fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    std::fs::File::open(folder)?.sync_all()
}
