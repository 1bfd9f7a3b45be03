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
    /// The same in all rows, so it is bound once.
    SameText(&'q str),
    SameInteger(i64),
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
    fn len(&self) -> Option<usize> {
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
        sql.push_str(") ");
        sql
    }

    /// The statement for `rows` rows on SQLite. Parameters: the municipality, then what is the same in all rows, then row by row the rest.
    pub(super) fn sqlite(&self, rows: usize) -> String {
        let mut sql = self.head();
        sql.push_str("VALUES ");
        let (mut same, mut own) =
            (2_usize.., 2 + self.columns.iter().filter(|column| column.len().is_none()).count()..);
        let shared: Vec<Option<usize>> =
            self.columns.iter().map(|column| if column.len().is_none() { same.next() } else { None }).collect();
        for row in 0..rows {
            sql.push_str(if row == 0 { "(?1" } else { ", (?1" });
            for shared in &shared {
                let parameter = shared.or_else(|| own.next()).unwrap_or_default();
                // Writing to a string does not fail.
                let _ = write!(sql, ", ?{parameter}");
            }
            sql.push(')');
        }
        sql.push_str(self.conflict);
        sql
    }

    /// The statement for all rows on PostgreSQL.
    pub(super) fn postgres(&self) -> String {
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
            // One row, or as many that are all alike.
            let _ = match self.rows {
                1 => write!(sql, "SELECT $1{selected}{}", self.conflict),
                rows => {
                    write!(sql, "SELECT $1{selected} FROM generate_series(1::bigint, {rows}::bigint){}", self.conflict)
                }
            };
            return sql;
        }
        let (parameters, names): (Vec<_>, Vec<_>) = unnested.into_iter().unzip();
        let (parameters, names) = (parameters.join(", "), names.join(", "));
        let _ = write!(sql, "SELECT $1{selected} FROM UNNEST({parameters}) AS new ({names}){}", self.conflict);
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
            "INSERT INTO link (municipality_code, system_id, change_sequence) VALUES (?1, ?2, ?3), (?1, ?4, ?5) ON CONFLICT DO NOTHING"
        );
        assert_eq!(
            insert.postgres(),
            "INSERT INTO link (municipality_code, system_id, change_sequence) \
             SELECT $1, new.c0, new.c1 FROM UNNEST($2::text[], $3::bigint[]) AS new (c0, c1) ON CONFLICT DO NOTHING"
        );
    }

    #[test]
    fn what_is_the_same_in_all_rows_is_bound_once() {
        let insert = Insert::into("link", "132098", 2)
            .texts("system_id", ["a", "a"].into_iter())
            .integers("change_sequence", [1, 2].into_iter())
            .integers("at", [7, 7].into_iter());
        assert_eq!(
            insert.sqlite(2),
            "INSERT INTO link (municipality_code, system_id, change_sequence, at) VALUES (?1, ?2, ?4, ?3), (?1, ?2, ?5, ?3)"
        );
        assert_eq!(
            insert.postgres(),
            "INSERT INTO link (municipality_code, system_id, change_sequence, at) \
             SELECT $1, $2::text, new.c1, $4::bigint FROM UNNEST($3::bigint[]) AS new (c1)"
        );
        let one = Insert::into("link", "132098", 1).texts("system_id", ["a"].into_iter());
        assert_eq!(one.sqlite(1), "INSERT INTO link (municipality_code, system_id) VALUES (?1, ?2)");
        assert_eq!(one.postgres(), "INSERT INTO link (municipality_code, system_id) SELECT $1, $2::text");
    }
}
