//! Many rows in one. Through sqlx a row costs more on its way to us than it takes to be found: on SQLite each of its values is copied by
//! itself, on PostgreSQL each row goes through a stream. So the database answers with one row that has every column's values end to end.
//! PostgreSQL answers with rows only where each value of a list is looked up by itself. Either way it is read here by row and column.

use std::collections::HashMap;
use std::hash::Hash;

use bytes::Bytes;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::neighbours::Spacing;
use super::row::Row;
use super::sql::{Sql, Statement, Value};
use crate::error::StoreError;

/// Stands between values in an answer (U+001F, the unit separator). Whatever has it as a part of a value is refused when it is read.
const SEPARATOR: char = '\u{1f}';

/// What a column holds. None of its values may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Bytes,
}

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
    Columns { rows: usize, columns: Vec<Values> },
    Postgres(Vec<PgRow>),
}

/// One of the rows.
#[derive(Clone, Copy)]
pub(crate) struct BatchRow<'b> {
    batch: &'b Batch,
    row: usize,
}

/// The values of one column, end to end.
enum Values {
    Text { joined: String, ends: Vec<usize> },
    Integer(Vec<i64>),
    Bytes { joined: Bytes, ends: Vec<usize> },
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
                near all "SELECT count(*), " $kind $column $(all ", " $more $next)* $($part $text)+
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
        let (first, last) = spacing.first_and_last(&wanted)?;
        let values = others.iter().cloned().chain([Value::Texts(vec![first, last])]).collect();
        Some((Statement { sql: near, values }, wanted))
    }

    /// What was answered: one row with all columns, or rows of PostgreSQL where each value of the list was looked up by itself.
    pub(super) fn read(&self, rows: Vec<Row>) -> Result<Batch, StoreError> {
        let mut of_postgres = Vec::new();
        for row in rows {
            match row {
                Row::Postgres(row) if row.len() == self.kinds.len() => of_postgres.push(row),
                row => return self.columns(&row),
            }
        }
        Ok(Batch::of(Rows::Postgres(of_postgres)))
    }

    fn columns(&self, row: &Row) -> Result<Batch, StoreError> {
        let rows = usize::try_from(row.integer(0)?).unwrap_or(0);
        if rows == 0 {
            return Ok(Batch::of(Rows::Columns { rows, columns: Vec::new() }));
        }
        let mut place = 1..;
        let mut next = || place.next().unwrap_or_default();
        let columns = self.kinds.iter().map(|kind| {
            Ok(match kind {
                Kind::Text => {
                    let joined = row.text(next())?.to_owned();
                    Values::Text { ends: ends(&joined, rows)?, joined }
                }
                Kind::Integer => Values::Integer(integers(row.text(next())?, rows)?),
                Kind::Bytes => {
                    let lengths = integers(row.text(next())?, rows)?;
                    let joined = Bytes::copy_from_slice(row.bytes(next())?);
                    let mut end = 0_usize;
                    let ends: Option<Vec<_>> = lengths
                        .into_iter()
                        .map(|length| {
                            end = end.checked_add(usize::try_from(length).ok()?)?;
                            Some(end)
                        })
                        .collect();
                    let ends = ends.filter(|_| end == joined.len()).ok_or(UNREADABLE)?;
                    Values::Bytes { joined, ends }
                }
            })
        });
        Ok(Batch::of(Rows::Columns { rows, columns: columns.collect::<Result<_, StoreError>>()? }))
    }
}

const UNREADABLE: StoreError = StoreError::Unavailable("rows were not answered as they were asked for");

/// Where each of so many values ends.
fn ends(joined: &str, rows: usize) -> Result<Vec<usize>, StoreError> {
    let mut ends = Vec::with_capacity(rows);
    ends.extend(joined.match_indices(SEPARATOR).map(|(at, _)| at));
    ends.push(joined.len());
    if ends.len() == rows { Ok(ends) } else { Err(UNREADABLE) }
}

