//! The database of one municipality.

use std::sync::Arc;

use atena_domain::MunicipalityCode;
use atena_ledger::Frontier;

use crate::engine::{Engine, PostgresEngine, Sql, SqliteEngine, Statement, sql};
use crate::error::StoreError;
use crate::write::WriteTransaction;

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct StoreOptions {
    /// `sqlite:FILE`, or `postgres://user@host[:port][,host[:port]…]/database`. Of several servers the one that takes writes is used.
    pub url: String,
    /// A PostgreSQL replica that pulls are read from while it is new enough for their cursors.
    pub replica_url: Option<String>,
    /// Connections to each PostgreSQL server, at most.
    pub connections_max: u32,
}

/// The database of one municipality: every question asked of it is asked for that municipality alone (municipality-apart).
#[derive(Clone)]
pub struct Store {
    pub(crate) municipality: Arc<MunicipalityCode>,
    pub(crate) engine: Engine,
}

// === impl StoreOptions ===

impl StoreOptions {
    /// The database at `url`, without a replica, with 16 connections.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), replica_url: None, connections_max: 16 }
    }
}

// === impl Store ===

impl Store {
    /// Opens the database, migrating it as needed; a file is created with mode 0600.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Unavailable`].
    pub async fn open(options: &StoreOptions, municipality: MunicipalityCode) -> Result<Self, StoreError> {
        const IS_THERE: Sql = sql!(all "SELECT size FROM log_head WHERE municipality_code = $1");
        // The row that writers take turns on is there before the first of them.
        const HEAD: Sql = sql!(all "INSERT INTO log_head (municipality_code, size, frontier) VALUES ($1, 0, $2) \
            ON CONFLICT (municipality_code) DO NOTHING");
        let postgres = ["postgres://", "postgresql://"].iter().any(|scheme| options.url.starts_with(scheme));
        let engine = if postgres {
            let replica = options.replica_url.as_deref();
            Engine::Postgres(PostgresEngine::open(&options.url, replica, options.connections_max).await?)
        } else {
            Engine::Sqlite(SqliteEngine::open(&options.url).await?)
        };
        let store = Self { municipality: Arc::new(municipality), engine };
        if store.engine.fetch_optional(&Statement::about(store.code(), IS_THERE)).await?.is_none() {
            let empty = Frontier::empty().to_bytes();
            let mut transaction = store.begin_write("open").await?;
            transaction.transaction.execute(&Statement::about(store.code(), HEAD).bytes(&empty)).await?;
            transaction.commit().await?;
        }
        Ok(store)
    }

    pub(crate) fn code(&self) -> &str {
        self.municipality.as_str()
    }

    /// Begins a transaction that may write; it is rolled back unless committed. Transactions of one municipality take turns. `name`
    /// says what for, in traces.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip(self), name = "db.begin")]
    pub async fn begin_write(&self, name: &'static str) -> Result<WriteTransaction, StoreError> {
        let transaction = self.engine.begin(self.code()).await?;
        Ok(WriteTransaction { municipality: Arc::clone(&self.municipality), transaction })
    }

    /// Where to read from if what is read has to be as new as the change `sequence`: the replica if there is one and it has seen
    /// that change, the database itself otherwise.
    pub async fn as_new_as(&self, sequence: u64) -> Self {
        let Engine::Postgres(engine) = &self.engine else { return self.clone() };
        let Some(replica) = engine.replica() else { return self.clone() };
        let replica = Self { municipality: Arc::clone(&self.municipality), engine: Engine::Postgres(replica) };
        match replica.last_change_sequence().await {
            Ok(seen) if seen >= sequence => replica,
            _ => self.clone(),
        }
    }

    /// Whether anything can be written: writes a row as it is, durably.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.probe")]
    pub async fn probe_write(&self) -> Result<(), StoreError> {
        const PROBE: Sql = sql!(all "UPDATE log_head SET size = size WHERE municipality_code = $1");
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

    /// Closes the database; SQLite's write-ahead log is emptied.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => engine.close().await,
        }
    }
}
