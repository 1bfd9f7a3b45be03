//! Bare SQLite and PostgreSQL through sqlx: what the gateway is compared with.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, PgConnection, QueryBuilder, Row as _};
use tokio_stream::StreamExt as _;

const ROWS_OF_STATEMENT: u64 = 64;
const ROWS_OF_TRANSACTION: u64 = 512;

async fn pool(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

/// Inserts rows of 300 bytes, 64 to a statement and 512 to a transaction.
pub(crate) async fn insert(rows: u64) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder.path().join("bare.db")).await;
    sqlx::query("CREATE TABLE record (id INTEGER PRIMARY KEY, body BLOB)").execute(&pool).await.unwrap();
    let body = vec![7_u8; 300];
    let started = Instant::now();
    let mut done = 0;
    while done < rows {
        let mut transaction = pool.begin().await.unwrap();
        let end = rows.min(done + ROWS_OF_TRANSACTION);
        while done < end {
            let to = end.min(done + ROWS_OF_STATEMENT);
            let mut query = QueryBuilder::new("INSERT INTO record ");
            query.push_values(done..to, |mut row, id| {
                row.push_bind(i64::try_from(id).unwrap()).push_bind(body.as_slice());
            });
            query.build().execute(&mut *transaction).await.unwrap();
            done = to;
        }
        transaction.commit().await.unwrap();
    }
    started.elapsed()
}

/// The rows that a full pull reads, in order.
const SCAN: &str = "SELECT record_key, revision, sealed FROM record \
    ORDER BY municipality_code, unified_address_number, dataset, record_key";

/// Times that rows are scanned, of which the fastest counts, as of two pulls the faster does: one scan of a small town takes less than a tenth of
/// a second.
const SCANS: u32 = 3;

/// The fastest scan on a connection of either engine, whose rows are of different types.
macro_rules! fastest_scan {
    ($connection:expr, $rows:expr) => {{
        let mut fastest = Duration::MAX;
        for _ in 0..SCANS {
            let started = Instant::now();
            let mut stream = sqlx::query(SCAN).fetch($connection);
            let mut read = 0;
            while let Some(row) = stream.next().await {
                let row = row.unwrap();
                std::hint::black_box((row.get::<&str, _>(0).len(), row.get::<i64, _>(1), row.get::<&[u8], _>(2).len()));
                read += 1;
            }
            assert_eq!(read, $rows);
            fastest = fastest.min(started.elapsed());
        }
        fastest
    }};
}

/// Reads the very rows that a full pull reads, in order, without doing anything with them.
pub(crate) async fn scan(database: &Path, rows: u64) -> Duration {
    let pool = pool(database).await;
    fastest_scan!(&pool, rows)
}

/// Inserts rows of 300 bytes into PostgreSQL, by `UNNEST` of 500, each a transaction.
pub(crate) async fn insert_postgres(url: &str, rows: u64) -> Duration {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query("CREATE TABLE bare (id bigint PRIMARY KEY, body bytea)").execute(&mut connection).await.unwrap();
    let bodies = vec![vec![7_u8; 300]; 500];
    let started = Instant::now();
    let mut done = 0;
    while done < rows {
        let end = rows.min(done + 500);
        let ids: Vec<i64> = (done..end).map(|id| i64::try_from(id).unwrap()).collect();
        sqlx::query("INSERT INTO bare SELECT * FROM UNNEST($1::bigint[], $2::bytea[])")
            .bind(&ids)
            .bind(&bodies[..ids.len()])
            .execute(&mut connection)
            .await
            .unwrap();
        done = end;
    }
    let took = started.elapsed();
    sqlx::query("DROP TABLE bare").execute(&mut connection).await.unwrap();
    took
}

/// As [`scan`], on PostgreSQL.
pub(crate) async fn scan_postgres(url: &str, rows: u64) -> Duration {
    let mut connection = PgConnection::connect(url).await.unwrap();
    fastest_scan!(&mut connection, rows)
}
