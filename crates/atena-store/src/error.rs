//! What can go wrong with the database. Never holds a value: databases like to quote keys.

use atena_domain::IdentifierError;
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::postgres::PgDatabaseError;

use crate::cause;
use crate::engine::refusal_of_pooler;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Busy, full, unreachable, or closed.
    #[error("the database is not available ({0})")]
    Unavailable(&'static str),
    /// The database could not run a statement: its disk is full, it shuts down, it was changed from
    /// outside.
    #[error("{remedy} ({code}: {text})")]
    Failed {
        /// What it means, and what to do about it.
        remedy: &'static str,
        /// `SQLSTATE …`, `SQLite …` with the extended result code, or the kind of error that the
        /// operating system gave.
        code: String,
        /// The database's own text, without values.
        text: String,
    },
    /// A constraint refused the statement: two processes disagree, or the database was changed from
    /// outside.
    #[error("a constraint of the database refused the statement ({0})")]
    Constraint(String),
    /// A row holds what this program never wrote.
    #[error("table {table} holds something that this program never wrote")]
    Corrupt {
        /// The table.
        table: &'static str,
    },
    /// A transfer that can't be written as a leaf.
    #[error("a transfer can't be written as a leaf of the log")]
    LeafRefused,
    /// The 14 digits of unified numbers are used up.
    #[error("there are no unified address numbers left")]
    NumbersExhausted,
    /// The database can't be created or reached, is no database of this program, or would not keep
    /// what it acknowledges.
    #[error("the database can't be opened: {0}")]
    Open(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(refusal) = refusal_of_pooler(&error) {
            return refusal;
        }
        match error {
            sqlx::Error::Database(error) => Self::of_database(error.as_ref()),
            sqlx::Error::Io(error) => Self::Failed {
                remedy: cause::of_io(&error),
                code: format!("{:?}", error.kind()),
                text: error.to_string(),
            },
            sqlx::Error::Tls(error) => {
                Self::Failed { remedy: cause::TLS, code: "TLS".to_owned(), text: error.to_string() }
            }
            sqlx::Error::PoolTimedOut => Self::Unavailable("all connections are busy"),
            sqlx::Error::PoolClosed => Self::Unavailable("it is closed"),
            sqlx::Error::WorkerCrashed => Self::Unavailable("a connection has ended"),
            sqlx::Error::BeginFailed | sqlx::Error::InvalidSavePointStatement => {
                Self::Unavailable("a transaction did not begin")
            }
            // What remains may quote values: a column that is not as expected, an argument that
            // can't be encoded.
            sqlx::Error::Protocol(_) => Self::Unavailable("the server's answer was not understood"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Unavailable("a column was not understood")
            }
            _ => Self::Unavailable("the driver failed"),
        }
    }
}

impl StoreError {
    /// For what a database refused, with its code and its own text.
    fn of_database(error: &dyn DatabaseError) -> Self {
        let code = error.code().unwrap_or_default();
        let postgres = error.try_downcast_ref::<PgDatabaseError>();
        let code = if postgres.is_some() { format!("SQLSTATE {code}") } else { format!("SQLite {code}") };
        if error.kind() == ErrorKind::Other {
            let quotes_values = postgres.is_some_and(|error| cause::quotes_values(error.code()));
            let text = if quotes_values { "its text may quote a value" } else { error.message() };
            return Self::Failed { remedy: cause::of_database(error), code, text: text.to_owned() };
        }
        // PostgreSQL names the constraint; SQLite's text names columns and nothing more.
        let which = postgres.map_or(error.message(), |error| error.constraint().unwrap_or("no name"));
        Self::Constraint(format!("{code}: {which}"))
    }

    /// For tables that can't be brought to this version.
    pub(crate) fn not_of_this_version(error: sqlx::migrate::MigrateError) -> Self {
        Self::Open(format!("its tables are not those of this version: {error}"))
    }

    /// For identifiers and codes that a row should hold.
    pub(crate) fn corrupt(table: &'static str) -> impl Fn(IdentifierError) -> Self {
        move |_| Self::Corrupt { table }
    }
}
