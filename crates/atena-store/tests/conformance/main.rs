//! What a database has to keep to be Atena's, asked of SQLite and PostgreSQL alike.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "these are tests")]

mod citus;
mod copies;
mod distribution;
mod feeds;
mod log;
mod numbers;
mod plans;
mod records;
mod statements;
mod upgrade;

use atena_domain::MunicipalityCode;
use atena_store::{Store, StoreOptions};
use atena_test_cluster::Server;
use sqlx::Connection as _;
use tempfile::TempDir;

/// A database of a test's own.
pub(crate) struct Database {
    url: String,
    _folder: Option<TempDir>,
}

impl Database {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite:{}", folder.path().join("atena.db").display()), _folder: Some(folder) }
    }

    fn postgres() -> Self {
        Self { url: Server::shared().new_database(), _folder: None }
    }

    /// Runs a statement past the store.
    pub(crate) async fn change(&self, statement: &'static str) -> Result<(), String> {
        let done = if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query(statement).execute(&mut connection).await.map(|_| ())
        } else {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query(statement).execute(&mut connection).await.map(|_| ())
        };
        done.map_err(|error| error.to_string())
    }

    /// What a statement counts, past the store.
    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        if self.is_postgres() {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
        } else {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// Opens it for a municipality; twice is as from two gateways.
    pub(crate) async fn open(&self, municipality: &str) -> Store {
        Store::open(&StoreOptions::new(&self.url), MunicipalityCode::parse(municipality).unwrap()).await.unwrap()
    }
}

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::Database::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::Database::postgres()).await;
            })*
        }
    };
}
pub(crate) use on_both_engines;
