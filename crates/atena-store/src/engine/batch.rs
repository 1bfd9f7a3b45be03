//! Statements that find many rows.
//!
//! A row costs more on its way through sqlx than it takes to be found: SQLite's driver copies each
//! value by itself, and PostgreSQL's reads each row from a stream. So the database answers with one
//! row, or few, in which the values of each column stand end to end. Only where PostgreSQL looks up
//! each value of a list by itself does it answer with plain rows. [`Batch`] reads both by row and
//! column.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::OnceLock;

use bytes::Bytes;
use sqlx::Row as _;

use super::batch_text::Texts;
use super::columns::{Columns, Kind, MALFORMED};
use super::neighbours::Spacing;
use super::row::Row;
use super::sql::{Sql, Statement, Value};
use crate::error::StoreError;

/// Neighbours that PostgreSQL answers in one row. It moves joined values each time that they have
/// doubled, and above 128 KiB it gives the memory back and asks for it again.
const NEIGHBOURS_OF_ROW: usize = 128;

/// A statement whose answer is a [`Batch`].
///
/// It is written as its columns and the rest of a `SELECT`, from `FROM` on. What is sent is made of
/// them once, see [`Texts`]; all of it stands in `statements/` of this crate.
pub(crate) struct BatchSql {
    pub(super) columns: &'static [(&'static str, Kind)],
    pub(super) from: Sql,
    pub(super) list: Option<List>,
    texts: OnceLock<Texts>,
}

/// The list of values that a statement is about: its last parameter. The statement compares it by
/// `= ANY($3)`.
#[derive(Clone, Copy)]
pub(crate) struct List {
    /// `$3`, for example.
    pub(super) parameter: &'static str,
    pub(super) of: ListOf,
    /// Where the values are neighbours, all rows from the first to the last are read in order, and
    /// those that are not of the list are left out. That costs a fraction of looking up each value.
    /// The statement's first column must be the one that is compared.
    pub(super) range_read: Option<Spacing>,
}

/// What the values of a list are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListOf {
    Texts,
    Integers,
    Blobs,
    /// A person's 15 digits and a record key in one text, compared with a pair of columns.
    Places,
}

/// Rows by column.
pub(crate) struct Batch {
    rows: Rows,
    /// Which rows are of the list, where others were read with them.
    listed: Option<Vec<usize>>,
}

enum Rows {
    Columns(Columns),
    Each(Vec<Row>),
}

/// One of the rows.
#[derive(Clone, Copy)]
pub(crate) struct BatchRow<'b> {
    batch: &'b Batch,
    row: usize,
}

// === impl List ===

impl List {
    pub(crate) const fn new(of: ListOf, parameter: &'static str) -> Self {
        Self { parameter, of, range_read: None }
    }

    /// A list of texts that may be neighbours.
    pub(crate) const fn range_read(spacing: Spacing, parameter: &'static str) -> Self {
        Self { parameter, of: ListOf::Texts, range_read: Some(spacing) }
    }
}

// === impl BatchSql ===

impl BatchSql {
    /// A statement that is sent as it is: `from` begins with `FROM`.
    pub(crate) const fn all(columns: &'static [(&'static str, Kind)], from: Sql) -> Self {
        Self { columns, from, list: None, texts: OnceLock::new() }
    }

    /// A statement about each value of a list.
    pub(crate) const fn of_list(columns: &'static [(&'static str, Kind)], from: Sql, list: List) -> Self {
        Self { columns, from, list: Some(list), texts: OnceLock::new() }
    }

    /// The statement about one municipality, which is its first parameter.
    pub(crate) fn about<'q>(&self, municipality: &'q str) -> Statement<'q> {
        Statement::about(municipality, self.texts().look_up)
    }

    /// What is sent.
    pub(crate) fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts::new(self))
    }

    /// The form of the statement that reads a range, and the values of its list in order; `None`
    /// where the values are no neighbours.
    pub(super) fn range_read<'q>(&self, statement: &Statement<'q>) -> Option<(Statement<'q>, Vec<&'q str>)> {
        let (spacing, sql) = self.list?.range_read.zip(self.texts().range_read)?;
        let (Value::Texts(list), others) = statement.values.split_last()? else { return None };
        let mut listed = list.clone();
        if !listed.is_sorted() {
            listed.sort_unstable();
        }
        // A value that stands twice must not end one part and begin the next.
        listed.dedup();
        if !spacing.are_neighbours(&listed) {
            return None;
        }
        let parts = listed.chunks(NEIGHBOURS_OF_ROW).flat_map(|part| [part.first(), part.last()]).flatten().copied();
        let values = others.iter().cloned().chain([Value::Texts(parts.collect())]).collect();
        Some((Statement { sql, values }, listed))
    }

    /// Reads an answer: joined columns, or plain rows where PostgreSQL looked up each value by
    /// itself.
    pub(super) fn read(&self, rows: Vec<Row>) -> Result<Batch, StoreError> {
        let is_plain = |row: &Row| matches!(row, Row::Postgres(row) if row.len() == self.columns.len());
        let rows = match rows.first() {
            Some(first) if !is_plain(first) => {
                Rows::Columns(Columns::read(&rows, self.columns.iter().map(|(_, kind)| *kind))?)
            }
            _ => Rows::Each(rows),
        };
        Ok(Batch::new(rows))
    }
}