fn integers(joined: &str, rows: usize) -> Result<Vec<i64>, StoreError> {
    let mut values = Vec::with_capacity(rows);
    for value in joined.split(SEPARATOR) {
        values.push(value.parse().map_err(|_| UNREADABLE)?);
    }
    if values.len() == rows { Ok(values) } else { Err(UNREADABLE) }
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
            (None, Rows::Columns { rows, .. }) => *rows,
            (None, Rows::Postgres(rows)) => rows.len(),
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
            Rows::Columns { columns, .. } => match columns.get(column) {
                Some(Values::Text { joined, ends }) => {
                    let start = self.start(ends, SEPARATOR.len_utf8())?;
                    joined.get(start..*ends.get(self.row).ok_or(UNREADABLE)?).ok_or(UNREADABLE)
                }
                _ => Err(UNREADABLE),
            },
            Rows::Postgres(rows) => Ok(rows.get(self.row).ok_or(UNREADABLE)?.try_get(column)?),
        }
    }

    /// An integer.
    pub(crate) fn integer(self, column: usize) -> Result<i64, StoreError> {
        match &self.batch.rows {
            Rows::Columns { columns, .. } => match columns.get(column) {
                Some(Values::Integer(values)) => values.get(self.row).copied().ok_or(UNREADABLE),
                _ => Err(UNREADABLE),
            },
            Rows::Postgres(rows) => Ok(rows.get(self.row).ok_or(UNREADABLE)?.try_get(column)?),
        }
    }

    /// An integer that is never negative.
    pub(crate) fn count(self, column: usize, table: &'static str) -> Result<u64, StoreError> {
        u64::try_from(self.integer(column)?).map_err(|_| StoreError::Corrupt { table })
    }

    /// Bytes.
    pub(crate) fn bytes(self, column: usize) -> Result<Bytes, StoreError> {
        match &self.batch.rows {
            Rows::Columns { columns, .. } => match columns.get(column) {
                Some(Values::Bytes { joined, ends }) => {
                    let (start, end) = (self.start(ends, 0)?, *ends.get(self.row).ok_or(UNREADABLE)?);
                    Ok(joined.slice(start..end))
                }
                _ => Err(UNREADABLE),
            },
            Rows::Postgres(rows) => {
                Ok(Bytes::copy_from_slice(rows.get(self.row).ok_or(UNREADABLE)?.try_get::<&[u8], _>(column)?))
            }
        }
    }

    /// Exactly 32 bytes.
    pub(crate) fn bytes32(self, column: usize, table: &'static str) -> Result<[u8; 32], StoreError> {
        self.bytes(column)?.as_ref().try_into().map_err(|_| StoreError::Corrupt { table })
    }

    /// Where this row's value starts: behind the one before it and what stands between them.
    fn start(self, ends: &[usize], between: usize) -> Result<usize, StoreError> {
        match self.row.checked_sub(1) {
            None => Ok(0),
            Some(before) => Ok(ends.get(before).ok_or(UNREADABLE)? + between),
        }
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
             WHERE m = $1 AND a BETWEEN json_extract($2, '$[0]') AND json_extract($2, '$[1]')"
        );
        assert_eq!(
            NEAR.postgres,
            "SELECT count(*), string_agg(a, chr(31)), string_agg((b)::text, chr(31)) FROM t \
             WHERE m = $1 AND a BETWEEN ($2::text[])[1] AND ($2::text[])[2]"
        );
    }

    #[test]
    fn a_value_with_the_separator_in_it_is_no_other_value() {
        assert_eq!(ends("a\u{1f}bc\u{1f}", 3).unwrap(), [1, 4, 5]);
        assert!(ends("a\u{1f}b", 1).is_err() && ends("a", 2).is_err());
        assert_eq!(integers("1\u{1f}-2", 2).unwrap(), [1, -2]);
        assert!(integers("1\u{1f}", 2).is_err() && integers("1", 2).is_err() && integers("x", 1).is_err());
    }

    #[test]
    fn columns_are_read_by_row() {
        let batch = Batch::of(Rows::Columns {
            rows: 2,
            columns: vec![
                Values::Text { joined: "a\u{1f}".into(), ends: vec![1, 2] },
                Values::Integer(vec![7, -1]),
                Values::Bytes { joined: Bytes::from_static(b"xyz"), ends: vec![0, 3] },
            ],
        });
        let [first, second] = <[_; 2]>::try_from(batch.rows().collect::<Vec<_>>()).ok().unwrap();
        assert_eq!((first.text(0).unwrap(), second.text(0).unwrap()), ("a", ""));
        assert_eq!((first.count(1, "t").unwrap(), second.integer(1).unwrap()), (7, -1));
        assert_eq!((first.bytes(2).unwrap().as_ref(), second.bytes(2).unwrap().as_ref()), (&b""[..], &b"xyz"[..]));
        assert!(first.text(1).is_err() && first.bytes(3).is_err() && first.integer(0).is_err());
        assert!(second.count(1, "t").is_err() && second.bytes32(2, "t").is_err());

        let only = batch.only(&[""]).unwrap();
        assert_eq!(only.rows().map(|row| row.integer(1).unwrap()).collect::<Vec<_>>(), [-1]);
    }
}
