//! Recognises what stands between the gateway and PostgreSQL and shares server sessions among its
//! clients.
//!
//! A transaction pooler (PgBouncer with `pool_mode = transaction`, PgCat, Odyssey) gives each
//! transaction another session. Then prepared statements are missing, and the settings that every
//! session asks for are lost: a gateway that vanished would keep its place among the writers. One
//! that keeps a session for each client, with the settings in force, is as good as the server.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::error::StoreError;

/// What to do about it.
const REMEDY: &str =
    "database_url must name PostgreSQL itself; the gateway keeps a pool of its own (database_connections_max)";

const SHARED: &str =
    "a transaction pooler (such as PgBouncer with pool_mode = transaction) gives each transaction another session";

/// How long the sessions may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Prepared statements that are missing, or there already, in a session that should be ours.
const PREPARED_ELSEWHERE: [&str; 2] = ["26000", "42P05"];

/// What an error says about a pooler, if it does.
pub(crate) fn refusal(error: &sqlx::Error) -> Option<StoreError> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    let what = if error.message().contains("statement pooling mode") {
        "a connection pooler (PgBouncer with pool_mode = statement) takes no transactions"
    } else if error.message().contains("unsupported startup parameter") {
        "a connection pooler (PgBouncer) refuses the settings that every session needs"
    } else if error.message().contains("RDS Proxy") {
        "a connection pooler (RDS Proxy) refuses the settings that every session needs"
    } else if PREPARED_ELSEWHERE.contains(&error.code()) {
        SHARED
    } else {
        return None;
    };
    Some(StoreError::Open(format!("{what}: {REMEDY}")))
}

/// Refuses a server behind a pooler that gives each transaction another session, or drops the
/// settings of a session.
pub(super) async fn refuse(server: &PgConnectOptions, session: &[(&str, &str)]) -> Result<(), StoreError> {
    let (is_shared, lost) = match tokio::time::timeout(ANSWER_MAX, look_at(server, session)).await {
        Ok(seen) => seen?,
        Err(_) => {
            return Err(StoreError::Unavailable(
                "three sessions could not be opened at once: does a pooler limit them?",
            ));
        }
    };
    if is_shared {
        return Err(StoreError::Open(format!("{SHARED}: {REMEDY}")));
    }
    let Some(lost) = lost else { return Ok(()) };
    Err(StoreError::Open(format!(
        "a connection pooler (such as PgBouncer with ignore_startup_parameters) dropped the setting {lost} of the session: \
         {REMEDY}"
    )))
}

/// Whether sessions are shared, and a setting that got lost.
async fn look_at(server: &PgConnectOptions, session: &[(&str, &str)]) -> Result<(bool, Option<String>), sqlx::Error> {
    // Three clients, one after the other: a pooler that shares sessions gives one of them the
    // session of another.
    let mut first = server.connect().await?;
    let own = session_of(&mut first).await?;
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = server.connect().await?;
        // It keeps its session in a transaction while the first one asks again.
        sqlx::raw_sql("BEGIN").execute(&mut other).await?;
        if session_of(&mut other).await? == own || session_of(&mut first).await? != own {
            return Ok((true, None));
        }
        others.push(other);
    }
    let lost = lost_setting(&mut first, session).await?;
    for connection in others.into_iter().chain([first]) {
        connection.close().await?;
    }
    Ok((false, lost))
}

/// The server's process that answers. Not prepared: what is prepared may be missing in the next
/// session.
async fn session_of(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}

/// A setting that the session was started with and does not have.
async fn lost_setting(connection: &mut PgConnection, session: &[(&str, &str)]) -> Result<Option<String>, sqlx::Error> {
    const NOW: &str = "SELECT name, current_setting(name), source = 'client' FROM pg_settings";
    for row in sqlx::raw_sql(NOW).fetch_all(connection).await? {
        let (name, now, is_ours): (&str, &str, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let asked = session.iter().find(|(asked, _)| *asked == name).filter(|(_, value)| *value != now);
        // Over a socket of its own machine the server shows no keepalives.
        if let Some((_, value)) = asked.filter(|_| !is_ours && !name.starts_with("tcp_")) {
            return Ok(Some(format!("{name} = {value} (it is {now})")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
