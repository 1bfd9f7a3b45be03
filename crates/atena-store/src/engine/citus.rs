//! The workers of a Citus cluster: what a gateway asks of its server holds for them as well.
//!
//! A session's settings stay on the server that it is of. The coordinator's own sessions on the
//! workers have those of the role (`deploy/citus/distribute.sql`).

use sqlx::Row as _;
use sqlx::postgres::PgPool;

use crate::error::StoreError;

/// Whether this server belongs to a Citus cluster.
pub(super) const IS_CITUS: &str = "SELECT to_regclass('pg_dist_partition') IS NOT NULL";

/// Asks every worker for the settings that decide whether a commit is durable, and for the lock
/// timeout, as names and values.
const WORKERS: &str = "SELECT nodename || ':' || nodeport, success, result FROM run_command_on_workers($$SELECT \
    string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings \
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'lock_timeout')$$)";

/// Refuses a cluster with a worker on which "committed" would not mean "durable".
pub(super) async fn check_workers(pool: &PgPool, durable: &[(&str, &str)]) -> Result<(), StoreError> {
    if !sqlx::query_scalar::<_, bool>(IS_CITUS).fetch_one(pool).await? {
        return Ok(());
    }
    let rows = match sqlx::query(WORKERS).fetch_all(pool).await {
        Err(error @ sqlx::Error::Database(_)) => {
            let error = StoreError::from(error);
            tracing::warn!(%error, "the workers of Citus could not be asked for their settings: check them by hand");
            return Ok(());
        }
        rows => rows?,
    };
    for row in &rows {
        let (worker, success, settings): (&str, bool, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if !success {
            // Municipalities of the others are served while one is away.
            tracing::warn!(worker, "a worker of Citus does not answer: its settings could not be checked");
            continue;
        }
        if let Some(setting) = undurable(settings, durable) {
            return Err(StoreError::Open(format!(
                "{setting} on the Citus worker {worker}: what is acknowledged would not be durable"
            )));
        }
        if settings.split(' ').any(|setting| setting == "lock_timeout=0") {
            tracing::warn!(
                worker,
                "the role's sessions on this worker of Citus have no lock_timeout: ALTER ROLE … SET, see deploy/citus/distribute.sql"
            );
        }
    }
    Ok(())
}

/// A setting under which a commit is not durable, as `name is value`.
fn undurable(settings: &str, durable: &[(&str, &str)]) -> Option<String> {
    let off =
        settings.split(' ').filter_map(|setting| setting.split_once('=')).find(|setting| durable.contains(setting));
    off.map(|(name, value)| format!("{name} is {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledged_is_durable_on_every_worker() {
        let must_not = [("fsync", "off"), ("synchronous_commit", "off")];
        assert_eq!(undurable("fsync=on lock_timeout=10000 synchronous_commit=on", &must_not), None);
        let off = undurable("fsync=on full_page_writes=on synchronous_commit=off", &must_not);
        assert_eq!(off.as_deref(), Some("synchronous_commit is off"));
    }
}
