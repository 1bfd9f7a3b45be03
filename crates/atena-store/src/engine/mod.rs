//! The two engines behind one set of statements: SQLite, embedded, and PostgreSQL.
//!
//! Futures of an engine are boxed here. They take kilobytes, which every future above would hold
//! and move too.

mod batch;
mod batch_text;
mod citus;
mod columns;
mod insert;
mod migrations;
mod neighbours;
mod pooler;
mod postgres;
mod primary;
mod row;
mod sql;
mod sqlite;
mod sqlite_file;

use std::time::Duration;

use crate::error::StoreError;
pub(crate) use batch::{Batch, BatchRow, BatchSql, List, ListOf};
pub(crate) use columns::Kind;
pub(crate) use insert::{Column, Insert};
pub(crate) use neighbours::Spacing;
pub(crate) use pooler::refusal as refusal_of_pooler;
#[cfg(test)]
pub(crate) use postgres::LOCK as POSTGRES_LOCK;
pub(crate) use postgres::PostgresEngine;
use postgres::PostgresTransaction;
pub(crate) use row::{Row, signed};
#[cfg(test)]
pub(crate) use sql::dedented;
pub(crate) use sql::{Sql, Statement, Value};
pub(crate) use sqlite::SqliteEngine;
use sqlite::SqliteTransaction;

/// How long a connection waits for a lock, for the transactions before its own, or for the database
/// to come back.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Says in the trace of a call what a statement did and to how many rows, so that `atena prove` can
/// compare the work of two calls. It says nothing of what is in them.
fn trace_work(what: &'static str, rows: usize) {
    tracing::trace!(name: "db.statement", what, rows);
}

/// An open database.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite(SqliteEngine),
    Postgres(PostgresEngine),
}

/// A transaction.
///
/// After its first failed statement it does nothing more and can't be committed. SQLite may have
/// rolled it back by itself (a full disk), so that the next statement would be durable alone.
/// PostgreSQL would answer a COMMIT with a rollback that the driver takes for success.
pub(crate) struct EngineTransaction {
    open: OpenTransaction,
    failed: bool,
}

enum OpenTransaction {
    Sqlite(SqliteTransaction),
    Postgres(PostgresTransaction),
}

/// Why a transaction does nothing more.
const FAILED: StoreError = StoreError::Unavailable("a statement of the transaction has failed");

// === impl Engine ===

impl Engine {
    /// Every row that a reading statement finds.
    pub(crate) async fn fetch_all(&self, statement: &Statement<'_>) -> Result<Vec<Row>, StoreError> {
        let rows = match self {
            _ if statement.finds_nothing() => return Ok(Vec::new()),
            Self::Sqlite(engine) => Box::pin(engine.fetch_all(statement)).await?,
            Self::Postgres(engine) => Box::pin(engine.fetch_all(statement)).await?,
        };
        trace_work("read", rows.len());
        Ok(rows)
    }

    /// Every row that a reading statement finds, by column.
    pub(crate) async fn fetch_batch(&self, batch: &BatchSql, statement: &Statement<'_>) -> Result<Batch, StoreError> {
        let all = match batch.range_read(statement) {
            Some((range_read, listed)) => batch.read(self.fetch_all(&range_read).await?)?.only(&listed),
            None => batch.read(self.fetch_all(statement).await?),
        }?;
        trace_work("read by column", all.rows().len());
        Ok(all)
    }

    /// The one row that a reading statement finds, if any.
    pub(crate) async fn fetch_optional(&self, statement: &Statement<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(statement).await?.pop())
    }

    /// Begins a transaction that only reads, and reads everything as it was when it first read.
    pub(crate) async fn begin_snapshot(&self) -> Result<EngineTransaction, StoreError> {
        Ok(EngineTransaction::new(match self {
            Self::Sqlite(engine) => OpenTransaction::Sqlite(Box::pin(engine.begin_snapshot()).await?),
            Self::Postgres(engine) => OpenTransaction::Postgres(Box::pin(engine.begin_snapshot()).await?),
        }))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(engine) => engine.close().await,
            Self::Postgres(engine) => engine.close().await,
        }
    }

    /// Begins a transaction that may write. Transactions of one municipality that write run one
    /// after the other: SQLite has one writing connection, and on PostgreSQL each locks the row of
    /// the log's head. So a transaction sees everything that was committed before it.
    pub(crate) async fn begin(&self, municipality: &str) -> Result<EngineTransaction, StoreError> {
        Ok(EngineTransaction::new(match self {
            Self::Sqlite(engine) => OpenTransaction::Sqlite(Box::pin(engine.begin()).await?),
            Self::Postgres(engine) => OpenTransaction::Postgres(Box::pin(engine.begin(municipality)).await?),
        }))
    }
}

