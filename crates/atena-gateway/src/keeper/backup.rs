//! Backups while gateways run, and restoring one: two SQLite files, whatever engine they are of, and a note of what must be in them.
//!
//! The wrapped keys of people are in a file of their own. Somebody who is erased stays readable in old copies of that file alone, so
//! it is what has to be kept briefly.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use atena_store::{CopyError, Log, Part, Snapshot, Store, StoreError, StoreOptions};
use serde::{Deserialize, Serialize};

use super::Keeper;
use crate::admin::{Action, AdminError};
use crate::clock;
use crate::log::fsck::{Depth, Finding, fsck};
use crate::log::{LogKeyError, LogKeys, SignError, head};

const CONTENT: &str = "content.db";
const PERSON_KEYS: &str = "person-keys.db";
const NOTE: &str = "backup.toml";

/// Numbers and changes that are passed over at each restore, beside those that are known to be lost: the log's last second may not
/// have been signed when the database was lost. There are 100,000,000,000,000 numbers.
const PASSED_OVER: u64 = 1_000_000;

/// What a backup holds; kept beside it in `backup.toml`, which is written last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Whose.
    pub municipality_code: String,
    /// When, RFC 3339.
    pub made_at: String,
    /// Rows of `content.db`.
    pub rows: u64,
    /// Rows of `person-keys.db`.
    pub person_keys: u64,
    /// Leaves of the log.
    pub log_size: u64,
    /// Root of the log, base64.
    pub log_root: String,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub backup: Backup,
    /// Transfers that were signed and are not in it.
    pub lost: u64,
    /// Records of the admin log that were signed and are not in it: at least the end of the backup itself.
    pub lost_admin: u64,
}

/// Whether transfers that are in the log, but not in the backup, may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// No: such a backup is refused.
    Refused,
    /// Yes: the disk is lost, and this is the newest backup. `log.checkpoint`, which tells of them, is moved aside.
    Accepted,
}

/// Why a backup was not made, or not restored. Nothing of it is there.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or directory.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something at the place for the backup.
    #[error("{0} is there already; a backup is made in a directory of its own")]
    Exists(PathBuf),
    /// It is not whole, or was changed.
    #[error("{path} is not a whole backup: {reason}")]
    NotWhole {
        /// The directory.
        path: PathBuf,
        /// What is missing or different.
        reason: String,
    },
    /// It is of somebody else.
    #[error("the backup is of municipality {backup}, and this home is of {home}")]
    OtherMunicipality {
        /// Whose backup.
        backup: String,
        /// Whose home.
        home: String,
    },
    /// Its log is not what was signed.
    #[error("the log in the backup is not what was signed: {0}")]
    Log(Finding),
    /// Transfers would be lost.
    #[error(
        "{lost} transfers are missing from the backup: a head of {signed} was signed, and it has {size}. Restore a newer backup; if there is none, \
         the information manager may accept the loss (--accept-loss)",
        lost = signed - size
    )]
    Older {
        /// Leaves under the newest signed head.
        signed: u64,
        /// Leaves in the backup.
        size: u64,
    },
    /// The key of the log.
    #[error("the key of the log can't be used: {0}")]
    Key(#[from] LogKeyError),
    /// The admin log.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The admin log, in the database that is being filled.
    #[error("the admin log can't be written, so nothing was restored: {0}")]
    Sign(#[from] SignError),
    /// The copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Copy(CopyError::Store(error))
    }
}

/// The files of a backup, opened.
struct Files {
    content: Store,
    person_keys: Store,
}

// === impl Keeper ===

