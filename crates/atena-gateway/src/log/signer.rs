//! Signs the head of the log soon after it has grown. A signed head is kept in the database before anybody sees it, so that two
//! different heads of one size can't exist, and in a file beside it, so that a database from an old backup is found out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atena_domain::MunicipalityCode;
use atena_ledger::{Checkpoint, KeyError, Note, VerifierKey, open_checkpoint};
use atena_store::{Store, StoreError, StoredCheckpoint};
use atena_vault::{Vault, VaultError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// After how many signed heads those that say nothing more are forgotten.
const THIN_OUT_EVERY: u64 = 1000;

/// Why the log's key can't be used.
pub type LogKeyError = KeyError;

/// The public key of a municipality's transfer log; its name, the log's origin, is `<municipality code>.atena/log`.
///
/// # Errors
/// [`LogKeyError`]: never for keys that the vault made.
pub fn log_key(municipality: &MunicipalityCode, vault: &Vault) -> Result<VerifierKey, LogKeyError> {
    VerifierKey::of_log(&format!("{municipality}.atena/log"), &vault.log_public_key())
}

/// The task that signs.
pub(super) struct Signer {
    pub(super) store: Store,
    pub(super) vault: Arc<Vault>,
    pub(super) key: VerifierKey,
    pub(super) publish: watch::Sender<Option<String>>,
    pub(super) file: PathBuf,
    pub(super) interval: Duration,
    /// Heads signed since the start.
    pub(super) signed: AtomicU64,
}

/// Why a head was not signed.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error(transparent)]
    Key(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the log's head has the size of the last signed head, and another root: run `atena log fsck`")]
    Forked,
    #[error("the log is shorter than its last signed head: run `atena log fsck`")]
    Rewound,
    #[error("the signed head can't be kept beside the database: {0}")]
    File(#[from] std::io::Error),
}

// === impl Signer ===

impl Signer {
    /// Signs whenever the log has grown, at most once in an interval, and once more at the end.
    pub(super) async fn run(self, grown: Arc<Notify>, stop: CancellationToken) {
        self.sign_or_tell().await;
        while !stop.is_cancelled() {
            tokio::select! {
                () = grown.notified() => {}
                // Another gateway may have let it grow.
                () = tokio::time::sleep(self.interval) => {}
                () = stop.cancelled() => {}
            }
            self.sign_or_tell().await;
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = stop.cancelled() => {}
            }
        }
        self.sign_or_tell().await;
    }

    async fn sign_or_tell(&self) {
        if let Err(error) = self.sign().await {
            tracing::error!(%error, "the head of the transfer log was not signed");
        }
    }

    async fn sign(&self) -> Result<(), SignError> {
        let newest = self.store.newest_checkpoint().await?;
        let kept = match newest {
            Some(newest) if newest.size == self.store.log_size().await? => newest,
            _ => self.sign_head().await?,
        };
        let shown = self.publish.borrow().as_deref() == Some(kept.note.as_str());
        if !shown {
            // Another gateway on the same machine may have been faster.
            let beside = std::fs::read_to_string(&self.file).ok();
            let beside = beside.and_then(|note| open_checkpoint(&note, &self.key).ok());
            if beside.is_none_or(|beside| beside.size < kept.size) {
                replace_file(&self.file, &kept.note)?;
            }
            self.publish.send_replace(Some(kept.note));
        }
        Ok(())
    }

    /// Signs and keeps the head, in one transaction with reading it.
    async fn sign_head(&self) -> Result<StoredCheckpoint, SignError> {
        let mut transaction = self.store.begin_write("sign_log_head").await?;
        let head = transaction.log_frontier().await?;
        let (size, root) = (head.size(), head.root());
        match transaction.newest_checkpoint().await? {
            Some(newest) if newest.size > size => return Err(SignError::Rewound),
            Some(newest) if newest.size == size && newest.root != root => return Err(SignError::Forked),
            Some(newest) if newest.size == size => return Ok(newest),
            _ => {}
        }
        let text = Checkpoint::new(self.key.name(), size, root).text();
        let signature = self.key.line(self.vault.sign_log_head(text.as_bytes())?.to_vec());
        let note = Note { text, signatures: vec![signature] }.to_string();
        let checkpoint = StoredCheckpoint { size, root, note };
        transaction.insert_checkpoint(&checkpoint, clock::now()).await?;
        if self.signed.fetch_add(1, Ordering::Relaxed).is_multiple_of(THIN_OUT_EVERY) {
            transaction.thin_out_checkpoints().await?;
        }
        transaction.commit().await?;
        Ok(checkpoint)
    }
}

/// Replaces a file as a whole: a reader finds the old or the new one, also after a crash.
fn replace_file(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    std::fs::File::open(folder)?.sync_all()
}
