//! PostgreSQL 15 or newer: any number of gateways on one database, which may move to another server
//! while they run.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, Postgres, Row as _, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::insert::{Column, Insert};
use super::primary::{CONNECT_MAX, Outage, Primary, outage};
use super::row::Row;
use super::sql::{Statement, Value};
use super::{WAIT_MAX, citus, migrations, pooler};
use crate::error::StoreError;

/// Rows of one statement, at most. For more the server has to ask for memory anew each time.
const ROWS_OF_STATEMENT: usize = 512;

/// The oldest server that is served, as `server_version_num`.
const VERSION_MIN: i64 = 150_000;

/// Settings of every session. A gateway that vanished must not keep its lock.
///
/// Every statement has its index. A table that has grown since it was last analysed must not be
/// read from end to end instead. Rows come in the order of the index, without a bitmap. Compiling a
/// plan costs more than it saves.
const SESSION: [(&str, &str); 11] = [
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("default_transaction_isolation", "read committed"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_bitmapscan", "off"),
    ("jit", "off"),
];

/// Settings without which what was acknowledged would not be durable, and the values that they must
/// not have.
const DURABLE: [(&str, &str); 3] = [("fsync", "off"), ("full_page_writes", "off"), ("synchronous_commit", "off")];

/// Locks a municipality for the transaction that writes. It is an update and not `FOR UPDATE`:
/// before Citus moves a shard, it waits for transactions that wrote, and not for row locks.
pub(crate) const LOCK: &str = "UPDATE log_head SET size = size WHERE municipality_code = $1 RETURNING size";

/// A database on one of several servers, and perhaps a replica to read from.
#[derive(Clone)]
pub(crate) struct PostgresEngine {
    primary: Arc<Primary>,
    replica: Option<PgPool>,
    reads_replica: bool,
    /// Limits the writers of this process that hold or wait for a lock, so that connections are
    /// left to read with.
    writers: Arc<Semaphore>,
}

/// A transaction. One that may write has locked its municipality.
pub(crate) struct PostgresTransaction {
    pub(super) transaction: Transaction<'static, Postgres>,
    _writer: Option<OwnedSemaphorePermit>,
}

// === impl PostgresEngine ===

impl PostgresEngine {
    /// Opens the database at `url`, which may name several servers
    /// (`postgres://user@one,two/database`): the one that takes writes is used, and looked for
    /// again when it is lost. The tables are migrated as needed.
    pub(crate) async fn open(url: &str, replica: Option<&str>, connections_max: u32) -> Result<Self, StoreError> {
        let servers = servers(url)?;
        let replica = match replica {
            None => None,
            Some(url) => {
                let [server] = <[PgConnectOptions; 1]>::try_from(self::servers(url)?).map_err(|_| {
                    StoreError::Open("database_replica_url must name one server: two are never equally new".to_owned())
                })?;
                Some(options(connections_max).connect_lazy_with(server))
            }
        };
        let primary = Arc::new(Primary::new(servers, options(connections_max)));
        let writers = Arc::new(Semaphore::new(usize::try_from(connections_max / 2).unwrap_or(1).max(1)));
        let engine = Self { primary, replica, reads_replica: false, writers };
        engine.primary.look(Instant::now(), Outage::Connection).await?;
        engine.refuse_poolers().await?;
        engine.check().await?;
        citus::check_workers(&engine.primary.pool, &DURABLE).await?;
        migrations::run(&engine.primary.pool).await?;
        Ok(engine)
    }

    /// Refuses poolers that share sessions, before the primary and before the replica.
    async fn refuse_poolers(&self) -> Result<(), StoreError> {
        pooler::refuse(&self.primary.pool.connect_options(), &SESSION).await?;
        let Some(replica) = &self.replica else { return Ok(()) };
        match pooler::refuse(&replica.connect_options(), &SESSION).await {
            Err(error @ StoreError::Open(_)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the replica does not answer; the primary is read until it does");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Refuses a server on which "committed" would not mean "durable".
    async fn check(&self) -> Result<(), StoreError> {
        const SETTINGS: &str = "SELECT name, setting FROM pg_settings WHERE name = ANY($1)";
        let names = DURABLE.iter().map(|(name, _)| *name).chain(["server_version_num", "server_encoding"]);
        let names: Vec<&str> = names.collect();
        let rows = sqlx::query(SETTINGS).bind(names).fetch_all(&self.primary.pool).await?;
        for row in &rows {
            let (name, setting): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            if DURABLE.contains(&(name, setting)) {
                return Err(StoreError::Open(format!(
                    "{name} is {setting}: what is acknowledged would not be durable"
                )));
            }
            if name == "server_encoding" && setting != "UTF8" {
                return Err(StoreError::Open("the database's encoding must be UTF8".to_owned()));
            }
            if name == "server_version_num" && setting.parse::<i64>().unwrap_or(0) < VERSION_MIN {
                return Err(StoreError::Open("PostgreSQL 15 or newer is needed".to_owned()));
            }
        }
        Ok(())
    }

    /// The same database, read from the replica, if there is one.
    pub(crate) fn replica(&self) -> Option<Self> {
        self.replica.is_some().then(|| Self { reads_replica: true, ..self.clone() })
    }

    /// Reading again harms nothing: after a lost connection the statement is sent again, and only
    /// takes longer.
    pub(super) async fn fetch_all(&self, statement: &Statement<'_>) -> Result<Vec<Row>, StoreError> {
        if let Some(replica) = self.replica.as_ref().filter(|_| self.reads_replica) {
            match read(replica, statement).await {
                Err(error) if outage(&error).is_some() => {
                    let error = StoreError::from(error);
                    tracing::warn!(%error, "the replica can't be read; reading the primary");
                }
                read => return Ok(read?),
            }
        }
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let started = Instant::now();
            let error = match read(&self.primary.pool, statement).await {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            self.primary.wait_out(error, started, deadline).await?;
        }
    }

    /// Begins a transaction that has locked its municipality. Before it has the lock nothing has
    /// happened, so after a lost connection it is begun again.
    pub(super) async fn begin(&self, municipality: &str) -> Result<PostgresTransaction, StoreError> {
        let deadline = Instant::now() + WAIT_MAX;
        let writer = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.writers).acquire_owned()).await;
        let Ok(Ok(writer)) = writer else { return Err(StoreError::Unavailable("too many writers are waiting")) };
        loop {
            let started = Instant::now();
            let locked = async {
                let mut transaction = self.primary.pool.begin().await?;
                sqlx::query(LOCK).bind(municipality).fetch_optional(&mut *transaction).await?;
                Ok(transaction)
            };
            let error = match locked.await {
                Ok(transaction) => return Ok(PostgresTransaction { transaction, _writer: Some(writer) }),
                Err(error) => error,
            };
            self.primary.wait_out(error, started, deadline).await?;
        }
    }

    /// Begins a transaction that reads the primary as it is at its first statement.
    pub(super) async fn begin_snapshot(&self) -> Result<PostgresTransaction, StoreError> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let transaction = self.primary.pool.begin_with(SNAPSHOT).await?;
        Ok(PostgresTransaction { transaction, _writer: None })
    }

    /// Writes tables anew, so that nothing deleted stays in their files.
    pub(crate) async fn rewrite(&self, tables: &[&'static str]) -> Result<(), StoreError> {
        for table in tables {
            sqlx::query(AssertSqlSafe(format!("VACUUM (FULL) {table}"))).execute(&self.primary.pool).await?;
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
        self.primary.pool.close().await;
    }
}

fn options(connections_max: u32) -> PgPoolOptions {
    // A lost connection is noticed by its first statement, which is sent again. Asking first would
    // cost every call a round trip.
    PgPoolOptions::new().max_connections(connections_max).acquire_timeout(CONNECT_MAX).test_before_acquire(false)
}

/// The servers that a URL names.
fn servers(url: &str) -> Result<Vec<PgConnectOptions>, StoreError> {
    let malformed = || StoreError::Open("database_url must be postgres://user@host[:port][,host…]/database".to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(malformed)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    hosts
        .split(',')
        .map(|host| {
            let at = if user.is_empty() { "" } else { "@" };
            let server =
                PgConnectOptions::from_str(&format!("{scheme}://{user}{at}{host}{tail}")).map_err(|_| malformed())?;
            let here = server.get_socket().is_some()
                || ["localhost", "127.0.0.1", "[::1]", "::1"].contains(&server.get_host());
            if !here && !matches!(server.get_ssl_mode(), PgSslMode::VerifyFull | PgSslMode::VerifyCa) {
                return Err(StoreError::Open(
                    "a database on another machine needs ?sslmode=verify-full&sslrootcert=FILE in its URL".to_owned(),
                ));
            }
            Ok(server.application_name("atena").options(SESSION).disable_statement_logging())
        })
        .collect()
}

async fn read(pool: &PgPool, statement: &Statement<'_>) -> Result<Vec<Row>, sqlx::Error> {
    fetch_all(&mut *pool.acquire().await?, statement).await
}

pub(super) async fn fetch_all(
    connection: &mut PgConnection,
    statement: &Statement<'_>,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = query(statement).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

pub(super) async fn fetch_page(
    connection: &mut PgConnection,
    sql: String,
    values: &[Value<'_>],
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = bound(sqlx::query(AssertSqlSafe(sql)), values).fetch_all(connection).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

pub(super) async fn execute(connection: &mut PgConnection, statement: &Statement<'_>) -> Result<(), sqlx::Error> {
    query(statement).execute(connection).await?;
    Ok(())
}

pub(super) async fn insert(connection: &mut PgConnection, insert: &Insert<'_>) -> Result<(), sqlx::Error> {
    if insert.rows == 0 {
        return Ok(());
    }
    if insert.rows == 1 {
        return insert_one(connection, insert).await;
    }
    let sql = insert.postgres();
    // Where all rows are alike, the statement itself says how many there are.
    let all_alike = insert.columns.iter().all(|column| column.len().is_none());
    let at_once = if all_alike { insert.rows } else { ROWS_OF_STATEMENT };
    for start in (0..insert.rows).step_by(at_once) {
        let some = start..insert.rows.min(start + at_once);
        // Names of tables and columns are ours; every value is bound.
        let mut query = sqlx::query(AssertSqlSafe(sql.clone())).bind(insert.municipality);
        for column in &insert.columns {
            query = match column {
                Column::Text(values) => query.bind(values.get(some.clone())),
                Column::MaybeText(values) => query.bind(values.get(some.clone())),
                Column::Integer(values) => query.bind(values.get(some.clone())),
                Column::Bytes(values) => query.bind(values.get(some.clone())),
                Column::SameText(value) => query.bind(*value),
                Column::SameInteger(value) => query.bind(*value),
            };
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// One row by its values. Citus passes it to the shard as it is. An `UNNEST` it copies, and commits
/// in two phases.
async fn insert_one(connection: &mut PgConnection, insert: &Insert<'_>) -> Result<(), sqlx::Error> {
    let mut query = sqlx::query(AssertSqlSafe(insert.postgres_one())).bind(insert.municipality);
    for column in &insert.columns {
        query = match column {
            Column::Text(values) => query.bind(values.first()),
            Column::MaybeText(values) => query.bind(values.first().and_then(Option::as_deref)),
            Column::Integer(values) => query.bind(values.first()),
            Column::Bytes(values) => query.bind(values.first()),
            Column::SameText(value) => query.bind(*value),
            Column::SameInteger(value) => query.bind(*value),
        };
    }
    query.execute(connection).await?;
    Ok(())
}

fn query<'q>(statement: &'q Statement<'_>) -> Query<'q, Postgres, PgArguments> {
    bound(sqlx::query(statement.sql.postgres), &statement.values)
}

fn bound<'q>(mut query: Query<'q, Postgres, PgArguments>, values: &'q [Value<'_>]) -> Query<'q, Postgres, PgArguments> {
    for value in values {
        query = match value {
            Value::Text(value) => query.bind(*value),
            Value::MaybeText(value) => query.bind(*value),
            Value::Integer(value) => query.bind(*value),
            Value::Bytes(value) => query.bind(*value),
            Value::Texts(values) => query.bind(values),
            Value::Blobs(values) => query.bind(values),
            Value::Integers(values) => query.bind(values),
        };
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_name_several_servers() {
        let servers = servers("postgres://atena@localhost:1,127.0.0.1:2/town").unwrap();
        let places: Vec<_> = servers.iter().map(|server| (server.get_host(), server.get_port())).collect();
        assert_eq!(places, [("localhost", 1), ("127.0.0.1", 2)]);
        assert!(servers.iter().all(|server| server.get_database() == Some("town") && server.get_username() == "atena"));
    }

    #[test]
    fn personal_data_does_not_cross_the_network_in_the_clear() {
        for refused in ["postgres://db.example/town", "postgres://localhost,db.example/town?sslmode=require"] {
            assert!(servers(refused).err().unwrap().to_string().contains("sslmode=verify-full"), "{refused}");
        }
        assert!(servers("postgres://db.example/town?sslmode=verify-full").is_ok());
        assert!(servers("postgres:///town?host=/run/postgresql").is_ok());
        assert!(servers("nonsense").is_err());
    }
}
