//! One statement in the words of both engines, and the values bound to it.

/// A statement's text for each engine; made by the `sql!` macro. Parameters are `$1`, `$2`, …; `$1` is the municipality, always.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

impl Sql {
    pub(crate) const fn new(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

/// Puts a statement together from parts: `all "text"` is the same in both engines, `sqlite "text"` and `postgres "text"` are for the one engine, and `texts "$3"` says that what stands
/// before is one of the few values bound as a list to that parameter.
///
/// A statement about each value of a long list begins with `each "$3::text[]"`, has `wanted "$3"` (or `wanted_blob`, for bytes; or
/// `wanted_place`, for the 15 digits of a person and a key in one text) where the value is compared, and finishes with `done ""`. On
/// PostgreSQL it looks up one value after the other by the index: planned as a whole, a table that has grown since it was last analysed
/// would be walked through for every list. `at_wanted ""` compares a person and a key with such a text of a list that is joined as `wanted`.
///
/// `near` is for a statement of the same parts whose list is of firsts and lasts in turn, and that reads everything from the first to the last
/// instead: on SQLite from the first of all to the last of all, on PostgreSQL from each first to its last, one row for each. See
/// [`BatchSql`](crate::engine::BatchSql).
///
/// `text "column"`, `integer "column"` and `bytes "column"` are columns of a `batch!` statement: all values of each end to end, in one row
/// (`together`) or few (`near`); but rows as they are on PostgreSQL where each value of a list is looked up by itself.
macro_rules! sql {
    (@all all $text:literal) => { $text };
    (@all at_wanted $nothing:literal) => { " = (substr(wanted.value, 1, 15), substr(wanted.value, 16))" };
    (@sqlite sqlite $text:literal) => { $text };
    (@sqlite postgres $text:literal) => { "" };
    (@sqlite text $column:literal) => { concat!("group_concat(", $column, ", char(31))") };
    (@sqlite integer $column:literal) => { concat!("group_concat(", $column, ", char(31))") };
    (@sqlite bytes $column:literal) => {
        concat!("group_concat(length(", $column, "), char(31)), CAST(group_concat(", $column, ", '') AS BLOB)")
    };
    (@sqlite texts $list:literal) => { concat!(" IN (SELECT value FROM json_each(", $list, "))") };
    (@sqlite each $list:literal) => { "" };
    (@sqlite wanted $list:literal) => { concat!(" IN (SELECT value FROM json_each(", $list, "))") };
    (@sqlite wanted_blob $list:literal) => { concat!(" IN (SELECT unhex(value) FROM json_each(", $list, "))") };
    (@sqlite wanted_place $list:literal) => {
        concat!(" IN (SELECT substr(value, 1, 15), substr(value, 16) FROM json_each(", $list, "))")
    };
    (@sqlite done $nothing:literal) => { "" };
    (@sqlite $kind:ident $text:literal) => { $crate::engine::sql!(@all $kind $text) };
    (@postgres sqlite $text:literal) => { "" };
    (@postgres postgres $text:literal) => { $text };
    (@postgres text $column:literal) => { $column };
    (@postgres integer $column:literal) => { $column };
    (@postgres bytes $column:literal) => { $column };
    (@postgres texts $list:literal) => { concat!(" = ANY(", $list, ")") };
    (@postgres each $list:literal) => {
        concat!("SELECT found.* FROM unnest(", $list, ") AS wanted (value) CROSS JOIN LATERAL (")
    };
    (@postgres wanted $list:literal) => { " = wanted.value" };
    (@postgres wanted_blob $list:literal) => { " = wanted.value" };
    (@postgres wanted_place $list:literal) => { $crate::engine::sql!(@all at_wanted $list) };
    (@postgres done $nothing:literal) => { " OFFSET 0) AS found" };
    (@postgres $kind:ident $text:literal) => { $crate::engine::sql!(@all $kind $text) };
    (@together_postgres text $column:literal) => { concat!("string_agg(", $column, ", chr(31))") };
    (@together_postgres integer $column:literal) => { concat!("string_agg((", $column, ")::text, chr(31))") };
    (@together_postgres bytes $column:literal) => {
        concat!("string_agg(length(", $column, ")::text, chr(31)), string_agg(", $column, ", '')")
    };
    (@together_postgres $kind:ident $text:literal) => { $crate::engine::sql!(@postgres $kind $text) };
    (@near_sqlite wanted $list:literal) => {
        concat!(" BETWEEN json_extract(", $list, ", '$[0]') AND json_extract(", $list, ", '$[#-1]')")
    };
    (@near_sqlite $kind:ident $text:literal) => { $crate::engine::sql!(@sqlite $kind $text) };
    (@near_postgres each $list:literal) => {
        concat!("SELECT part.* FROM generate_series(1, cardinality(", $list, "), 2) AS near (at) CROSS JOIN LATERAL (")
    };
    (@near_postgres wanted $list:literal) => {
        concat!(" BETWEEN (", $list, "::text[])[near.at] AND (", $list, "::text[])[near.at + 1]")
    };
    (@near_postgres done $nothing:literal) => { ") AS part" };
    (@near_postgres $kind:ident $text:literal) => { $crate::engine::sql!(@together_postgres $kind $text) };
    (together $($kind:ident $text:literal)+) => {
        $crate::engine::Sql::new(
            concat!($($crate::engine::sql!(@sqlite $kind $text)),+),
            concat!($($crate::engine::sql!(@together_postgres $kind $text)),+),
        )
    };
    (near $($kind:ident $text:literal)+) => {
        $crate::engine::Sql::new(
            concat!($($crate::engine::sql!(@near_sqlite $kind $text)),+),
            concat!($($crate::engine::sql!(@near_postgres $kind $text)),+),
        )
    };
    ($($kind:ident $text:literal)+) => {
        $crate::engine::Sql::new(
            concat!($($crate::engine::sql!(@sqlite $kind $text)),+),
            concat!($($crate::engine::sql!(@postgres $kind $text)),+),
        )
    };
}
pub(crate) use sql;

/// A bound value.
#[derive(Clone)]
pub(crate) enum Value<'q> {
    Text(&'q str),
    MaybeText(Option<&'q str>),
    Integer(i64),
    Bytes(&'q [u8]),
    Texts(Vec<&'q str>),
    Blobs(Vec<&'q [u8]>),
    Integers(Vec<i64>),
}

/// A statement with its values. It can be sent again, to another connection.
pub(crate) struct Statement<'q> {
    pub(super) sql: Sql,
    pub(super) values: Vec<Value<'q>>,
}

// === impl Statement ===

impl<'q> Statement<'q> {
    /// A statement about one municipality, which is its first parameter.
    pub(crate) fn about(municipality: &'q str, sql: Sql) -> Self {
        Self { sql, values: vec![Value::Text(municipality)] }
    }

    /// The statement that is about every municipality of the database.
    pub(crate) fn about_all(sql: Sql) -> Self {
        Self { sql, values: Vec::new() }
    }

    pub(crate) fn text(self, value: &'q str) -> Self {
        self.with(Value::Text(value))
    }

    pub(crate) fn maybe_text(self, value: Option<&'q str>) -> Self {
        self.with(Value::MaybeText(value))
    }

    pub(crate) fn integer(self, value: i64) -> Self {
        self.with(Value::Integer(value))
    }

    pub(crate) fn bytes(self, value: &'q [u8]) -> Self {
        self.with(Value::Bytes(value))
    }

    pub(crate) fn texts(self, values: impl IntoIterator<Item = &'q str>) -> Self {
        self.with(Value::Texts(values.into_iter().collect()))
    }

    pub(crate) fn blobs(self, values: impl IntoIterator<Item = &'q [u8]>) -> Self {
        self.with(Value::Blobs(values.into_iter().collect()))
    }

    pub(crate) fn integers(self, values: impl IntoIterator<Item = i64>) -> Self {
        self.with(Value::Integers(values.into_iter().collect()))
    }

    /// Whether it looks for one of no values: then there is nothing to find, and nobody has to be asked.
    pub(super) fn finds_nothing(&self) -> bool {
        self.values.iter().any(|value| match value {
            Value::Texts(values) => values.is_empty(),
            Value::Blobs(values) => values.is_empty(),
            Value::Integers(values) => values.is_empty(),
            Value::Text(_) | Value::MaybeText(_) | Value::Integer(_) | Value::Bytes(_) => false,
        })
    }

    fn with(mut self, value: Value<'q>) -> Self {
        self.values.push(value);
        self
    }
}

/// Texts as a JSON array, as SQLite's `json_each` reads it.
pub(super) fn json_texts(values: &[&str]) -> String {
    let mut json = String::with_capacity(2 + values.iter().map(|value| value.len() + 3).sum::<usize>());
    json.push('[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push('"');
        for character in value.chars() {
            match character {
                '"' | '\\' => json.extend(['\\', character]),
                control @ '\0'..='\u{1f}' => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    let code = control as usize;
                    json.push_str("\\u00");
                    json.extend([char::from(HEX[code >> 4]), char::from(HEX[code & 15])]);
                }
                other => json.push(other),
            }
        }
        json.push('"');
    }
    json.push(']');
    json
}

/// Integers as a JSON array.
pub(super) fn json_integers(values: &[i64]) -> String {
    let texts: Vec<_> = values.iter().map(i64::to_string).collect();
    format!("[{}]", texts.join(","))
}

/// Bytes as a JSON array of hexadecimal texts.
pub(super) fn json_blobs(values: &[&[u8]]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut json = String::with_capacity(2 + values.iter().map(|value| 2 * value.len() + 3).sum::<usize>());
    json.push('[');
    for (index, value) in values.iter().enumerate() {
        json.push_str(if index > 0 { ",\"" } else { "\"" });
        for byte in *value {
            json.extend([char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]);
        }
        json.push('"');
    }
    json.push(']');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_the_same_but_for_lists_and_hints() {
        const FIND: Sql = sql!(all "SELECT a FROM t" sqlite " INDEXED BY i" all " WHERE m = $1 AND a" texts "$2");
        assert_eq!(FIND.sqlite, "SELECT a FROM t INDEXED BY i WHERE m = $1 AND a IN (SELECT value FROM json_each($2))");
        assert_eq!(FIND.postgres, "SELECT a FROM t WHERE m = $1 AND a = ANY($2)");
    }

    #[test]
    fn each_value_of_a_long_list_is_looked_up_by_itself() {
        const FIND: Sql = sql!(each "$2::text[]" all "SELECT a FROM t WHERE m = $1 AND a" wanted "$2" done "");
        assert_eq!(FIND.sqlite, "SELECT a FROM t WHERE m = $1 AND a IN (SELECT value FROM json_each($2))");
        assert_eq!(
            FIND.postgres,
            "SELECT found.* FROM unnest($2::text[]) AS wanted (value) CROSS JOIN LATERAL \
             (SELECT a FROM t WHERE m = $1 AND a = wanted.value OFFSET 0) AS found"
        );
    }

    #[test]
    fn one_of_no_values_is_nothing() {
        const FIND: Sql = sql!(all "SELECT a FROM record WHERE m = $1 AND a" texts "$2");
        assert!(Statement::about("132098", FIND).texts([]).finds_nothing());
        assert!(!Statement::about("132098", FIND).texts([""]).finds_nothing());
        assert!(!Statement::about("132098", FIND).finds_nothing());
    }

    #[test]
    fn lists_are_json_whatever_is_in_them() {
        assert_eq!(json_texts(&[]), "[]");
        assert_eq!(json_texts(&["A1", "a\"b\\c\n\u{1}", "宛名"]), "[\"A1\",\"a\\\"b\\\\c\\u000a\\u0001\",\"宛名\"]");
        assert_eq!((json_integers(&[]).as_str(), json_integers(&[1, -2]).as_str()), ("[]", "[1,-2]"));
        assert_eq!(json_blobs(&[&[0, 255], &[]]), "[\"00FF\",\"\"]");
    }
}
