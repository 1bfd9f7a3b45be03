//! The database of one municipality.

use std::sync::Arc;

use atena_domain::MunicipalityCode;
use atena_ledger::Frontier;

use crate::database::{Database, StoreOptions};
use crate::engine::{Engine, Sql, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::logs::Log;
use crate::snapshot::Snapshot;
use crate::write::WriteTransaction;

/// The database of one municipality: every question asked of it is asked for that municipality
/// alone (municipality-apart).
#[derive(Clone)]
pub struct Store {
    pub(crate) municipality: Arc<MunicipalityCode>,
    pub(crate) engine: Engine,
    /// The log that its log functions read and write.
    pub(crate) log: Log,
}

const LOG_HEAD: Sql = Sql::same("SELECT size FROM log_head WHERE municipality_code = $1");

// Transactions that write lock this row, so it must exist before the first of them.
const INSERT_LOG_HEAD: Sql = Sql::same(
    "INSERT INTO log_head (municipality_code, size, frontier)
    VALUES ($1, 0, $2)
    ON CONFLICT (municipality_code) DO NOTHING",
);

const PROBE: Sql = Sql::same("UPDATE log_head SET size = size WHERE municipality_code = $1");

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.open", Listed::Sql(LOG_HEAD)),
    ("db.open: log head", Listed::Sql(INSERT_LOG_HEAD)),
    ("db.probe", Listed::Sql(PROBE)),
];

// === impl Store ===

impl Store {
    /// Opens the database for one municipality alone.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Unavailable`].
    pub async fn open(options: &StoreOptions, municipality: MunicipalityCode) -> Result<Self, StoreError> {
        Database::open(options).await?.of(municipality).await
    }

    /// The store of one municipality in an open database.
    pub(crate) async fn open_in(engine: Engine, municipality: MunicipalityCode) -> Result<Self, StoreError> {
        let store = Self { municipality: Arc::new(municipality), engine, log: Log::Transfers };
        if store.engine.fetch_optional(&Statement::about(store.code(), LOG_HEAD)).await?.is_none() {
            let empty = Frontier::empty().to_bytes();
            let mut transaction = store.begin_write("open").await?;
            transaction.transaction.execute(&Statement::about(store.code(), INSERT_LOG_HEAD).bytes(&empty)).await?;
            transaction.commit().await?;
        }
        Ok(store)
    }

    /// The same database, whose log functions read and write this log: size, chunks, details,
    /// nodes, tiles, checkpoints and appending. Retention and search always concern the transfer
    /// log.
    #[must_use]
    pub fn about_log(&self, log: Log) -> Self {
        Self { log, ..self.clone() }
    }

    pub(crate) fn code(&self) -> &str {
        self.municipality.as_str()
    }

    /// Begins a transaction that may write; it is rolled back unless committed. Transactions of one
    /// municipality run one after the other. `name` is its name in traces.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip(self), name = "db.begin")]
    pub async fn begin_write(&self, name: &'static str) -> Result<WriteTransaction, StoreError> {
        let transaction = self.engine.begin(self.code()).await?;
        Ok(WriteTransaction { municipality: Arc::clone(&self.municipality), log: self.log, transaction })
    }

    /// Where to read what has to be as new as the change `sequence`: the replica if there is one
    /// and it has that change, the database itself otherwise.
    pub async fn as_new_as(&self, sequence: u64) -> Self {
        let Engine::Postgres(engine) = &self.engine else { return self.clone() };
        let Some(replica) = engine.replica() else { return self.clone() };
        let replica = Self { engine: Engine::Postgres(replica), ..self.clone() };
        match replica.last_change_sequence().await {
            Ok(seen) if seen >= sequence => replica,
            _ => self.clone(),
        }
    }

    /// Finds whether the database can be written to: updates a row to what it was, durably.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.probe")]
    pub async fn probe_write(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin_write("probe").await?;
        transaction.transaction.execute(&Statement::about(self.code(), PROBE)).await?;
        transaction.commit().await
    }

    /// Empties SQLite's write-ahead log into the database, so that nothing erased stays in it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.truncate_wal")]
    pub async fn truncate_wal(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.truncate_wal().await,
            Engine::Postgres(_) => Ok(()),
        }
    }

    /// Everything as it is now, whatever is written from here on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.snapshot")]
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let transaction = self.engine.begin_snapshot().await?;
        Ok(Snapshot { municipality: Arc::clone(&self.municipality), transaction })
    }

    /// Closes the database, for every municipality in it; SQLite's write-ahead log is emptied.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}
