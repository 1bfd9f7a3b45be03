//! What is done with a municipality's database and logs without serving: check it, copy it out, back it up, move it. For the operator at
//! the machine. Whatever changes or copies anything is recorded in the admin log.

mod accept_head;
mod admin_log;
mod backup;
mod confirm_clock;
mod erasable;
mod erase;
mod migrate;
mod rotate;
mod rotate_log_key;

use std::path::Path;
use std::sync::Arc;

use atena_domain::MunicipalityCode;
use atena_ledger::{TilePath, open_checkpoint, tiles_of};
use atena_store::{Log, Store, StoreError};
use atena_vault::Vault;

use crate::admin::{Action, Actor, AdminError, AdminLog};
use crate::clock::Clock;
use crate::clock_guard::ClockGuard;
use crate::config::Config;
use crate::door::own_certificate;
use crate::gateway::{GatewayError, is_used, municipality_of, open_vault};
use crate::load::policy_of;
use crate::log::export;
use crate::log::freshness::{self, FreshnessError};
use crate::log::fsck::{Depth, Fsck, fsck};
use crate::log::{LogKeyError, LogKeys};

pub use accept_head::{AcceptHeadError, AcceptedHead};
pub use admin_log::AdminLogError;
pub use backup::{Backup, BackupError, Loss, Restored};
pub use confirm_clock::ConfirmClockError;
pub use erasable::{ErasureCase, KeepReason, KnownBy, PersonStatus};
pub use erase::{EraseError, Erased, ErasurePlan, Ground};
pub use migrate::{MigrateError, Moved, migrate};
pub use rotate::{KeyStatus, RotateError, Rotated, RowKey};
pub use rotate_log_key::PublishedKey;

/// The database and log of one municipality, opened without serving.
pub struct Keeper {
    municipality: MunicipalityCode,
    store: Store,
    vault: Arc<Vault>,
    admin: AdminLog,
    config: Config,
    clock: ClockGuard,
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
    /// The key.
    #[error("the key of the log can't be used: {0}")]
    Key(#[from] LogKeyError),
    /// The admin log.
    #[error(transparent)]
    Admin(#[from] AdminError),
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
    pub async fn open(config: Config, actor: Actor) -> Result<Self, GatewayError> {
        let policy = policy_of(&config)?;
        let vault = open_vault(&config, policy.municipality_code()).await?;
        let store = Store::open(&config.store_options(), policy.municipality_code().clone()).await?;
        let municipality = policy.municipality_code().clone();
        let file = config.log.admin_checkpoint_file.clone();
        let admin = AdminLog::of(&store, &vault, &municipality, file, policy.hash(), actor);
        let own = config.tls.certificate.clone();
        let days_max = config.clock.ahead_of_log_days_max;
        let clock = ClockGuard::new(Clock::System, &store, days_max, Box::new(move || own_certificate(&own)));
        Ok(Self { municipality, store, vault, admin, config, clock, policy_hash: policy.hash() })
    }

    /// Whether the database is the newest one, as far as the signed heads beside it say, and whether the keys are its own.
    ///
    /// # Errors
    /// [`GatewayError::NotFresh`]: nothing may be done with it.
    pub async fn check_fresh(&self) -> Result<(), GatewayError> {
        let fresh = freshness::check(&self.store, &self.municipality, &self.vault, &self.config).await;
        Ok(fresh.map_err(Box::new)?)
    }

    /// Whether the keys are its own; the database may be an old one.
    ///
    /// # Errors
    /// [`GatewayError::NotFresh`].
    pub async fn check_keys(&self) -> Result<(), GatewayError> {
        match freshness::check(&self.store, &self.municipality, &self.vault, &self.config).await {
            Ok(()) | Err(FreshnessError::File { .. } | FreshnessError::Unreadable { .. }) => Ok(()),
            Err(error) => Err(Box::new(error).into()),
        }
    }

    /// As [`Keeper::open`], where there is a database that has been used: a home that never had one has nothing to record in.
    ///
    /// # Errors
    /// As [`Keeper::open`].
    pub async fn open_if_used(config: Config, actor: Actor) -> Result<Option<Self>, GatewayError> {
        if !is_used(&config, &municipality_of(&config)?).await? {
            return Ok(None);
        }
        let keeper = Self::open(config, actor).await?;
        keeper.check_fresh().await?;
        Ok(Some(keeper))
    }

    /// The admin log, for what is done with other things than the database.
    #[must_use]
    pub fn admin(&self) -> &AdminLog {
        &self.admin
    }

    /// Recomputes everything of a log; `progress` is told leaves done and leaves in all.
    ///
    /// # Errors
    /// [`GatewayError`] where the database can't be read at all.
    pub async fn fsck(&self, log: Log, progress: impl FnMut(u64, u64)) -> Result<Fsck, GatewayError> {
        let depth = Depth::Everything(&self.vault);
        let keys = LogKeys::of(log, &self.municipality, &self.vault)?;
        let file = self.config.log.checkpoint_file_of(log);
        Ok(fsck(&self.store.about_log(log), &keys, file, depth, progress).await?)
    }

    /// Writes a log to a folder in the layout of c2sp.org/tlog-tiles, under its newest signed head; what is there already in full is
    /// left as it is. `progress` is told tiles done and tiles in all. Tells the leaves under the head.
    ///
    /// # Errors
    /// [`ExportError`].
    pub async fn export(&self, log: Log, folder: &Path, progress: impl FnMut(u64, u64)) -> Result<u64, ExportError> {
        let name = match log {
            Log::Transfers => "transfers",
            Log::Administration => "admin",
        };
        let action = Action::ExportLog { log: name, to: folder.to_owned() };
        self.admin.during(action, self.copy_out(log, folder, progress), |size| *size).await
    }

    async fn copy_out(&self, log: Log, folder: &Path, mut progress: impl FnMut(u64, u64)) -> Result<u64, ExportError> {
        let store = self.store.about_log(log);
        let keys = LogKeys::of(log, &self.municipality, &self.vault)?;
        let head = store.newest_checkpoint().await?.ok_or(ExportError::NoHead)?;
        let size = open_checkpoint(&head.note, &keys).map_err(|_| ExportError::NoHead)?.size;
        let all = u64::try_from(tiles_of(size).count()).unwrap_or(u64::MAX);
        for (done, tile) in (1..).zip(tiles_of(size)) {
            let path = folder.join(tile.to_string());
            if !path.exists() {
                let content = export::tile(&store, &tile).await;
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
