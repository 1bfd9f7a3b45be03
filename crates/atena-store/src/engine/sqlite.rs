//! SQLite: one file, one writer, write-ahead log.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Sqlite, SqliteConnection, Transaction};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::WAIT_MAX;
use super::insert::{Column, Insert};
use super::row::Row;
use super::sql::{Statement, Value, json_blobs, json_integers, json_texts};
use super::sqlite_file;
use crate::error::StoreError;

/// Connections that read at the same time: as many as there are processors, within these bounds.
/// Each keeps a thread, pages and what its allocator holds for it: a few MiB.
const READERS_MIN: usize = 4;
const READERS_MAX: usize = 8;

/// Pages that the writing connection keeps: 8 MiB (negative: in KiB). A pull fills them once with
/// what it writes into the log.
const WRITER_CACHE: &str = "-8192";

/// Pages that each reading connection keeps: 1 MiB. Every commit empties them, and emptying more
/// takes longer.
const READER_CACHE: &str = "-1024";

/// Rows that SQLite's thread may read ahead. A page of a pull fits, so that it takes one round trip
/// between threads.
const ROWS_WAITING_MAX: usize = 1024;

/// How long commits gather in the write-ahead log before they are written back together. When the
/// log is full, a commit has to write back the rest while all others wait. In a large town all
/// pages of changes differ: those of one second take a sixth of a second to write back.
const WRITE_BACK_AFTER: Duration = Duration::from_millis(200);

/// SQLite does not wait for another connection that writes back, so it is asked again.
const TRUNCATE_AGAIN: Duration = Duration::from_millis(20);

/// A database file.
#[derive(Clone)]
pub(crate) struct SqliteEngine {
    readers: SqlitePool,
    /// One connection: SQLite has one writer, and the pool's queue is fairer than SQLite's lock.
    writer: SqlitePool,
    /// One connection, opened when there is something to write back.
    write_back: SqlitePool,
    committed: Arc<Notify>,
    writing_back: Arc<AbortOnDropHandle<()>>,
}

/// A transaction on one of its connections.
pub(crate) struct SqliteTransaction {
    pub(super) transaction: Transaction<'static, Sqlite>,
    /// Notified of its commit.
    committed: Arc<Notify>,
}

// === impl SqliteEngine ===

impl SqliteEngine {
    /// Opens a file, creating it with mode 0600 and migrating it as needed. Its path is taken as it
    /// is, never as a URL.
    pub(crate) async fn open(file: &Path) -> Result<Self, StoreError> {
        let file = sqlite_file::examine(file)?;
        create_for_owner_alone(&file).map_err(|error| sqlite_file::unusable(&file, &error))?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT_MAX)
            .pragma("secure_delete", "ON")
            // 128 MiB: a connection of its own writes back before.
            .pragma("wal_autocheckpoint", "32000")
            .pragma("trusted_schema", "OFF")
            .pragma("temp_store", "MEMORY")
            .row_buffer_size(ROWS_WAITING_MAX)
            .disable_statement_logging();
        let opened = |error: sqlx::Error| sqlite_file::not_opened(&file, error);
        let writer =
            pool_options(1).connect_with(options.clone().pragma("cache_size", WRITER_CACHE)).await.map_err(opened)?;
        let migrated = sqlx::migrate!("./migrations/sqlite").run(&writer).await;
        migrated.map_err(|error| sqlite_file::not_migrated(&file, error))?;
        let write_back = pool_options(1).connect_lazy_with(options.clone());
        let readers = pool_options(readers_max())
            .connect_with(options.pragma("query_only", "ON").pragma("cache_size", READER_CACHE))
            .await
            .map_err(opened)?;
        let committed = Arc::new(Notify::new());
        let writing_back = tokio::spawn(write_back_after_commits(write_back.clone(), Arc::clone(&committed)));
        let writing_back = Arc::new(AbortOnDropHandle::new(writing_back));
        Ok(Self { readers, writer, write_back, committed, writing_back })
    }

    pub(super) async fn fetch_all(&self, statement: &Statement<'_>) -> Result<Vec<Row>, StoreError> {
        Ok(fetch_all(&mut *self.readers.acquire().await?, statement).await?)
    }

    pub(super) async fn begin(&self) -> Result<SqliteTransaction, StoreError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(SqliteTransaction { transaction, committed: Arc::clone(&self.committed) })
    }

    pub(super) async fn begin_snapshot(&self) -> Result<SqliteTransaction, StoreError> {
        Ok(SqliteTransaction { transaction: self.readers.begin().await?, committed: Arc::clone(&self.committed) })
    }

    /// Empties the write-ahead log into the database, so that nothing erased stays in it; waits for
    /// connections that still read from it, and for one that is writing it back, here or in another
    /// process.
    pub(crate) async fn truncate_wal(&self) -> Result<(), StoreError> {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let (busy, _, _): (i64, i64, i64) =
                sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await?;
            if busy == 0 {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(StoreError::Unavailable("the write-ahead log is read all the time"));
            }
            tokio::time::sleep(TRUNCATE_AGAIN).await;
        }
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writing_back.abort();
        self.write_back.close().await;
        if let Err(error) = self.truncate_wal().await {
            tracing::warn!(%error, "the write-ahead log was not emptied; the next start does it");
        }
        self.writer.close().await;
    }
}