// === impl EngineTransaction ===

impl EngineTransaction {
    fn new(open: OpenTransaction) -> Self {
        Self { open, failed: false }
    }

    pub(crate) async fn fetch_all(&mut self, statement: &Statement<'_>) -> Result<Vec<Row>, StoreError> {
        if statement.finds_nothing() {
            return Ok(Vec::new());
        }
        let rows = match self.usable()? {
            OpenTransaction::Sqlite(open) => Box::pin(sqlite::fetch_all(&mut open.transaction, statement)).await,
            OpenTransaction::Postgres(open) => Box::pin(postgres::fetch_all(&mut open.transaction, statement)).await,
        };
        let rows = self.remember(rows)?;
        trace_work("read", rows.len());
        Ok(rows)
    }

    pub(crate) async fn fetch_batch(
        &mut self,
        batch: &BatchSql,
        statement: &Statement<'_>,
    ) -> Result<Batch, StoreError> {
        let all = match batch.range_read(statement) {
            Some((range_read, listed)) => batch.read(self.fetch_all(&range_read).await?)?.only(&listed),
            None => batch.read(self.fetch_all(statement).await?),
        }?;
        trace_work("read by column", all.rows().len());
        Ok(all)
    }

    pub(crate) async fn fetch_optional(&mut self, statement: &Statement<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(statement).await?.pop())
    }

    /// The one row of a statement that always has one.
    pub(crate) async fn fetch_one(&mut self, statement: &Statement<'_>) -> Result<Row, StoreError> {
        self.fetch_optional(statement).await?.ok_or(StoreError::Unavailable("a statement had no answer"))
    }

    /// Every row that a reading statement finds. The statement was made at run time, from names of
    /// tables and columns.
    pub(crate) async fn fetch_page(&mut self, sql: String, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        let rows = match self.usable()? {
            OpenTransaction::Sqlite(open) => Box::pin(sqlite::fetch_page(&mut open.transaction, sql, values)).await,
            OpenTransaction::Postgres(open) => Box::pin(postgres::fetch_page(&mut open.transaction, sql, values)).await,
        };
        self.remember(rows)
    }

    pub(crate) async fn execute(&mut self, statement: &Statement<'_>) -> Result<(), StoreError> {
        let done = match self.usable()? {
            OpenTransaction::Sqlite(open) => Box::pin(sqlite::execute(&mut open.transaction, statement)).await,
            OpenTransaction::Postgres(open) => Box::pin(postgres::execute(&mut open.transaction, statement)).await,
        };
        self.remember(done)?;
        trace_work("execute", 0);
        Ok(())
    }

    pub(crate) async fn insert(&mut self, insert: &Insert<'_>) -> Result<(), StoreError> {
        let done = match self.usable()? {
            OpenTransaction::Sqlite(open) => Box::pin(sqlite::insert(&mut open.transaction, insert)).await,
            OpenTransaction::Postgres(open) => Box::pin(postgres::insert(&mut open.transaction, insert)).await,
        };
        self.remember(done)?;
        trace_work("insert", insert.rows);
        Ok(())
    }

    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.usable()?;
        match self.open {
            OpenTransaction::Sqlite(open) => Box::pin(open.commit()).await,
            OpenTransaction::Postgres(open) => Ok(Box::pin(open.transaction.commit()).await?),
        }
    }

    /// A transaction in which a statement failed does nothing more.
    fn usable(&mut self) -> Result<&mut OpenTransaction, StoreError> {
        if self.failed { Err(FAILED) } else { Ok(&mut self.open) }
    }

    /// Remembers that a statement failed.
    fn remember<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        self.failed |= result.is_err();
        Ok(result?)
    }
}
