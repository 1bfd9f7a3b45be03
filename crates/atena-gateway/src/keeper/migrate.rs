//! Moving municipalities from one database to another, of either engine.

use atena_domain::MunicipalityCode;
use std::sync::Arc;

use atena_store::{CopyError, Database, Log, Part, Store, StoreError, StoreOptions};
use atena_vault::Vault;

use crate::admin::{Action, Actor, AdminError, AdminLog, Begun};
use crate::config::Config;
use crate::gateway::GatewayError;
use crate::load::policy_of;
use crate::log::SignError;
use crate::log::freshness;

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Whose.
    pub municipality_code: String,
    /// Rows, in all tables.
    pub rows: u64,
    /// Leaves of the log.
    pub log_size: u64,
    /// Root of the log, base64; the same in both databases.
    pub log_root: String,
}

/// Why something was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A database can't be used.
    #[error("the database to migrate {which} can't be used: {source}")]
    Database {
        /// "from" or "to".
        which: &'static str,
        /// Why.
        source: StoreError,
    },
    /// Both are the same.
    #[error("both databases are the same")]
    Same,
    /// There is nothing to move.
    #[error("there is no municipality in the database to migrate from; is it the right one?")]
    Nothing,
    /// The copy of one municipality was not made; those before it were.
    #[error("municipality {municipality_code} was not moved: {source}")]
    Copy {
        /// Whose.
        municipality_code: String,
        /// Why.
        source: CopyError,
    },
    /// The move of a municipality can't be recorded without its keys.
    #[error(
        "municipality {municipality_code} is in the database, and its home is not here: its keys are needed to record the move"
    )]
    NoHome {
        /// Whose.
        municipality_code: String,
    },
    /// A home can't be used.
    #[error(transparent)]
    Home(#[from] GatewayError),
    /// The admin log.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The admin log, in the database that is being filled.
    #[error("the admin log can't be written, so nothing was moved: {0}")]
    Sign(#[from] SignError),
    /// Somebody wrote meanwhile.
    #[error("municipality {municipality_code} was not moved: its gateway went on writing. Stop it, and migrate again")]
    Grown {
        /// Whose.
        municipality_code: String,
    },
}

/// Copies every municipality of the database `from` into the database `to`, which must have nothing of it; each in one transaction that
/// commits once as many rows arrived as were sent and their logs have the same roots. Gateways must not write meanwhile. `homes` are the settings
/// of each: its admin log has the beginning in both databases, and the end in the new one alone, where it goes on. `progress` is told whose,
/// rows done and rows in all.
///
/// # Errors
/// [`MigrateError`]; what was moved before stays.
pub async fn migrate(
    from: &str,
    to: &str,
    homes: &[Config],
    actor: &Actor,
    mut progress: impl FnMut(&str, u64, u64),
) -> Result<Vec<Moved>, MigrateError> {
    if from == to {
        return Err(MigrateError::Same);
    }
    let (from, to) = (StoreOptions::new(from), StoreOptions::new(to));
    if from.sqlite_file().is_some_and(|file| !file.exists()) {
        return Err(MigrateError::Nothing);
    }
    let source = Database::open(&from).await.map_err(of("from"))?;
    let target = Database::open(&to).await.map_err(of("to"))?;
    let municipalities = source.municipalities().await.map_err(of("from"))?;
    if municipalities.is_empty() {
        return Err(MigrateError::Nothing);
    }
    // All or none can be recorded, before the first is moved.
    let mut movers = Vec::new();
    for municipality in municipalities {
        let store = source.of(municipality.clone()).await.map_err(of("from"))?;
        // Asked before the move is recorded: one that was moved already must not go on here.
        if target.of(municipality.clone()).await.map_err(of("to"))?.log_size().await.map_err(of("to"))? > 0 {
            let municipality_code = municipality.as_str().to_owned();
            return Err(MigrateError::Copy { municipality_code, source: CopyError::NotEmpty("log_head") });
        }
        let admin = admin_log(&store, &municipality, homes, actor).await?;
        movers.push((municipality, store, admin));
    }
    let mut moved = Vec::new();
    for (municipality, store, admin) in movers {
        let begun = admin.begin(Action::Migrate).await?;
        match one(&municipality, &store, &target, (&admin, &begun), &mut progress).await {
            Ok(done) => moved.push(done),
            Err(error) => {
                admin.fail(begun, &error.to_string()).await?;
                return Err(error);
            }
        }
    }
    source.close().await;
    target.close().await;
    Ok(moved)
}

async fn one(
    municipality: &MunicipalityCode,
    source: &Store,
    target: &Database,
    (admin, begun): (&AdminLog, &Begun),
    progress: &mut impl FnMut(&str, u64, u64),
) -> Result<Moved, MigrateError> {
    let code = municipality.as_str();
    let failed = |error: CopyError| MigrateError::Copy { municipality_code: code.to_owned(), source: error };
    let unread = |error: StoreError| failed(error.into());
    let target = target.of(municipality.clone()).await.map_err(of("to"))?;
    let mut snapshot = source.snapshot().await.map_err(unread)?;
    let head = snapshot.log_frontier(Log::Transfers).await.map_err(unread)?;
    let rows = snapshot.count(Part::Everything).await.map_err(unread)?;
    let mut transaction = target.begin_write("migrate").await.map_err(unread)?;
    let mut done = 0;
    let count = |copied| {
        done += copied;
        progress(code, done, rows);
    };
    snapshot.copy(Part::Everything, &mut transaction, count).await.map_err(failed)?;
    // Every call that changes anything leaves its record in the log.
    if source.log_size().await.map_err(unread)? != head.size() {
        return Err(MigrateError::Grown { municipality_code: code.to_owned() });
    }
    let admin_head = admin.end_within(&mut transaction, begun, rows).await?;
    transaction.commit().await.map_err(unread)?;
    admin.keep_beside(&admin_head)?;
    Ok(Moved { municipality_code: code.to_owned(), rows, log_size: head.size(), log_root: head.root().to_base64() })
}

/// The admin log of a municipality whose home is among these.
async fn admin_log(
    store: &Store,
    municipality: &MunicipalityCode,
    homes: &[Config],
    actor: &Actor,
) -> Result<AdminLog, MigrateError> {
    for config in homes {
        let policy = policy_of(config).map_err(GatewayError::from)?;
        if policy.municipality_code() == municipality {
            let vault = Arc::new(Vault::open(&config.key_source(), municipality).map_err(GatewayError::from)?);
            // What is an old copy, or signed by other keys, is not moved on.
            let fresh = freshness::check(store, municipality, &vault, config).await;
            fresh.map_err(|error| GatewayError::from(Box::new(error)))?;
            let file = config.log.checkpoint_file_of(Log::Administration).to_owned();
            return Ok(AdminLog::of(store, &vault, municipality, file, policy.hash(), actor.clone()));
        }
    }
    Err(MigrateError::NoHome { municipality_code: municipality.as_str().to_owned() })
}

fn of(which: &'static str) -> impl Fn(StoreError) -> MigrateError {
    move |source| MigrateError::Database { which, source }
}
