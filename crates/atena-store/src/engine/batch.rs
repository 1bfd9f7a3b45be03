//! Many rows in one. Through sqlx a row costs more on its way to us than it takes to be found: on SQLite each of its values is copied by
//! itself, on PostgreSQL each row goes through a stream. So the database answers with one row, or few, that have every column's values end to end.
//! PostgreSQL answers with rows only where each value of a list is looked up by itself. Either way it is read here by row and column.

use std::collections::HashMap;
use std::hash::Hash;

use bytes::Bytes;
use sqlx::Row as _;

use super::columns::{Columns, Kind, UNREADABLE};
use super::neighbours::Spacing;
use super::row::Row;
use super::sql::{Sql, Statement, Value};
use crate::error::StoreError;

/// Neighbours that stand in one row of PostgreSQL: what is joined for a row is moved each time that it has doubled, and memory that is given
/// back above 128 KiB has to be asked for anew.
const NEIGHBOURS_OF_ROW: usize = 128;

/// A statement whose answer is a [`Batch`]; made by the `batch!` macro.
///
/// One about each value of a list of texts, its last parameter, may have a `near` form: where the values are neighbours, everything from the
/// first to the last is read in one go, which costs a fraction of looking each one up, and what lies between them is left out again.
#[derive(Clone, Copy)]
pub(crate) struct BatchSql {
    pub(super) sql: Sql,
    near: Option<(Spacing, Sql)>,
    kinds: &'static [Kind],
}

/// Rows by column.
pub(crate) struct Batch {
    rows: Rows,
    /// The places of the rows that were asked for, where there are others between them.
    wanted: Option<Vec<usize>>,
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

/// `batch!(select text "a", integer "b", bytes "c"; all " FROM t WHERE …")`: the columns with their kinds, then parts as in `sql!`; for a statement
/// about each value of a long list, `batch!(each "$3::text[]" select …)`, or `batch!(near "$3::text[]" select text "key", …)` where the list
/// may be of neighbours and the first column is the one that is compared (`near_unified` where that is the unified address number).
macro_rules! batch {
    (near $list:literal $($columns_and_parts:tt)+) => {
        $crate::engine::batch!(@near $crate::engine::Spacing::Close, $list $($columns_and_parts)+)
    };
    (near_unified $list:literal $($columns_and_parts:tt)+) => {
        $crate::engine::batch!(@near $crate::engine::Spacing::CheckDigit, $list $($columns_and_parts)+)
    };
    (@near $spacing:expr, $list:literal select $kind:ident $column:literal $(, $more:ident $next:literal)*;
        $($part:ident $text:literal)+) => {
        $crate::engine::batch!(each $list select $kind $column $(, $more $next)*; $($part $text)+).or_near(
            $spacing,
            $crate::engine::sql!(
                near each $list all "SELECT count(*), " $kind $column $(all ", " $more $next)* $($part $text)+
            ),
        )
    };
    (select $kind:ident $column:literal $(, $more:ident $next:literal)*; $($part:ident $text:literal)+) => {
        $crate::engine::BatchSql::new(
            $crate::engine::sql!(
                together all "SELECT count(*), " $kind $column $(all ", " $more $next)* $($part $text)+
            ),
            &[$crate::engine::batch!(@kind $kind) $(, $crate::engine::batch!(@kind $more))*],
        )
    };
    (each $list:literal select $kind:ident $column:literal $(, $more:ident $next:literal)*; $($part:ident $text:literal)+) => {
        $crate::engine::BatchSql::new(
            $crate::engine::sql!(
                each $list sqlite "SELECT count(*), " postgres "SELECT " $kind $column $(all ", " $more $next)* $($part $text)+
            ),
            &[$crate::engine::batch!(@kind $kind) $(, $crate::engine::batch!(@kind $more))*],
        )
    };
    (@kind text) => { $crate::engine::Kind::Text };
    (@kind integer) => { $crate::engine::Kind::Integer };
    (@kind bytes) => { $crate::engine::Kind::Bytes };
}
pub(crate) use batch;

// === impl BatchSql ===

impl BatchSql {
    pub(crate) const fn new(sql: Sql, kinds: &'static [Kind]) -> Self {
        Self { sql, near: None, kinds }
    }