// === impl Batch ===

impl Batch {
    fn new(rows: Rows) -> Self {
        Self { rows, listed: None }
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = BatchRow<'_>> {
        let count = match (&self.listed, &self.rows) {
            (Some(listed), _) => listed.len(),
            (None, Rows::Columns(columns)) => columns.rows(),
            (None, Rows::Each(rows)) => rows.len(),
        };
        (0..count).map(|place| {
            let row = self.listed.as_ref().map_or(Some(place), |listed| listed.get(place).copied());
            // Past the end there is nothing to read.
            BatchRow { batch: self, row: row.unwrap_or(usize::MAX) }
        })
    }

    /// Only the rows whose first column is one of these values, which are in order.
    pub(super) fn only(mut self, values: &[&str]) -> Result<Self, StoreError> {
        let mut listed = Vec::with_capacity(values.len());
        // Rows mostly come in order too: then the value is the same as in the row before, or the
        // next.
        let mut at = 0;
        for row in self.rows() {
            let value = row.text(0)?;
            if values.get(at).is_none_or(|this| *this != value) {
                at = match values.get(at + 1) {
                    Some(next) if *next == value => at + 1,
                    _ => values.partition_point(|other| *other < value),
                };
            }
            if values.get(at).is_some_and(|this| *this == value) {
                listed.push(row.row);
            }
        }
        if listed.len() < self.rows().len() {
            self.listed = Some(listed);
        }
        Ok(self)
    }

    /// The rows as a map.
    pub(crate) fn into_map<K: Eq + Hash, V>(
        self,
        read: impl Fn(BatchRow<'_>) -> Result<(K, V), StoreError>,
    ) -> Result<HashMap<K, V>, StoreError> {
        self.rows().map(read).collect()
    }
}

// === impl BatchRow ===

impl<'b> BatchRow<'b> {
    /// A text.
    pub(crate) fn text(self, column: usize) -> Result<&'b str, StoreError> {
        match &self.batch.rows {
            Rows::Columns(columns) => columns.text(self.row, column),
            Rows::Each(rows) => rows.get(self.row).ok_or(MALFORMED)?.text(column),
        }
    }

    /// An integer.
    pub(crate) fn integer(self, column: usize) -> Result<i64, StoreError> {
        match &self.batch.rows {
            Rows::Columns(columns) => columns.integer(self.row, column),
            Rows::Each(rows) => rows.get(self.row).ok_or(MALFORMED)?.integer(column),
        }
    }

    /// An integer that is never negative.
    pub(crate) fn count(self, column: usize, table: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.integer(column)?).map_err(|_| StoreError::Corrupt { table })
    }

    /// Bytes.
    pub(crate) fn bytes(self, column: usize) -> Result<Bytes, StoreError> {
        match &self.batch.rows {
            Rows::Columns(columns) => columns.bytes(self.row, column),
            Rows::Each(rows) => Ok(Bytes::copy_from_slice(rows.get(self.row).ok_or(MALFORMED)?.bytes(column)?)),
        }
    }

    /// Exactly 32 bytes.
    pub(crate) fn bytes32(self, column: usize, table: &'static str) -> Result<[u8; 32], StoreError> {
        self.bytes(column)?.as_ref().try_into().map_err(|_| StoreError::Corrupt { table })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_in_parts_that_share_no_value() {
        static FIND: BatchSql = BatchSql::of_list(
            &[("a", Kind::Text)],
            Sql::same("FROM t WHERE m = $1 AND a = ANY($2)"),
            List::range_read(Spacing::Consecutive, "$2"),
        );
        let numbers: Vec<_> = (0..2 * NEIGHBOURS_OF_ROW + 1).map(|number| format!("{number:04}")).collect();
        let twice = numbers.iter().chain(&numbers).map(String::as_str);
        let statement = FIND.about("m").texts(twice);
        let (range_read, listed) = FIND.range_read(&statement).unwrap();
        assert_eq!(listed, numbers);
        let Some(Value::Texts(parts)) = range_read.values.last() else { panic!("the list comes last") };
        assert_eq!(*parts, ["0000", "0127", "0128", "0255", "0256", "0256"]);
    }

    #[test]
    fn only_rows_of_the_list_are_left() {
        let batch = Batch::new(Rows::Columns(Columns::sample()));
        let second = batch.rows().nth(1).unwrap();
        assert!(second.count(1, "t").is_err() && second.bytes32(2, "t").is_err());
        let only = batch.only(&[""]).unwrap();
        assert_eq!(only.rows().map(|row| row.integer(1).unwrap()).collect::<Vec<_>>(), [-1]);
    }
}
