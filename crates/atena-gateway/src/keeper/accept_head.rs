//! Accepting the newest signed head of the database, where the file that should vouch for it is missing, damaged or old. An operator decides
//! that, and the admin log says so.

use std::io;
use std::path::PathBuf;

use atena_store::{Log, StoreError};

use super::Keeper;
use crate::admin::{Action, AdminError};
use crate::clock;
use crate::log::freshness::{self, FileFault, FreshnessError};
use crate::log::fsck::{Depth, Finding, fsck};
use crate::log::{LogKeyError, LogKeys, SignError, head};

/// A head that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedHead {
    /// Of which log.
    pub log: Log,
    /// Leaves under it.
    pub size: u64,
    /// What was wrong with the file.
    pub fault: FileFault,
    /// Where the file is now that was there before.
    pub aside: Option<PathBuf>,
}

/// Why no head was accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptHeadError {
    /// Something else is wrong.
    #[error(transparent)]
    Freshness(#[from] FreshnessError),
    /// The log is not what was signed.
    #[error("the log is damaged: {0}. Nothing was accepted. Run `atena log fsck` to see everything that differs")]
    Damaged(Finding),
    /// The key of the log.
    #[error("the key of the log can't be used: {0}")]
    Key(#[from] LogKeyError),
    /// The admin log.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The file beside the database.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A file.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error("the database can't be used: {0}")]
    Store(#[from] StoreError),
}

// === impl Keeper ===

impl Keeper {
    /// Accepts the newest signed head of each log whose file does not vouch for it. Nothing is done where both files do.
    ///
    /// # Errors
    /// [`AcceptHeadError`].
    pub async fn accept_heads(&self) -> Result<Vec<AcceptedHead>, AcceptHeadError> {
        let mut faults = Vec::new();
        for log in Log::ALL {
            let checked = freshness::check_log(&self.store, log, &self.municipality, &self.vault, &self.config).await;
            match checked {
                Ok(()) => {}
                Err(FreshnessError::File { fault, size, .. }) => {
                    self.check_sound(log).await?;
                    faults.push((log, fault, size));
                }
                Err(other) => return Err(other.into()),
            }
        }
        let mut accepted = Vec::new();
        for (log, fault, size) in faults {
            let name = match log {
                Log::Transfers => "transfers",
                Log::Administration => "admin",
            };
            let aside = self.move_aside(log)?;
            let action = Action::AcceptHead { log: name, size, file: fault.name() };
            self.admin.during(action, self.write_head(log), |()| 1).await?;
            accepted.push(AcceptedHead { log, size, fault, aside });
        }
        Ok(accepted)
    }

    /// What is accepted has to be what was signed all the same.
    async fn check_sound(&self, log: Log) -> Result<(), AcceptHeadError> {
        let keys = LogKeys::of(log, &self.municipality, &self.vault)?;
        let nowhere = self.config.log.checkpoint_file_of(log).join("none");
        let checked = fsck(&self.store.about_log(log), &keys, &nowhere, Depth::AT_START, |_, _| {}).await?;
        checked.findings.into_iter().next().map_or(Ok(()), |finding| Err(AcceptHeadError::Damaged(finding)))
    }

    /// Keeps a file that is there under another name: it may be evidence.
    fn move_aside(&self, log: Log) -> Result<Option<PathBuf>, AcceptHeadError> {
        let file = self.config.log.checkpoint_file_of(log);
        if !file.exists() {
            return Ok(None);
        }
        let aside = file.with_extension(format!("refused-{}", clock::now().as_second()));
        let failed = |source| AcceptHeadError::File { path: file.to_owned(), source };
        std::fs::rename(file, &aside).map_err(failed)?;
        Ok(Some(aside))
    }

    /// Writes the newest signed head of the database into the file beside it.
    async fn write_head(&self, log: Log) -> Result<(), AcceptHeadError> {
        let keys = LogKeys::of(log, &self.municipality, &self.vault)?;
        if let Some(newest) = self.store.about_log(log).newest_checkpoint().await? {
            let file = self.config.log.checkpoint_file_of(log);
            head::keep_beside(file, &newest, &keys).map_err(SignError::from)?;
        }
        Ok(())
    }
}
