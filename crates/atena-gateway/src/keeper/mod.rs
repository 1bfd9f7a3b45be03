//! What is done with a municipality's database and log without serving: check it, copy it out, back it up, move it. For the operator at
//! the machine.

mod backup;
mod erase;
mod migrate;
mod rotate;

use std::path::Path;

use atena_domain::MunicipalityCode;
use atena_ledger::{TilePath, VerifierKey, open_checkpoint, tiles_of};
use atena_store::{Store, StoreError};
use atena_vault::Vault;

use crate::config::Config;
use crate::gateway::{GatewayError, policy_of};
use crate::log::export;
use crate::log::fsck::{Depth, Fsck, fsck};
use crate::log::log_key;

pub use backup::{Backup, BackupError, Loss, Restored};
pub use erase::{EraseError, Erased, Ground};
pub use migrate::{MigrateError, Moved, migrate};
pub use rotate::{KeyStatus, RotateError, Rotated};

/// The database and log of one municipality, opened without serving.
pub struct Keeper {
    municipality: MunicipalityCode,
    store: Store,
    vault: Vault,
    key: VerifierKey,
    config: Config,
    policy_hash: [u8; 32],
}

/// Why a log could not be copied out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log has no signed head yet.
    #[error("the log has no signed head yet: start the gateway once")]
    NoHead,
    /// A tile is not there or can't be read.
    #[error("{0} can't be read from the log: run `atena log fsck`")]
    Tile(TilePath),
    /// The database.
    #[error("the database can't be used: {0}")]
    Store(#[from] StoreError),
    /// The folder.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

// === impl Keeper ===

impl Keeper {
    /// Opens the database and the keys that the settings name.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn open(config: Config) -> Result<Self, GatewayError> {
        let policy = policy_of(&config)?;
        let vault = Vault::open(&config.key_source(), policy.municipality_code())?;
        let store = Store::open(&config.store_options(), policy.municipality_code().clone()).await?;
        let key = log_key(policy.municipality_code(), &vault)?;
        let municipality = policy.municipality_code().clone();
        Ok(Self { municipality, store, vault, key, config, policy_hash: policy.hash() })
    }

    /// The public key that verifies the log's signed heads.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Recomputes everything; `progress` is told leaves done and leaves in all.
    ///
    /// # Errors
    /// [`StoreError`] where the database can't be read at all.
    pub async fn fsck(&self, progress: impl FnMut(u64, u64)) -> Result<Fsck, StoreError> {
        let depth = Depth::Everything(&self.vault);
        fsck(&self.store, &self.key, &self.config.log.checkpoint_file, depth, progress).await
    }

    /// Writes the log to a folder in the layout of c2sp.org/tlog-tiles, under its newest signed head; what is there already in full is
    /// left as it is. `progress` is told tiles done and tiles in all. Tells the leaves under the head.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn export(&self, folder: &Path, mut progress: impl FnMut(u64, u64)) -> Result<u64, ExportError> {
        let head = self.store.newest_checkpoint().await?.ok_or(ExportError::NoHead)?;
        let size = open_checkpoint(&head.note, &self.key).map_err(|_| ExportError::NoHead)?.size;
        let all = u64::try_from(tiles_of(size).count()).unwrap_or(u64::MAX);
        for (done, tile) in (1..).zip(tiles_of(size)) {
            let path = folder.join(tile.to_string());
            if !path.exists() {
                let content = export::tile(&self.store, &tile).await;
                let content = content.ok().flatten().ok_or(ExportError::Tile(tile))?;
                write(&path, &content)?;
            }
            progress(done, all);
        }
        // Last, so that a head never stands above tiles that are not there.
        write(&folder.join("checkpoint"), head.note.as_bytes())?;
        Ok(size)
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.close().await;
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), ExportError> {
    let failed = |source| ExportError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, content).map_err(failed)
}
