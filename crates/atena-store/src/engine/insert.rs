//! Many rows in few statements: wide prepared statements on SQLite, one `UNNEST` on PostgreSQL, or
//! the `VALUES` of one row.

use std::fmt::Write as _;

/// Rows of one wide statement on SQLite. There are few sizes, so that prepared statements stay
/// cached. Each statement is a round trip to SQLite's thread: rows that do not fill one go with the
/// next larger one, whose other rows are empty.
const ROWS_OF_STATEMENT: [usize; 4] = [1, 8, 64, 512];

/// The values of one column, a row after the other.
pub(crate) enum Column<'q> {
    Text(Vec<&'q str>),
    MaybeText(Vec<Option<String>>),
    Integer(Vec<i64>),
    Bytes(Vec<&'q [u8]>),
    /// The same in all rows, so it is bound once.
    SameText(&'q str),
    SameInteger(i64),
}

/// Rows to insert, column by column; the municipality is the first column of every table and is the
/// same in all rows.
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
    fn texts(values: Vec<&'q str>) -> Self {
        match values.first() {
            Some(first) if values.iter().all(|value| value == first) => Self::SameText(first),
            _ => Self::Text(values),
        }
    }

    fn integers(values: Vec<i64>) -> Self {
        match values.first() {
            Some(first) if values.iter().all(|value| value == first) => Self::SameInteger(*first),
            _ => Self::Integer(values),
        }
    }

    /// How many values there are; `None` where one stands for all.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Self::Text(values) => Some(values.len()),
            Self::MaybeText(values) => Some(values.len()),
            Self::Integer(values) => Some(values.len()),
            Self::Bytes(values) => Some(values.len()),
            Self::SameText(_) | Self::SameInteger(_) => None,
        }
    }

    /// The type of the parameter on PostgreSQL.
    fn parameter_type(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::MaybeText(_) => "text[]",
            Self::Integer(_) => "bigint[]",
            Self::Bytes(_) => "bytea[]",
            Self::SameText(_) => "text",
            Self::SameInteger(_) => "bigint",
        }
    }
}

// === impl Insert ===

impl<'q> Insert<'q> {
    pub(crate) fn into(table: &'static str, municipality: &'q str, rows: usize) -> Self {
        Self { municipality, table, rows, names: Vec::new(), columns: Vec::new(), conflict: "" }
    }

    pub(crate) fn texts(self, name: &'static str, values: impl Iterator<Item = &'q str>) -> Self {
        self.column(name, Column::texts(values.collect()))
    }

    pub(crate) fn maybe_texts(self, name: &'static str, values: impl Iterator<Item = Option<String>>) -> Self {
        self.column(name, Column::MaybeText(values.collect()))
    }

    pub(crate) fn integers(self, name: &'static str, values: impl Iterator<Item = i64>) -> Self {
        self.column(name, Column::integers(values.collect()))
    }

    /// As [`Insert::integers`], where all are the same only by chance. Then there is one statement
    /// for both cases.
    pub(crate) fn differing_integers(self, name: &'static str, values: impl Iterator<Item = i64>) -> Self {
        self.column(name, Column::Integer(values.collect()))
    }

    pub(crate) fn bytes(self, name: &'static str, values: impl Iterator<Item = &'q [u8]>) -> Self {
        self.column(name, Column::Bytes(values.collect()))
    }

    pub(crate) fn on_conflict(self, conflict: &'static str) -> Self {
        Self { conflict, ..self }
    }

    pub(crate) fn column(mut self, name: &'static str, column: Column<'q>) -> Self {
        debug_assert!(column.len().is_none_or(|len| len == self.rows), "every column has a value for every row");
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
        sql.push_str(")\n");
        sql
    }

    /// How many rows the next statement on SQLite has, where so many are left.
    pub(super) fn rows_of_statement(left: usize) -> usize {
        let [.., largest] = ROWS_OF_STATEMENT;
        // A half-empty wide statement costs more than two narrow ones.
        let fits = |size: usize| left >= size || left > size / 2;
        ROWS_OF_STATEMENT.into_iter().rev().find(|size| fits(*size)).unwrap_or(largest)
    }