    pub(crate) const fn or_near(self, spacing: Spacing, near: Sql) -> Self {
        Self { near: Some((spacing, near)), ..self }
    }

    /// The statement about one municipality, which is its first parameter.
    pub(crate) fn about<'q>(&self, municipality: &'q str) -> Statement<'q> {
        Statement::about(municipality, self.sql)
    }

    /// The form of the statement that reads what lies between the values of its list, which are neighbours, and the values in order.
    pub(super) fn near<'q>(&self, statement: &Statement<'q>) -> Option<(Statement<'q>, Vec<&'q str>)> {
        let (spacing, near) = self.near?;
        let (Value::Texts(list), others) = statement.values.split_last()? else { return None };
        let mut wanted = list.clone();
        if !wanted.is_sorted() {
            wanted.sort_unstable();
        }
        // One that stands twice must not end one part and begin the next.
        wanted.dedup();
        if !spacing.are_neighbours(&wanted) {
            return None;
        }
        let parts = wanted.chunks(NEIGHBOURS_OF_ROW).flat_map(|part| [part.first(), part.last()]).flatten().copied();
        let values = others.iter().cloned().chain([Value::Texts(parts.collect())]).collect();
        Some((Statement { sql: near, values }, wanted))
    }

    /// What was answered: rows with all columns, or rows of PostgreSQL where each value of the list was looked up by itself.
    pub(super) fn read(&self, rows: Vec<Row>) -> Result<Batch, StoreError> {
        let by_itself = |row: &Row| matches!(row, Row::Postgres(row) if row.len() == self.kinds.len());
        Ok(Batch::of(match rows.first() {
            Some(first) if !by_itself(first) => Rows::Columns(Columns::read(&rows, self.kinds)?),
            _ => Rows::Each(rows),
        }))
    }
}

// === impl Batch ===

impl Batch {
    fn of(rows: Rows) -> Self {
        Self { rows, wanted: None }
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = BatchRow<'_>> {
        let count = match (&self.wanted, &self.rows) {
            (Some(wanted), _) => wanted.len(),
            (None, Rows::Columns(columns)) => columns.rows(),
            (None, Rows::Each(rows)) => rows.len(),
        };
        (0..count).map(|place| {
            let row = self.wanted.as_ref().map_or(Some(place), |wanted| wanted.get(place).copied());
            // Past the end there is nothing to read.
            BatchRow { batch: self, row: row.unwrap_or(usize::MAX) }
        })
    }

    /// Only the rows whose first column is one of these, which are in order.
    pub(super) fn only(mut self, values: &[&str]) -> Result<Self, StoreError> {
        let mut wanted = Vec::with_capacity(values.len());
        // Rows come in order too, most often: then the next value is this one's, or that of the row before.
        let mut at = 0;
        for row in self.rows() {
            let value = row.text(0)?;
            if values.get(at).is_none_or(|near| *near != value) {
                at = match values.get(at + 1) {
                    Some(next) if *next == value => at + 1,
                    _ => values.partition_point(|other| *other < value),
                };
            }
            if values.get(at).is_some_and(|near| *near == value) {
                wanted.push(row.row);
            }
        }
        if wanted.len() < self.rows().len() {
            self.wanted = Some(wanted);
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
            Rows::Each(rows) => rows.get(self.row).ok_or(UNREADABLE)?.text(column),
        }
    }

