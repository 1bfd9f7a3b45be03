//! Reading columns back into the types they were written from.

use std::collections::HashMap;
use std::hash::Hash;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::error::StoreError;

/// Values bound in one statement at most (SQLite's own limit is 32,766).
pub(crate) const BINDS_MAX: usize = 30_000;

/// Values of one `IN` list.
pub(crate) const LIST_MAX: usize = 500;

/// A text column.
pub(crate) fn text(row: &SqliteRow, index: usize) -> Result<&str, StoreError> {
    Ok(row.try_get(index)?)
}

/// An integer column that is never negative.
pub(crate) fn count(row: &SqliteRow, index: usize, table: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.try_get::<i64, _>(index)?).map_err(|_| StoreError::Corrupt { table })
}

/// A column of exactly 32 bytes.
pub(crate) fn bytes32(row: &SqliteRow, index: usize, table: &'static str) -> Result<[u8; 32], StoreError> {
    row.try_get::<&[u8], _>(index)?.try_into().map_err(|_| StoreError::Corrupt { table })
}

/// As SQLite keeps integers.
pub(crate) fn signed(value: u64) -> i64 {
    // Sequences and revisions stay below 2^63; a larger bound only makes a comparison always true.
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// `… IN (?, ?, …)` with every value bound.
pub(crate) fn push_list<'a>(query: &mut QueryBuilder<Sqlite>, values: impl Iterator<Item = &'a str>) {
    query.push(" IN (");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value.to_owned());
    }
    query.push(")");
}

/// Rows of two columns as a map.
pub(crate) fn into_map<K: Eq + Hash, V>(
    rows: Vec<SqliteRow>,
    into: &mut HashMap<K, V>,
    read: impl Fn(&SqliteRow) -> Result<(K, V), StoreError>,
) -> Result<(), StoreError> {
    for row in &rows {
        let (key, value) = read(row)?;
        into.insert(key, value);
    }
    Ok(())
}
