//! The server of PostgreSQL that takes writes, one of several: lost, looked for, and found again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::error::StoreError;

/// How long one server may take to let us in before the next one is asked.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Between two looks for a server that takes writes.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Primary {
    pub(super) pool: PgPool,
    servers: Vec<PgConnectOptions>,
    /// When the pool was last pointed at a server that takes writes. Older connections are not used
    /// again.
    found: Arc<Mutex<Instant>>,
    looking: tokio::sync::Mutex<Look>,
}

/// The last look for a server that takes writes.
struct Look {
    at: Instant,
    /// The server that was found, and when it was started.
    found: Option<(usize, String)>,
    /// When the last look began that found none.
    failed: Option<Instant>,
}

/// What was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// The connection, or the server.
    Connection,
    /// Something behind the server, which answered: a worker of Citus.
    BehindServer,
}

// === impl Primary ===

impl Primary {
    /// The first of `servers`, until one was looked for.
    pub(super) fn new(servers: Vec<PgConnectOptions>, options: PgPoolOptions) -> Self {
        let first = servers.first().cloned().unwrap_or_default();
        let found = Arc::new(Mutex::new(Instant::now()));
        let still_good = Arc::clone(&found);
        let pool = options
            .before_acquire(move |_, connection| {
                let since = still_good.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                Box::pin(async move { Ok(connection.age <= since) })
            })
            .connect_lazy_with(first);
        let never = Look { at: Instant::now(), found: None, failed: None };
        Self { pool, servers, found, looking: tokio::sync::Mutex::new(never) }
    }

    /// Waits until it is worth trying again; the error, if it is not an outage or has lasted too
    /// long.
    pub(super) async fn wait_out(
        &self,
        error: sqlx::Error,
        started: Instant,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let Some(outage) = outage(&error).filter(|_| started < deadline) else { return Err(error.into()) };
        let error = StoreError::from(error);
        tracing::warn!(%error, "the database was lost; trying again");
        if !matches!(self.look(started, outage).await, Ok(true)) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Looks for the server that takes writes, unless one was looked for after `lost`. Returns
    /// whether new connections are better than those before. They are not where the server is the
    /// one in use and lost something behind it.
    pub(super) async fn look(&self, lost: Instant, outage: Outage) -> Result<bool, StoreError> {
        let mut last = self.looking.lock().await;
        let mut cause = StoreError::Unavailable("no server was asked");
        if last.at > lost && last.found.is_some() {
            return Ok(*self.found.lock().unwrap_or_else(PoisonError::into_inner) > lost);
        }
        // Calls that wait here share one failed look: each look may take seconds.
        if last.failed.is_some_and(|began| began > lost) {
            return Err(StoreError::Unavailable("no server that takes writes was found"));
        }
        let began = Instant::now();
        for (place, server) in self.servers.iter().enumerate() {
            match tokio::time::timeout(CONNECT_MAX, takes_writes(server)).await {
                Ok(Ok((true, started))) => {
                    let found = Some((place, started));
                    let is_in_use = outage == Outage::BehindServer && last.found == found;
                    *last = Look { at: Instant::now(), found, failed: None };
                    if !is_in_use {
                        self.pool.set_connect_options(server.clone());
                        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    }
                    return Ok(!is_in_use);
                }
                Ok(Ok((false, _))) => cause = StoreError::Unavailable("every server that answers is a standby"),
                Ok(Err(error)) => {
                    cause = error.into();
                    tracing::warn!(host = server.get_host(), port = server.get_port(), error = %cause, "a database server does not answer");
                    if matches!(cause, StoreError::Open(_)) {
                        break;
                    }
                }
                Err(_) => cause = StoreError::Unavailable("the server does not answer"),
            }
        }
        last.failed = Some(began);
        Err(cause)
    }
}

/// Whether a server takes writes, and when it was started.
async fn takes_writes(server: &PgConnectOptions) -> Result<(bool, String), sqlx::Error> {
    // Not prepared: a pooler is recognised later.
    const STATE: &str = "SELECT NOT pg_is_in_recovery(), pg_postmaster_start_time()::text";
    let mut connection = server.connect().await?;
    let row = sqlx::raw_sql(STATE).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// What was lost, if anything was and the statement was not refused.
pub(super) fn outage(error: &sqlx::Error) -> Option<Outage> {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::PoolTimedOut => Some(Outage::Connection),
        sqlx::Error::Database(error) => outage_of(&error.code()?, error.message()),
        _ => None,
    }
}

/// What an SQLSTATE and its text say about it.
fn outage_of(sqlstate: &str, text: &str) -> Option<Outage> {
    match sqlstate {
        // The server shuts down, starts, has no connections left, or is a standby now.
        "57P01" | "57P02" | "57P03" | "53300" | "25006" => Some(Outage::Connection),
        // A coordinator of Citus lost a worker, and has no SQLSTATE for most of what it hears from
        // there.
        "XX000" if text.contains("connection") => Some(Outage::BehindServer),
        // The protocol was violated: that does not go away.
        "08P01" => None,
        _ if sqlstate.starts_with("08") => Some(Outage::BehindServer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that takes connections and says nothing costs all waiting calls one look.
    #[tokio::test(flavor = "multi_thread")]
    async fn calls_that_wait_share_a_failed_look() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let server = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
        let primary = Arc::new(Primary::new(vec![server], PgPoolOptions::new()));
        let lost = Instant::now();
        let looks: Vec<_> = (0..4)
            .map(|_| {
                let primary = Arc::clone(&primary);
                tokio::spawn(async move { primary.look(lost, Outage::Connection).await.is_err() })
            })
            .collect();
        for look in looks {
            assert!(look.await.unwrap());
        }
        assert!(lost.elapsed() < 2 * CONNECT_MAX, "{:?}", lost.elapsed());
    }

    #[test]
    fn what_lies_behind_a_server_is_no_reason_to_leave_it() {
        for sqlstate in ["08006", "08001"] {
            assert_eq!(outage_of(sqlstate, "connection to the remote node failed"), Some(Outage::BehindServer));
        }
        let closed = "server closed the connection unexpectedly";
        assert_eq!(outage_of("XX000", closed), Some(Outage::BehindServer));
        assert_eq!(outage_of("XX000", "cache lookup failed for relation 1"), None, "a fault that stays");
        assert_eq!(outage_of("57P01", "terminating connection"), Some(Outage::Connection));
        for sqlstate in ["23505", "40P01", "08P01", "55P03", "53100"] {
            assert_eq!(outage_of(sqlstate, closed), None, "{sqlstate}");
        }
    }
}
