//! What can go wrong with the database. Never holds a value: databases like to quote keys.

use atena_domain::IdentifierError;

use crate::cause;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Busy, full, unreachable, or closed.
    #[error("the database is not available ({0})")]
    Unavailable(&'static str),
    /// A constraint refused the statement: two processes disagree, or the database was changed from outside.
    #[error("a constraint of the database refused the statement")]
    Constraint,
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
    /// The database can't be created or reached, is no database of this program, or would not keep what it acknowledges.
    #[error("the database can't be opened: {0}")]
    Open(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.kind() {
                sqlx::error::ErrorKind::Other => {
                    cause::log(&*error);
                    Self::Unavailable(cause::of_database(&*error))
                }
                _ => Self::Constraint,
            },
            sqlx::Error::Io(error) => {
                tracing::error!(%error, "the connection to the database failed");
                Self::Unavailable(cause::of_io(&error))
            }
            sqlx::Error::Tls(error) => {
                tracing::error!(%error, "TLS to the database server failed");
                Self::Unavailable("TLS to the server failed: look at sslmode, sslrootcert and the server's certificate")
            }
            sqlx::Error::PoolTimedOut => Self::Unavailable("all connections are busy"),
            sqlx::Error::PoolClosed => Self::Unavailable("it is closed"),
            _ => Self::Unavailable("the driver failed"),
        }
    }
}

impl StoreError {
    /// For tables that can't be brought to this version.
    pub(crate) fn not_of_this_version(error: sqlx::migrate::MigrateError) -> Self {
        Self::Open(format!("its tables are not those of this version: {error}"))
    }

    /// For identifiers and codes that a row should hold.
    pub(crate) fn corrupt(table: &'static str) -> impl Fn(IdentifierError) -> Self {
        move |_| Self::Corrupt { table }
    }
}