    /// The statement for `rows` rows on SQLite. Its parameters are, row by row, whether the row is
    /// filled (1, or NULL) and its own values; then the municipality, then the values that all rows
    /// share. No parameter has a number: SQLite looks for the name of each parameter among all that
    /// have one.
    pub(crate) fn sqlite(&self, rows: usize) -> String {
        let own = self.columns.iter().filter(|column| column.len().is_some()).count();
        let row = format!("(?{})", ", ?".repeat(own));
        let mut names = "filled".to_owned();
        let mut selected = String::new();
        for (place, column) in self.columns.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = match column.len() {
                None => write!(selected, ", ?"),
                Some(_) => write!(names, ", c{place}").and_then(|()| write!(selected, ", new.c{place}")),
            };
        }
        let mut sql = format!("WITH new ({names}) AS (\n    VALUES {})\n", vec![row.as_str(); rows].join(", "));
        sql.push_str(&self.head());
        let _ = write!(sql, "SELECT ?{selected}\nFROM new WHERE new.filled{}", self.conflict);
        sql
    }

    /// The statement for one row on PostgreSQL.
    pub(crate) fn postgres_one(&self) -> String {
        let mut sql = self.head();
        sql.push_str("VALUES ($1");
        for place in 0..self.columns.len() {
            let _ = write!(sql, ", ${}", place + 2);
        }
        let _ = write!(sql, "){}", self.conflict);
        sql
    }

    /// The statement for several rows on PostgreSQL.
    pub(crate) fn postgres(&self) -> String {
        let mut sql = self.head();
        let (mut selected, mut unnested) = (String::new(), Vec::new());
        for (place, column) in self.columns.iter().enumerate() {
            let parameter = format!("${}::{}", place + 2, column.parameter_type());
            match column.len() {
                None => selected.extend([", ", &parameter]),
                Some(_) => {
                    let _ = write!(selected, ", new.c{place}");
                    unnested.push((parameter, format!("c{place}")));
                }
            }
        }
        if unnested.is_empty() {
            // All rows are alike.
            let rows = self.rows;
            let _ =
                write!(sql, "SELECT $1{selected}\nFROM generate_series(1::bigint, {rows}::bigint){}", self.conflict);
            return sql;
        }
        let (parameters, names): (Vec<_>, Vec<_>) = unnested.into_iter().unzip();
        let (parameters, names) = (parameters.join(", "), names.join(", "));
        let _ = write!(sql, "SELECT $1{selected}\nFROM UNNEST({parameters}) AS new ({names}){}", self.conflict);
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
            "WITH new (filled, c0, c1) AS (\n    VALUES (?, ?, ?), (?, ?, ?))\nINSERT INTO link \
             (municipality_code, system_id, change_sequence)\nSELECT ?, new.c0, new.c1\nFROM new WHERE new.filled ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            insert.postgres(),
            "INSERT INTO link (municipality_code, system_id, change_sequence)\n\
             SELECT $1, new.c0, new.c1\nFROM UNNEST($2::text[], $3::bigint[]) AS new (c0, c1) ON CONFLICT DO NOTHING"
        );
    }

    #[test]
    fn a_chunk_is_few_statements_of_few_sizes() {
        let sizes = |mut left: usize| {
            let mut sizes = Vec::new();
            while left > 0 {
                let rows = Insert::rows_of_statement(left);
                left = left.saturating_sub(rows);
                sizes.push(rows);
            }
            sizes
        };
        assert_eq!(sizes(500), [512]);
        assert_eq!(sizes(1000), [512, 512]);
        assert_eq!(sizes(250), [64, 64, 64, 64]);
        assert_eq!((sizes(1), sizes(3), sizes(9)), (vec![1], vec![1, 1, 1], vec![8, 1]));
    }

    #[test]
    fn what_is_the_same_in_all_rows_is_bound_once() {
        let insert = Insert::into("link", "132098", 2)
            .texts("system_id", ["a", "a"].into_iter())
            .integers("change_sequence", [1, 2].into_iter())
            .integers("at", [7, 7].into_iter());
        assert_eq!(
            insert.sqlite(2),
            "WITH new (filled, c1) AS (\n    VALUES (?, ?), (?, ?))\n\
             INSERT INTO link (municipality_code, system_id, change_sequence, at)\n\
             SELECT ?, ?, new.c1, ?\nFROM new WHERE new.filled"
        );
        assert_eq!(
            insert.postgres(),
            "INSERT INTO link (municipality_code, system_id, change_sequence, at)\n\
             SELECT $1, $2::text, new.c1, $4::bigint\nFROM UNNEST($3::bigint[]) AS new (c1)"
        );
        let one = Insert::into("link", "132098", 1).texts("system_id", ["a"].into_iter());
        assert_eq!(
            one.sqlite(1),
            "WITH new (filled) AS (\n    VALUES (?))\nINSERT INTO link (municipality_code, system_id)\n\
             SELECT ?, ?\nFROM new WHERE new.filled"
        );
        assert_eq!(one.postgres_one(), "INSERT INTO link (municipality_code, system_id)\nVALUES ($1, $2)");
    }
}
