//! The two logs of a municipality, alike in everything but their tables: transfers, and what those did who run the system.

use crate::engine::Sql;

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// The transfer log (情報提供等の記録): tables `log_*`.
    Transfers,
    /// The admin log (管理操作の記録): tables `admin_log_*`.
    Administration,
}

/// A statement about either log; made by the `log_sql!` macro.
#[derive(Clone, Copy)]
pub(crate) struct LogSql {
    pub(crate) transfers: Sql,
    pub(crate) administration: Sql,
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

    /// Its table of the growing edge, which is compared when it is copied.
    pub(crate) const fn head_table(self) -> &'static str {
        match self {
            Self::Transfers => "log_head",
            Self::Administration => "admin_log_head",
        }
    }

    /// Its table of what is sealed beside them.
    pub(crate) const fn details_table(self) -> &'static str {
        match self {
            Self::Transfers => "log_details",
            Self::Administration => "admin_log_details",
        }
    }
}

// === impl LogSql ===

impl LogSql {
    /// The statement about this log.
    pub(crate) const fn of(self, log: Log) -> Sql {
        match log {
            Log::Transfers => self.transfers,
            Log::Administration => self.administration,
        }
    }
}

/// Puts a statement together from the parts of [`sql!`](crate::engine::sql), in which `table "chunk"` stands for that table of the log that
/// is asked about.
macro_rules! log_sql {
    (@sqlite transfers table $name:literal) => { concat!("log_", $name) };
    (@sqlite administration table $name:literal) => { concat!("admin_log_", $name) };
    (@sqlite $log:ident $kind:ident $text:literal) => { $crate::engine::sql!(@sqlite $kind $text) };
    (@postgres transfers table $name:literal) => { concat!("log_", $name) };
    (@postgres administration table $name:literal) => { concat!("admin_log_", $name) };
    (@postgres $log:ident $kind:ident $text:literal) => { $crate::engine::sql!(@postgres $kind $text) };
    ($($kind:ident $text:literal)+) => {
        $crate::logs::LogSql {
            transfers: $crate::engine::Sql::new(
                concat!($($crate::logs::log_sql!(@sqlite transfers $kind $text)),+),
                concat!($($crate::logs::log_sql!(@postgres transfers $kind $text)),+),
            ),
            administration: $crate::engine::Sql::new(
                concat!($($crate::logs::log_sql!(@sqlite administration $kind $text)),+),
                concat!($($crate::logs::log_sql!(@postgres administration $kind $text)),+),
            ),
        }
    };
}
pub(crate) use log_sql;