// === impl SqliteTransaction ===

impl SqliteTransaction {
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await?;
        self.committed.notify_one();
        Ok(())
    }
}

/// Background task: writes commits from the write-ahead log back into the database. A commit that
/// had to do it would make all others wait, for a tenth of a second at full speed. A page that many
/// commits change is written once for all of them.
async fn write_back_after_commits(write_back: SqlitePool, committed: Arc<Notify>) {
    loop {
        committed.notified().await;
        tokio::time::sleep(WRITE_BACK_AFTER).await;
        // Where it fails or another connection is in its way, the log grows on, and the writing
        // connection writes it back when it is full.
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&write_back).await {
            tracing::warn!(%error, "the write-ahead log could not be written back");
        }
    }
}

pub(super) async fn fetch_all(
    connection: &mut SqliteConnection,
    statement: &Statement<'_>,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = query(statement).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

pub(super) async fn fetch_page(
    connection: &mut SqliteConnection,
    sql: String,
    values: &[Value<'_>],
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = bound(sqlx::query(AssertSqlSafe(sql)), values).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

pub(super) async fn execute(connection: &mut SqliteConnection, statement: &Statement<'_>) -> Result<(), sqlx::Error> {
    query(statement).execute(connection).await?;
    Ok(())
}

pub(super) async fn insert(connection: &mut SqliteConnection, insert: &Insert<'_>) -> Result<(), sqlx::Error> {
    let mut from = 0;
    let mut prepared: Option<(usize, Arc<str>)> = None;
    while from < insert.rows {
        let rows = Insert::rows_of_statement(insert.rows - from);
        let sql = match prepared {
            Some((of, sql)) if of == rows => sql,
            _ => insert.sqlite(rows).into(),
        };
        // Names of tables and columns are ours; every value is bound.
        let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&sql)));
        prepared = Some((rows, sql));
        for row in from..from + rows {
            let filled = row < insert.rows;
            query = query.bind(filled.then_some(1));
            for column in &insert.columns {
                query = match column {
                    Column::SameText(_) | Column::SameInteger(_) => query,
                    _ if !filled => query.bind(None::<i64>),
                    Column::Text(values) => query.bind(values[row]),
                    Column::MaybeText(values) => query.bind(values[row].as_deref()),
                    Column::Integer(values) => query.bind(values[row]),
                    Column::Bytes(values) => query.bind(values[row]),
                };
            }
        }
        query = query.bind(insert.municipality);
        for column in &insert.columns {
            query = match column {
                Column::SameText(value) => query.bind(*value),
                Column::SameInteger(value) => query.bind(*value),
                Column::Text(_) | Column::MaybeText(_) | Column::Integer(_) | Column::Bytes(_) => query,
            };
        }
        query.execute(&mut *connection).await?;
        from += rows;
    }
    Ok(())
}

fn query<'q>(statement: &Statement<'q>) -> Query<'q, Sqlite, SqliteArguments> {
    bound(sqlx::query(statement.sql.sqlite), &statement.values)
}

fn bound<'q>(
    mut query: Query<'q, Sqlite, SqliteArguments>,
    values: &[Value<'q>],
) -> Query<'q, Sqlite, SqliteArguments> {
    for value in values {
        query = match value {
            Value::Text(value) => query.bind(*value),
            Value::MaybeText(value) => query.bind(*value),
            Value::Integer(value) => query.bind(*value),
            Value::Bytes(value) => query.bind(*value),
            Value::Texts(values) => query.bind(json_texts(values)),
            Value::Blobs(values) => query.bind(json_blobs(values)),
            Value::Integers(values) => query.bind(json_integers(values)),
        };
    }
    query
}

/// A pool whose connections are replaced when they are left inside a transaction.
///
/// SQLite rolls a transaction back by itself when the disk is full, when it can't read or write,
/// and when memory runs out. The driver still counts it as open, and its own ROLLBACK then fails.
/// Such a connection would refuse every later BEGIN.
fn pool_options(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(WAIT_MAX)
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_outside_transaction(connection)))
}

