//! The two logs of a municipality, of transfers and of administration. Only their tables differ.

use std::sync::OnceLock;

use crate::engine::Sql;

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The transfer log (情報提供等の記録): tables `log_*`.
    Transfers,
    /// The admin log (管理操作の記録): tables `admin_log_*`.
    Administration,
}

/// A statement about either log, written for the transfer log. That about the admin log is the same
/// but for the tables: `log_head` is `admin_log_head` there.
pub(crate) struct LogSql {
    transfers: Sql,
    administration: OnceLock<Sql>,
}

// === impl Log ===

impl Log {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Transfers, Self::Administration];

    /// Its table of leaves.
    pub(crate) const fn chunk_table(self) -> &'static str {
        match self {
            Self::Transfers => "log_chunk",
            Self::Administration => "admin_log_chunk",
        }
    }

    /// Its table of the frontier, which is compared when a log is copied.
    pub(crate) const fn head_table(self) -> &'static str {
        match self {
            Self::Transfers => "log_head",
            Self::Administration => "admin_log_head",
        }
    }

    /// Its table of the sealed details.
    pub(crate) const fn details_table(self) -> &'static str {
        match self {
            Self::Transfers => "log_details",
            Self::Administration => "admin_log_details",
        }
    }
}

// === impl LogSql ===

impl LogSql {
    /// A statement that both engines take.
    pub(crate) const fn same(text: &'static str) -> Self {
        Self::per_engine(text, text)
    }

    /// A statement that differs between the engines.
    pub(crate) const fn per_engine(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { transfers: Sql::per_engine(sqlite, postgres), administration: OnceLock::new() }
    }

    /// The statement about this log.
    pub(crate) fn about(&self, log: Log) -> Sql {
        match log {
            Log::Transfers => self.transfers,
            // Made once, and kept as long as the process lives.
            Log::Administration => *self.administration.get_or_init(|| {
                let Sql { sqlite, postgres } = self.transfers;
                Sql::per_engine(about_admin_log(sqlite).leak(), about_admin_log(postgres).leak())
            }),
        }
    }
}

/// A statement with the tables of the admin log in place of those of the transfer log.
fn about_admin_log(statement: &str) -> String {
    statement.replace(" log_", " admin_log_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_about_the_admin_log_names_its_tables() {
        let count = LogSql::same("SELECT count(*) FROM log_head WHERE size > (SELECT max(size) FROM log_tile)");
        assert_eq!(
            count.about(Log::Administration).postgres,
            "SELECT count(*) FROM admin_log_head WHERE size > (SELECT max(size) FROM admin_log_tile)"
        );
        assert_eq!(count.about(Log::Transfers).sqlite, count.transfers.sqlite);
    }
}
