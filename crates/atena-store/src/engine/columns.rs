//! Rows by column: an answer in which the values of each column stand end to end, in one row of the
//! database or in several, part by part.

use bytes::Bytes;

use super::row::Row;
use crate::error::StoreError;

/// Stands between values in an answer (U+001F, the unit separator). An answer with a value that
/// contains it is refused.
pub(super) const SEPARATOR: char = '\u{1f}';

/// The answer does not have the columns or the number of values that it should have.
pub(super) const MALFORMED: StoreError = StoreError::Unavailable("the database answered with malformed rows");

/// What a column holds. None of its values may be NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Bytes,
}

/// Every column of an answer.
pub(super) struct Columns {
    rows: usize,
    columns: Vec<Values>,
}

/// The values of one column, end to end, and where each of them ends.
enum Values {
    Text { joined: String, ends: Vec<usize> },
    Integer(Vec<i64>),
    Bytes { joined: Bytes, ends: Vec<usize> },
}

// === impl Columns ===

impl Columns {
    /// Reads columns of these kinds. Each part begins with a count, and the values of so many rows
    /// follow.
    pub(super) fn read(parts: &[Row], kinds: impl ExactSizeIterator<Item = Kind>) -> Result<Self, StoreError> {
        let mut counted = Vec::with_capacity(parts.len());
        for part in parts {
            let rows = usize::try_from(part.integer(0)?).map_err(|_| MALFORMED)?;
            // Where there is no row, every column is NULL.
            if rows > 0 {
                counted.push((part, rows));
            }
        }
        let mut place = 1;
        let mut columns = Vec::with_capacity(kinds.len());
        for kind in kinds {
            columns.push(Values::read(kind, &counted, place)?);
            place += if kind == Kind::Bytes { 2 } else { 1 };
        }
        Ok(Self { rows: counted.iter().map(|(_, rows)| rows).sum(), columns })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn text(&self, row: usize, column: usize) -> Result<&str, StoreError> {
        let Some(Values::Text { joined, ends }) = self.columns.get(column) else { return Err(MALFORMED) };
        let start = start(ends, row, SEPARATOR.len_utf8())?;
        joined.get(start..*ends.get(row).ok_or(MALFORMED)?).ok_or(MALFORMED)
    }

    pub(super) fn integer(&self, row: usize, column: usize) -> Result<i64, StoreError> {
        let Some(Values::Integer(values)) = self.columns.get(column) else { return Err(MALFORMED) };
        values.get(row).copied().ok_or(MALFORMED)
    }

    pub(super) fn bytes(&self, row: usize, column: usize) -> Result<Bytes, StoreError> {
        let Some(Values::Bytes { joined, ends }) = self.columns.get(column) else { return Err(MALFORMED) };
        Ok(joined.slice(start(ends, row, 0)?..*ends.get(row).ok_or(MALFORMED)?))
    }
}

// === impl Values ===

impl Values {
    /// One column, which stands at `place` in each part. Bytes take two places: their lengths, then
    /// the bytes.
    fn read(kind: Kind, parts: &[(&Row, usize)], place: usize) -> Result<Self, StoreError> {
        let rows = parts.iter().map(|(_, rows)| rows).sum();
        Ok(match kind {
            Kind::Text => {
                let (mut joined, mut all) = (String::new(), Vec::with_capacity(rows));
                for (part, rows) in parts {
                    if !all.is_empty() {
                        joined.push(SEPARATOR);
                    }
                    let (before, text) = (joined.len(), part.text(place)?);
                    joined.push_str(text);
                    ends(text, before, *rows, &mut all)?;
                }
                Self::Text { joined, ends: all }
            }
            Kind::Integer => Self::Integer(integers(parts, place, rows)?),
            Kind::Bytes => {
                let lengths = integers(parts, place, rows)?;
                let blobs = parts.iter().map(|(part, _)| part.bytes(place + 1)).collect::<Result<Vec<_>, _>>()?;
                let joined = Bytes::from(blobs.concat());
                let mut end = 0_usize;
                let ends: Option<Vec<_>> = lengths
                    .into_iter()
                    .map(|length| {
                        end = end.checked_add(usize::try_from(length).ok()?)?;
                        Some(end)
                    })
                    .collect();
                Self::Bytes { ends: ends.filter(|_| end == joined.len()).ok_or(MALFORMED)?, joined }
            }
        })
    }
}

/// Where the value of a row starts: behind the one before it and what stands between them.
fn start(ends: &[usize], row: usize, between: usize) -> Result<usize, StoreError> {
    match row.checked_sub(1) {
        None => Ok(0),
        Some(before) => Ok(ends.get(before).ok_or(MALFORMED)? + between),
    }
}

/// Adds where each of so many values ends, in a text that stands behind `before` others.
fn ends(text: &str, before: usize, rows: usize, out: &mut Vec<usize>) -> Result<(), StoreError> {
    let there = out.len();
    out.extend(text.match_indices(SEPARATOR).map(|(at, _)| before + at));
    out.push(before + text.len());
    if out.len() - there == rows { Ok(()) } else { Err(MALFORMED) }
}

/// The integers of all parts, of which there are so many.
fn integers(parts: &[(&Row, usize)], place: usize, rows: usize) -> Result<Vec<i64>, StoreError> {
    let mut values = Vec::with_capacity(rows);
    for (part, rows) in parts {
        split(part.text(place)?, *rows, &mut values)?;
    }
    Ok(values)
}

/// Adds so many integers of a text.
fn split(text: &str, rows: usize, out: &mut Vec<i64>) -> Result<(), StoreError> {
    let there = out.len();
    for value in text.split(SEPARATOR) {
        out.push(value.parse().map_err(|_| MALFORMED)?);
    }
    if out.len() - there == rows { Ok(()) } else { Err(MALFORMED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Columns {
        /// Two rows of a text, an integer and bytes.
        pub(in super::super) fn sample() -> Self {
            let text = Values::Text { joined: "a\u{1f}".into(), ends: vec![1, 2] };
            let bytes = Values::Bytes { joined: Bytes::from_static(b"xyz"), ends: vec![0, 3] };
            Self { rows: 2, columns: vec![text, Values::Integer(vec![7, -1]), bytes] }
        }
    }

    #[test]
    fn a_value_with_the_separator_in_it_is_no_other_value() {
        let ends_of = |text, rows| {
            let mut found = vec![1];
            ends(text, 2, rows, &mut found).map(|()| found)
        };
        assert_eq!(ends_of("a\u{1f}bc\u{1f}", 3).unwrap(), [1, 3, 6, 7]);
        assert!(ends_of("a\u{1f}b", 1).is_err() && ends_of("a", 2).is_err());
        let split_of = |text, rows| {
            let mut found = vec![9];
            split(text, rows, &mut found).map(|()| found)
        };
        assert_eq!(split_of("1\u{1f}-2", 2).unwrap(), [9, 1, -2]);
        assert!(split_of("1\u{1f}", 2).is_err() && split_of("1", 2).is_err() && split_of("x", 1).is_err());
    }

    #[test]
    fn columns_are_read_by_row() {
        let columns = Columns::sample();
        assert_eq!((columns.text(0, 0).unwrap(), columns.text(1, 0).unwrap()), ("a", ""));
        assert_eq!((columns.integer(0, 1).unwrap(), columns.integer(1, 1).unwrap()), (7, -1));
        let bytes = [0, 1].map(|row| columns.bytes(row, 2).unwrap());
        assert_eq!(bytes, [&b""[..], &b"xyz"[..]]);
        assert!(columns.text(0, 1).is_err() && columns.bytes(0, 3).is_err() && columns.integer(0, 0).is_err());
        assert!(columns.text(2, 0).is_err() && columns.integer(2, 1).is_err() && columns.bytes(2, 2).is_err());
    }
}
