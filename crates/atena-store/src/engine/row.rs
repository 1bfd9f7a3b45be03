//! Reading columns back into the types they were written from.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;

/// A row of either engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! get {
    ($row:expr, $index:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($index),
            Row::Postgres(row) => row.try_get($index),
        }
    };
}

// === impl Row ===

impl Row {
    /// A text column.
    pub(crate) fn text(&self, index: usize) -> Result<&str, StoreError> {
        Ok(get!(self, index)?)
    }

    /// A text column that may have no value.
    pub(crate) fn maybe_text(&self, index: usize) -> Result<Option<&str>, StoreError> {
        Ok(get!(self, index)?)
    }

    /// An integer column.
    pub(crate) fn integer(&self, index: usize) -> Result<i64, StoreError> {
        Ok(get!(self, index)?)
    }

    /// An integer column that is never negative.
    pub(crate) fn count(&self, index: usize, table: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.integer(index)?).map_err(|_| StoreError::Corrupt { table })
    }

    /// A column of bytes.
    pub(crate) fn bytes(&self, index: usize) -> Result<&[u8], StoreError> {
        Ok(get!(self, index)?)
    }

    /// A column of exactly 32 bytes.
    pub(crate) fn bytes32(&self, index: usize, table: &'static str) -> Result<[u8; 32], StoreError> {
        self.bytes(index)?.try_into().map_err(|_| StoreError::Corrupt { table })
    }
}

/// As a database keeps integers.
pub(crate) fn signed(value: u64) -> i64 {
    // Sequences and revisions stay below 2^63; a larger bound only makes a comparison always true.
    i64::try_from(value).unwrap_or(i64::MAX)
}
