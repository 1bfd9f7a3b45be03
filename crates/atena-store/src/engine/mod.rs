//! The two engines behind one set of statements: SQLite, embedded, and PostgreSQL.
//!
//! What an engine does is boxed here: its futures take kilobytes, and every future above would be moved about with them.

mod batch;
mod columns;
mod insert;
mod neighbours;
mod postgres;
mod row;
mod sql;
mod sqlite;
mod sqlite_file;

use std::time::Duration;

use crate::error::StoreError;
pub(crate) use batch::{Batch, BatchRow, BatchSql, batch};
pub(crate) use columns::Kind;
pub(crate) use insert::{Column, Insert};
pub(crate) use neighbours::Spacing;
pub(crate) use postgres::PostgresEngine;
use postgres::PostgresTransaction;
pub(crate) use row::{Row, signed};
pub(crate) use sql::{Sql, Statement, Value, sql};
pub(crate) use sqlite::SqliteEngine;
use sqlite::SqliteTransaction;

/// How long a connection waits for a lock, for its turn, or for the database to come back.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// An open database.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite(SqliteEngine),
    Postgres(PostgresEngine),
}

/// A transaction.
pub(crate) enum EngineTransaction {
    Sqlite(SqliteTransaction),
    Postgres(PostgresTransaction),
}

// === impl Engine ===

impl Engine {
    /// Every row that a reading statement finds.
    pub(crate) async fn fetch_all(&self, statement: &Statement<'_>) -> Result<Vec<Row>, StoreError> {
        match self {
            _ if statement.finds_nothing() => Ok(Vec::new()),
            Self::Sqlite(engine) => Box::pin(engine.fetch_all(statement)).await,
            Self::Postgres(engine) => Box::pin(engine.fetch_all(statement)).await,
        }
    }

    /// Every row that a reading statement finds, by column.
    pub(crate) async fn fetch_batch(&self, batch: &BatchSql, statement: &Statement<'_>) -> Result<Batch, StoreError> {
        match batch.near(statement) {
            Some((near, wanted)) => batch.read(self.fetch_all(&near).await?)?.only(&wanted),
            None => batch.read(self.fetch_all(statement).await?),
        }
    }

    /// The one row that a reading statement finds, if any.
    pub(crate) async fn fetch_optional(&self, statement: &Statement<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(statement).await?.pop())
    }

    /// Begins a transaction that only reads, and reads everything as it was when it first read.
    pub(crate) async fn begin_snapshot(&self) -> Result<EngineTransaction, StoreError> {
        match self {
            Self::Sqlite(engine) => Ok(EngineTransaction::Sqlite(Box::pin(engine.begin_snapshot()).await?)),
            Self::Postgres(engine) => Ok(EngineTransaction::Postgres(Box::pin(engine.begin_snapshot()).await?)),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(engine) => engine.close().await,
            Self::Postgres(engine) => engine.close().await,
        }
    }

    /// Begins a transaction that may write. Writers of one municipality take turns, on SQLite on its one writing connection, on
    /// PostgreSQL on the row of the log's head: whoever has the turn sees everything that was committed before.
    pub(crate) async fn begin(&self, municipality: &str) -> Result<EngineTransaction, StoreError> {
        match self {
            Self::Sqlite(engine) => Ok(EngineTransaction::Sqlite(Box::pin(engine.begin()).await?)),
            Self::Postgres(engine) => Ok(EngineTransaction::Postgres(Box::pin(engine.begin(municipality)).await?)),
        }
    }
}

// === impl EngineTransaction ===

impl EngineTransaction {
    pub(crate) async fn fetch_all(&mut self, statement: &Statement<'_>) -> Result<Vec<Row>, StoreError> {
        match self {
            _ if statement.finds_nothing() => Ok(Vec::new()),
            Self::Sqlite(of) => Box::pin(sqlite::fetch_all(&mut of.transaction, statement)).await,
            Self::Postgres(of) => Ok(Box::pin(postgres::fetch_all(&mut of.transaction, statement)).await?),
        }
    }

    pub(crate) async fn fetch_batch(
        &mut self,
        batch: &BatchSql,
        statement: &Statement<'_>,
    ) -> Result<Batch, StoreError> {
        match batch.near(statement) {
            Some((near, wanted)) => batch.read(self.fetch_all(&near).await?)?.only(&wanted),
            None => batch.read(self.fetch_all(statement).await?),
        }
    }

    pub(crate) async fn fetch_optional(&mut self, statement: &Statement<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(statement).await?.pop())
    }

    /// The one row of a statement that always has one.
    pub(crate) async fn fetch_one(&mut self, statement: &Statement<'_>) -> Result<Row, StoreError> {
        self.fetch_optional(statement).await?.ok_or(StoreError::Unavailable("a statement had no answer"))
    }

    /// Every row that a reading statement finds which was put together at run time, from names of ours.
    pub(crate) async fn fetch_page(&mut self, sql: String, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(of) => Box::pin(sqlite::fetch_page(&mut of.transaction, sql, values)).await,
            Self::Postgres(of) => Ok(Box::pin(postgres::fetch_page(&mut of.transaction, sql, values)).await?),
        }
    }

    pub(crate) async fn execute(&mut self, statement: &Statement<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(of) => Box::pin(sqlite::execute(&mut of.transaction, statement)).await,
            Self::Postgres(of) => Ok(Box::pin(postgres::execute(&mut of.transaction, statement)).await?),
        }
    }

    pub(crate) async fn insert(&mut self, insert: &Insert<'_>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(of) => Box::pin(sqlite::insert(&mut of.transaction, insert)).await,
            Self::Postgres(of) => Ok(Box::pin(postgres::insert(&mut of.transaction, insert)).await?),
        }
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(of) => Box::pin(of.commit()).await,
            Self::Postgres(of) => Ok(Box::pin(of.transaction.commit()).await?),
        }
    }
}
