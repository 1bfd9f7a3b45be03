//! A database, which may hold any number of municipalities.

use std::path::Path;

use atena_domain::MunicipalityCode;

use crate::engine::{Engine, PostgresEngine, Sql, SqliteEngine};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::store::Store;

/// Where the database is and how it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// `sqlite:FILE`, or `postgres://user@host[:port][,host[:port]…]/database`. Of several servers
    /// the one that takes writes is used.
    pub url: String,
    /// A PostgreSQL replica that pulls are read from while it is new enough for their cursors.
    pub replica_url: Option<String>,
    /// Connections to each PostgreSQL server, at most.
    pub connections_max: u32,
}

/// An open database. What is in it is asked for through the [`Store`] of one municipality
/// (municipality-apart).
#[derive(Clone)]
pub struct Database {
    engine: Engine,
}

/// The one statement that is about no municipality in particular: `atena migrate` moves a whole
/// database.
pub(crate) const MUNICIPALITIES: Sql = Sql::same("SELECT municipality_code FROM log_head ORDER BY municipality_code");

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[("db.municipalities", Listed::Sql(MUNICIPALITIES))];

// === impl StoreOptions ===

impl StoreOptions {
    /// The database at `url`, without a replica, with 16 connections.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), replica_url: None, connections_max: 16 }
    }

    /// How a file is named in [`Self::url`], whatever its path.
    #[must_use]
    pub fn url_of_file(file: &str) -> String {
        // Two slashes at the beginning belong to the URL.
        if file.starts_with("//") { format!("sqlite://{file}") } else { format!("sqlite:{file}") }
    }

    /// The file of the database, if it is one of SQLite.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<&Path> {
        let rest = self.url.strip_prefix("sqlite:")?;
        // As it is: `%`, `?` and `#` are letters of a name like all others.
        Some(Path::new(rest.strip_prefix("//").unwrap_or(rest)))
    }
}

// === impl Database ===

impl Database {
    /// Opens the database, migrating it as needed; a file is created with mode 0600.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Unavailable`].
    pub async fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let postgres = ["postgres://", "postgresql://"].iter().any(|scheme| options.url.starts_with(scheme));
        let engine = if postgres {
            let replica = options.replica_url.as_deref();
            Engine::Postgres(PostgresEngine::open(&options.url, replica, options.connections_max).await?)
        } else {
            let no_file = || StoreError::Open("database_url must be sqlite:FILE or postgres://…".to_owned());
            Engine::Sqlite(SqliteEngine::open(options.sqlite_file().ok_or_else(no_file)?).await?)
        };
        Ok(Self { engine })
    }

    /// The store of one municipality, which need not have been there before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn of(&self, municipality: MunicipalityCode) -> Result<Store, StoreError> {
        Store::open_in(self.engine.clone(), municipality).await
    }

    /// The municipalities that are in it.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.municipalities")]
    pub async fn municipalities(&self) -> Result<Vec<MunicipalityCode>, StoreError> {
        let rows = self.engine.fetch_all(&crate::engine::Statement::about_all(MUNICIPALITIES)).await?;
        let parse = |code| MunicipalityCode::parse(code).map_err(StoreError::corrupt("log_head"));
        rows.iter().map(|row| parse(row.text(0)?)).collect()
    }

    /// Closes it; SQLite's write-ahead log is emptied.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}