/// Whether a connection may be used again.
async fn is_outside_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The ROLLBACK of a dropped transaction may still wait in the connection's queue; the ping
        // waits behind it.
        connection.ping().await?;
    }
    let outside = !connection.is_in_transaction();
    if !outside {
        tracing::warn!("a transaction could not be rolled back; its database connection is replaced");
    }
    Ok(outside)
}

fn readers_max() -> u32 {
    let processors = std::thread::available_parallelism().map_or(READERS_MIN, std::num::NonZero::get);
    u32::try_from(processors.clamp(READERS_MIN, READERS_MAX)).unwrap_or(u32::MAX)
}

/// Creates the file for its owner alone, whatever the umask; SQLite gives its journal the same
/// mode.
fn create_for_owner_alone(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Engine, Sql};
    use super::*;

    async fn database() -> SqlitePool {
        SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap()
    }

    /// Set in `.cargo/config.toml`, for whatever is built in this workspace.
    #[tokio::test]
    async fn connections_do_not_share_a_page_cache() {
        let shared: i64 = sqlx::query_scalar("SELECT sqlite_compileoption_used('ENABLE_MEMORY_MANAGEMENT')")
            .fetch_one(&database().await)
            .await
            .unwrap();
        assert_eq!(shared, 0);
    }

    /// acknowledged-is-durable: SQLite ends the transaction by itself when the file may not grow.
    /// Nothing of it stays, it can't be committed, and the next transaction works on a new
    /// connection.
    #[tokio::test]
    async fn a_connection_that_could_not_roll_back_is_replaced() {
        const ADD: Sql = Sql::same("INSERT INTO number_sequence (municipality_code, next_body) VALUES ($1, $2)");
        const GROW: Sql = Sql::same(
            "INSERT INTO key_state (municipality_code, wrapping_id, index_versions)
            VALUES ($1, $2, hex(zeroblob(1000000)))",
        );
        const COUNT: Sql = Sql::same("SELECT count(*) FROM number_sequence");
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteEngine::open(&folder.path().join("atena.db")).await.unwrap();
        let engine = Engine::Sqlite(sqlite.clone());
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&sqlite.writer).await.unwrap();
        let limit = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(AssertSqlSafe(limit)).execute(&sqlite.writer).await.unwrap();

        let add = Statement::about("132098", ADD).integer(1);
        let mut full = engine.begin("132098").await.unwrap();
        full.execute(&add).await.unwrap();
        let refused = full.execute(&Statement::about("132098", GROW).text("1")).await.unwrap_err();
        assert!(refused.to_string().contains("SQLite 13: database or disk is full"), "{refused}");
        full.execute(&add).await.unwrap_err();
        full.commit().await.unwrap_err();
        let count = async || engine.fetch_all(&Statement::about_all(COUNT)).await.unwrap()[0].integer(0).unwrap();
        assert_eq!(count().await, 0);

        // There is room again: the new connection has no limit.
        let mut again = engine.begin("132098").await.unwrap();
        again.execute(&add).await.unwrap();
        again.execute(&Statement::about("132098", GROW).text("1")).await.unwrap();
        again.commit().await.unwrap();
        assert_eq!(count().await, 1);
    }

    #[tokio::test]
    async fn personal_numbers_of_a_database_before_are_kept() {
        let database = database().await;
        for schema in [
            include_str!("../../migrations/sqlite/0001_schema.sql"),
            include_str!("../../migrations/sqlite/0002_key_state.sql"),
            "INSERT INTO personal_number VALUES ('132098', randomblob(32), '000000000000019', 1, x'01', NULL, 0, 2), \
                ('132098', randomblob(32), '000000000000027', 2, x'02', '2025-04-01', 7, 1), \
                ('132098', randomblob(32), '000000000000027', 3, x'03', NULL, 0, 1)",
            "CREATE TABLE before AS SELECT * FROM personal_number",
            include_str!("../../migrations/sqlite/0007_personal_number.sql"),
        ] {
            sqlx::raw_sql(schema).execute(&database).await.unwrap();
        }
        let count = async |what: &'static str| -> i64 { sqlx::query_scalar(what).fetch_one(&database).await.unwrap() };
        let common = "SELECT count(*) FROM (SELECT * FROM before INTERSECT SELECT * FROM personal_number)";
        assert_eq!((count(common).await, count("SELECT count(*) FROM personal_number").await), (3, 3));
        // One number, one person; one current number of a person.
        for again in ["SET blind_index = (SELECT max(blind_index) FROM before)", "SET superseded_at = 0"] {
            let again = format!("UPDATE personal_number {again} WHERE unified_address_number = '000000000000027'");
            assert!(sqlx::raw_sql(AssertSqlSafe(again)).execute(&database).await.is_err());
        }
    }
}