    /// An integer.
    pub(crate) fn integer(self, column: usize) -> Result<i64, StoreError> {
        match &self.batch.rows {
            Rows::Columns(columns) => columns.integer(self.row, column),
            Rows::Each(rows) => rows.get(self.row).ok_or(UNREADABLE)?.integer(column),
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
            Rows::Each(rows) => Ok(Bytes::copy_from_slice(rows.get(self.row).ok_or(UNREADABLE)?.bytes(column)?)),
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
    fn the_columns_are_the_same_in_both_engines() {
        const FIND: BatchSql =
            batch!(each "$2::text[]" select text "a", bytes "c"; all " FROM t WHERE m = $1 AND a" wanted "$2" done "");
        assert_eq!(
            FIND.sql.sqlite,
            "SELECT count(*), group_concat(a, char(31)), group_concat(length(c), char(31)), CAST(group_concat(c, '') AS BLOB) \
             FROM t WHERE m = $1 AND a IN (SELECT value FROM json_each($2))"
        );
        assert_eq!(
            FIND.sql.postgres,
            "SELECT found.* FROM unnest($2::text[]) AS wanted (value) CROSS JOIN LATERAL \
             (SELECT a, c FROM t WHERE m = $1 AND a = wanted.value OFFSET 0) AS found"
        );
        assert_eq!(FIND.kinds, [Kind::Text, Kind::Bytes]);

        const ALL: BatchSql = batch!(select text "a", bytes "c"; all " FROM t WHERE m = $1");
        assert_eq!(
            ALL.sql.postgres,
            "SELECT count(*), string_agg(a, chr(31)), string_agg(length(c)::text, chr(31)), string_agg(c, '') FROM t WHERE m = $1"
        );
    }

    #[test]
    fn neighbours_are_read_in_one_go() {
        const NEAR: Sql = {
            const FIND: BatchSql = batch!(near "$2::text[]" select text "a", integer "b"; all " FROM t WHERE m = $1 AND a" wanted "$2" done "");
            FIND.near.unwrap().1
        };
        assert_eq!(
            NEAR.sqlite,
            "SELECT count(*), group_concat(a, char(31)), group_concat(b, char(31)) FROM t \
             WHERE m = $1 AND a BETWEEN json_extract($2, '$[0]') AND json_extract($2, '$[#-1]')"
        );
        assert_eq!(
            NEAR.postgres,
            "SELECT part.* FROM generate_series(1, cardinality($2::text[]), 2) AS near (at) CROSS JOIN LATERAL (\
             SELECT count(*), string_agg(a, chr(31)), string_agg((b)::text, chr(31)) FROM t \
             WHERE m = $1 AND a BETWEEN ($2::text[])[near.at] AND ($2::text[])[near.at + 1]) AS part"
        );
    }

    #[test]
    fn neighbours_are_read_in_parts_that_share_no_value() {
        const FIND: BatchSql =
            batch!(near "$2::text[]" select text "a"; all " FROM t WHERE m = $1 AND a" wanted "$2" done "");
        let numbers: Vec<_> = (0..2 * NEIGHBOURS_OF_ROW + 1).map(|number| format!("{number:04}")).collect();
        let twice = numbers.iter().chain(&numbers).map(String::as_str);
        let statement = FIND.about("m").texts(twice);
        let (near, wanted) = FIND.near(&statement).unwrap();
        assert_eq!(wanted, numbers);
        let Some(Value::Texts(parts)) = near.values.last() else { panic!("the list comes last") };
        assert_eq!(*parts, ["0000", "0127", "0128", "0255", "0256", "0256"]);
    }

    #[test]
    fn only_what_was_asked_for_is_left() {
        let batch = Batch::of(Rows::Columns(Columns::sample()));
        let second = batch.rows().nth(1).unwrap();
        assert!(second.count(1, "t").is_err() && second.bytes32(2, "t").is_err());
        let only = batch.only(&[""]).unwrap();
        assert_eq!(only.rows().map(|row| row.integer(1).unwrap()).collect::<Vec<_>>(), [-1]);
    }
}
