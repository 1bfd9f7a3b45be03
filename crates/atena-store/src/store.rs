//! The database of one municipality.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use atena_domain::MunicipalityCode;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::error::StoreError;
use crate::write::WriteTransaction;

/// Connections that read at the same time.
const READERS_MAX: u32 = 8;

/// How long a connection waits for a lock or for its turn.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The database of one municipality: every question asked of it is asked for that municipality alone (municipality-apart).
#[derive(Clone)]
pub struct Store {
    pub(crate) municipality: Arc<MunicipalityCode>,
    pub(crate) readers: SqlitePool,
    /// One connection: SQLite has one writer, and waiting here is fairer than waiting for its lock.
    writer: SqlitePool,
}

// === impl Store ===

impl Store {
    /// Opens the database at `sqlite:FILE`, creating it with mode 0600 and migrating it as needed.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub async fn open(url: &str, municipality: MunicipalityCode) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|_| StoreError::Open("database_url must be sqlite:FILE".to_owned()))?;
        create_for_owner_alone(options.get_filename())
            .map_err(|error| StoreError::Open(format!("{}: {error}", options.get_filename().display())))?;
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT_MAX)
            .pragma("secure_delete", "ON")
            // Pages that every commit touches (head, newest index pages) are written back once in 16 MiB instead of once in 4.
            .pragma("wal_autocheckpoint", "4000")
            .pragma("trusted_schema", "OFF")
            .disable_statement_logging();
        let opened = |error: sqlx::Error| StoreError::Open(StoreError::from(error).to_string());
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(WAIT_MAX)
            .connect_with(options.clone())
            .await
            .map_err(opened)?;
        sqlx::migrate!("./migrations/sqlite")
            .run(&writer)
            .await
            .map_err(|error| StoreError::Open(format!("its tables are not those of this version: {error}")))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(WAIT_MAX)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(opened)?;
        Ok(Self { municipality: Arc::new(municipality), readers, writer })
    }

    /// Begins a transaction that may write; it is rolled back unless committed. `name` says what for, in traces.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip(self), name = "db.begin")]
    pub async fn begin_write(&self, name: &'static str) -> Result<WriteTransaction, StoreError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(WriteTransaction { municipality: Arc::clone(&self.municipality), transaction })
    }

    /// Whether anything can be written: writes a row as it is, durably.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.probe")]
    pub async fn probe_write(&self) -> Result<(), StoreError> {
        const PROBE: &str = "INSERT INTO log_index_head (municipality_code, size) VALUES (?, 0) \
            ON CONFLICT (municipality_code) DO UPDATE SET size = size";
        sqlx::query(PROBE).bind(self.code()).execute(&self.writer).await?;
        Ok(())
    }

    /// Empties the write-ahead log into the database, so that nothing erased stays in it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.truncate_wal")]
    pub async fn truncate_wal(&self) -> Result<(), StoreError> {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await?;
        Ok(())
    }

    /// Closes the database; the write-ahead log is emptied.
    pub async fn close(&self) {
        self.readers.close().await;
        if let Err(error) = self.truncate_wal().await {
            tracing::warn!(%error, "the write-ahead log was not emptied; the next start does it");
        }
        self.writer.close().await;
    }

    pub(crate) fn code(&self) -> &str {
        self.municipality.as_str()
    }
}

/// Creates the file for its owner alone, whatever the umask; SQLite gives its journal the same mode.
fn create_for_owner_alone(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
