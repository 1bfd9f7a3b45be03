//! Many rows in few statements: wide prepared `VALUES` on SQLite, one `UNNEST` on PostgreSQL.

use std::fmt::Write as _;

/// Rows of one wide statement on SQLite. Few sizes, so that their prepared forms stay cached.
pub(super) const ROWS_OF_STATEMENT: [usize; 4] = [64, 16, 4, 1];

/// The values of one column, a row after the other.
pub(crate) enum Column<'q> {
    Text(Vec<&'q str>),
    MaybeText(Vec<Option<String>>),
    Integer(Vec<i64>),
    Bytes(Vec<&'q [u8]>),
}

/// Rows to insert, column by column; the municipality is the first column of every table and is the same in all rows.
pub(crate) struct Insert<'q> {
    pub(super) municipality: &'q str,
    pub(super) table: &'static str,
    pub(super) rows: usize,
    pub(super) names: Vec<&'static str>,
    pub(super) columns: Vec<Column<'q>>,
    /// What follows the rows: what to do with those that are there already.
    pub(super) conflict: &'static str,
}

// === impl Column ===

impl<'q> Column<'q> {
    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::MaybeText(values) => values.len(),
            Self::Integer(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    fn array_type(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::MaybeText(_) => "text[]",
            Self::Integer(_) => "bigint[]",
            Self::Bytes(_) => "bytea[]",
        }
    }
}

// === impl Insert ===

impl<'q> Insert<'q> {
    pub(crate) fn into(table: &'static str, municipality: &'q str, rows: usize) -> Self {
        Self { municipality, table, rows, names: Vec::new(), columns: Vec::new(), conflict: "" }
    }

    pub(crate) fn texts(self, name: &'static str, values: impl Iterator<Item = &'q str>) -> Self {
        self.column(name, Column::Text(values.collect()))
    }

    pub(crate) fn maybe_texts(self, name: &'static str, values: impl Iterator<Item = Option<String>>) -> Self {
        self.column(name, Column::MaybeText(values.collect()))
    }

    pub(crate) fn integers(self, name: &'static str, values: impl Iterator<Item = i64>) -> Self {
        self.column(name, Column::Integer(values.collect()))
    }

    pub(crate) fn bytes(self, name: &'static str, values: impl Iterator<Item = &'q [u8]>) -> Self {
        self.column(name, Column::Bytes(values.collect()))
    }

    pub(crate) fn on_conflict(self, conflict: &'static str) -> Self {
        Self { conflict, ..self }
    }

    pub(crate) fn column(mut self, name: &'static str, column: Column<'q>) -> Self {
        debug_assert_eq!(column.len(), self.rows, "every column has a value for every row");
        self.names.push(name);
        self.columns.push(column);
        self
    }

    fn head(&self) -> String {
        let mut sql = format!("INSERT INTO {} (municipality_code", self.table);
        for name in &self.names {
            sql.push_str(", ");
            sql.push_str(name);
        }
        sql.push_str(") ");
        sql
    }

    /// The statement for `rows` rows on SQLite.
    pub(super) fn sqlite(&self, rows: usize) -> String {
        let mut sql = self.head();
        sql.push_str("VALUES ");
        for row in 0..rows {
            sql.push_str(if row == 0 { "(?" } else { ", (?" });
            for _ in &self.names {
                sql.push_str(", ?");
            }
            sql.push(')');
        }
        sql.push_str(self.conflict);
        sql
    }

    /// The statement for all rows on PostgreSQL.
    pub(super) fn postgres(&self) -> String {
        let mut sql = self.head();
        sql.push_str("SELECT $1, new.* FROM UNNEST(");
        for (index, column) in self.columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(sql, "{comma}${}::{}", index + 2, column.array_type());
        }
        sql.push_str(") AS new");
        sql.push_str(self.conflict);
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_get_the_same_columns() {
        let insert = Insert::into("link", "132098", 2)
            .texts("system_id", ["a", "b"].into_iter())
            .integers("change_sequence", [1, 2].into_iter())
            .on_conflict(" ON CONFLICT DO NOTHING");
        assert_eq!(
            insert.sqlite(2),
            "INSERT INTO link (municipality_code, system_id, change_sequence) VALUES (?, ?, ?), (?, ?, ?) ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            insert.postgres(),
            "INSERT INTO link (municipality_code, system_id, change_sequence) \
             SELECT $1, new.* FROM UNNEST($2::text[], $3::bigint[]) AS new ON CONFLICT DO NOTHING"
        );
    }
}