impl Keeper {
    /// Makes a backup in a new directory while gateways go on; it is of one moment. `progress` is told rows done and rows in all.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn backup(&self, folder: &Path, progress: impl FnMut(u64, u64)) -> Result<Backup, BackupError> {
        let action = Action::Backup { to: folder.to_owned() };
        self.admin.during(action, self.copy_to(folder, progress), |made| made.rows + made.person_keys).await
    }

    async fn copy_to(&self, folder: &Path, mut progress: impl FnMut(u64, u64)) -> Result<Backup, BackupError> {
        if folder.exists() {
            return Err(BackupError::Exists(folder.to_owned()));
        }
        private_directory(folder)?;
        let files = self.files(folder).await?;
        let mut snapshot = self.store.snapshot().await?;
        let head = snapshot.log_frontier(Log::Transfers).await?;
        let (rows, person_keys) = (snapshot.count(Part::Content).await?, snapshot.count(Part::PersonKeys).await?);
        let mut done = 0;
        let mut count = |copied| {
            done += copied;
            progress(done, rows + person_keys);
        };
        for (part, target) in [(Part::Content, &files.content), (Part::PersonKeys, &files.person_keys)] {
            let mut transaction = target.begin_write("backup").await?;
            snapshot.copy(part, &mut transaction, &mut count).await?;
            transaction.commit().await?;
        }
        files.close().await;
        let backup = Backup {
            municipality_code: self.municipality.as_str().to_owned(),
            made_at: clock::now().to_string(),
            rows,
            person_keys,
            log_size: head.size(),
            log_root: head.root().to_base64(),
        };
        let path = folder.join(NOTE);
        let note = toml::to_string(&backup).map_err(|error| not_whole(folder, &error.to_string()))?;
        let written = fs::write(&path, note).and_then(|()| fs::File::open(&path)?.sync_all());
        written.and_then(|()| fs::File::open(folder)?.sync_all()).map_err(of_file(&path))?;
        Ok(backup)
    }

    /// Restores a backup into the database of the settings, which must have nothing of this municipality. Before anything is written
    /// the backup is compared with its note and its log with every signed head, the one beside the database included. Unified
    /// numbers and changes go on far beyond those of the backup, so that none of what may be lost is ever given a second time.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn restore(
        &self,
        folder: &Path,
        loss: Loss,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Restored, BackupError> {
        let path = folder.join(NOTE);
        let note = fs::read_to_string(&path).map_err(of_file(&path))?;
        let backup: Backup = toml::from_str(&note).map_err(|error| not_whole(folder, error.message()))?;
        if backup.municipality_code != self.municipality.as_str() {
            let home = self.municipality.as_str().to_owned();
            return Err(BackupError::OtherMunicipality { backup: backup.municipality_code, home });
        }
        for file in [CONTENT, PERSON_KEYS] {
            if !folder.join(file).is_file() {
                return Err(not_whole(folder, &format!("{file} is missing")));
            }
        }
        let files = self.files(folder).await?;
        let lost = self.lost(&files.content, Log::Transfers, loss).await?;
        // The end of the backup is never in it, and the gateway stopped after it: told, and not refused.
        let lost_admin = self.lost(&files.content, Log::Administration, Loss::Accepted).await?;
        let (mut content, mut person_keys) = (files.content.snapshot().await?, files.person_keys.snapshot().await?);
        compare(folder, &backup, &mut content, &mut person_keys).await?;

        let all = backup.rows + backup.person_keys;
        let action = Action::Restore { from: folder.to_owned(), lost, lost_admin };
        let mut done = 0;
        let mut count = |copied| {
            done += copied;
            progress(done, all);
        };
        let mut transaction = self.store.begin_write("restore").await?;
        content.copy(Part::Content, &mut transaction, &mut count).await?;
        person_keys.copy(Part::PersonKeys, &mut transaction, &mut count).await?;
        transaction.pass_over(lost + PASSED_OVER).await?;
        // In the same transaction: there is nothing to record it in before.
        let begun = self.admin.begin_within(&mut transaction, action).await?;
        let head = self.admin.end_within(&mut transaction, &begun, all).await?;
        transaction.commit().await?;
        drop((content, person_keys));
        files.close().await;
        for (log, lost) in [(Log::Transfers, lost), (Log::Administration, lost_admin)] {
            if lost > 0 {
                let file = self.config.log.checkpoint_file_of(log);
                let aside = file.with_extension(format!("lost-{}", clock::now().as_second()));
                match fs::rename(file, aside) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    moved => moved.map_err(of_file(file))?,
                }
            }
        }
        self.admin.keep_beside(&head)?;
        if loss == Loss::Accepted {
            // What is lost is accepted, so the restored head is the newest one from here on.
            self.keep_restored_head().await?;
        }
        Ok(Restored { backup, lost, lost_admin })
    }

    /// Keeps the newest signed head of the transfer log that was restored beside the database.
    async fn keep_restored_head(&self) -> Result<(), BackupError> {
        let keys = LogKeys::of(Log::Transfers, &self.municipality, &self.vault)?;
        match self.store.newest_checkpoint().await? {
            Some(newest) => {
                Ok(head::keep_beside(&self.config.log.checkpoint_file, &newest, &keys).map_err(SignError::from)?)
            }
            None => Ok(()),
        }
    }

    /// Leaves that were signed and are not in a backup, whose log is otherwise what was signed.
    async fn lost(&self, content: &Store, log: Log, loss: Loss) -> Result<u64, BackupError> {
        let keys = LogKeys::of(log, &self.municipality, &self.vault)?;
        let file = self.config.log.checkpoint_file_of(log);
        let checked = fsck(&content.about_log(log), &keys, file, Depth::AT_START, |_, _| {}).await?;
        let mut lost = 0;
        for finding in checked.findings {
            match finding {
                Finding::Truncated { signed, size } if loss == Loss::Accepted => lost = signed - size,
                Finding::Truncated { signed, size } => return Err(BackupError::Older { signed, size }),
                other => return Err(BackupError::Log(other)),
            }
        }
        Ok(lost)
    }

    async fn files(&self, folder: &Path) -> Result<Files, BackupError> {
        let open = async |name: &str| {
            let file = folder.join(name);
            let text = file.to_str().ok_or_else(|| not_whole(folder, "its path is not UTF-8"))?;
            let options = StoreOptions::new(StoreOptions::url_of_file(text));
            let opened: Result<_, BackupError> =
                Store::open(&options, self.municipality.clone()).await.map_err(BackupError::from);
            opened
        };
        Ok(Files { content: open(CONTENT).await?, person_keys: open(PERSON_KEYS).await? })
    }
}

// === impl Files ===

impl Files {
    async fn close(self) {
        self.content.close().await;
        self.person_keys.close().await;
    }
}

/// Compares the files of a backup with the note beside them.
async fn compare(
    folder: &Path,
    backup: &Backup,
    content: &mut Snapshot,
    person_keys: &mut Snapshot,
) -> Result<(), BackupError> {
    let head = content.log_frontier(Log::Transfers).await?;
    if (head.size(), head.root().to_base64()) != (backup.log_size, backup.log_root.clone()) {
        return Err(not_whole(folder, "its log is not the one that was backed up"));
    }
    let counts = [
        (CONTENT, backup.rows, content.count(Part::Content).await?),
        (PERSON_KEYS, backup.person_keys, person_keys.count(Part::PersonKeys).await?),
    ];
    for (file, noted, found) in counts {
        if noted != found {
            return Err(not_whole(folder, &format!("{file} has {found} rows instead of {noted}")));
        }
    }
    Ok(())
}

fn private_directory(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(of_file(path))
}

fn not_whole(path: &Path, reason: &str) -> BackupError {
    BackupError::NotWhole { path: path.to_owned(), reason: reason.to_owned() }
}

fn of_file(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}
