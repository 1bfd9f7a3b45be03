//! Moving municipalities from one database to another, of either engine.

use atena_domain::MunicipalityCode;
use atena_store::{CopyError, Database, Part, Store, StoreError, StoreOptions};

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
    /// Somebody wrote meanwhile.
    #[error("municipality {municipality_code} was not moved: its gateway went on writing. Stop it, and migrate again")]
    Grown {
        /// Whose.
        municipality_code: String,
    },
}

/// Copies every municipality of the database `from` into the database `to`, which must have nothing of it; each in one transaction that
/// commits once as many rows arrived as were sent and their log has the same root. Gateways must not write meanwhile. `progress` is
/// told whose, rows done and rows in all.
///
/// # Errors
/// [`MigrateError`]; what was moved before stays.
pub async fn migrate(
    from: &str,
    to: &str,
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
    let mut moved = Vec::new();
    for municipality in municipalities {
        let stores = (source.of(municipality.clone()).await.map_err(of("from"))?, &target);
        moved.push(one(&municipality, &stores.0, stores.1, &mut progress).await?);
    }
    source.close().await;
    target.close().await;
    Ok(moved)
}

async fn one(
    municipality: &MunicipalityCode,
    source: &Store,
    target: &Database,
    progress: &mut impl FnMut(&str, u64, u64),
) -> Result<Moved, MigrateError> {
    let code = municipality.as_str();
    let failed = |error: CopyError| MigrateError::Copy { municipality_code: code.to_owned(), source: error };
    let unread = |error: StoreError| failed(error.into());
    let target = target.of(municipality.clone()).await.map_err(of("to"))?;
    let mut snapshot = source.snapshot().await.map_err(unread)?;
    let head = snapshot.log_frontier().await.map_err(unread)?;
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
    transaction.commit().await.map_err(unread)?;
    Ok(Moved { municipality_code: code.to_owned(), rows, log_size: head.size(), log_root: head.root().to_base64() })
}

fn of(which: &'static str) -> impl Fn(StoreError) -> MigrateError {
    move |source| MigrateError::Database { which, source }
}
