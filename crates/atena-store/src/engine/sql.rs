//! One statement in the words of both engines, and the values bound to it.

/// A statement's text for each engine. Parameters are `$1`, `$2`, …; `$1` is the municipality,
/// always.
///
/// The texts are plain: what a constant says can be pasted into `sqlite3` or `psql`.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

// === impl Sql ===

impl Sql {
    /// A statement that both engines take.
    pub(crate) const fn same(text: &'static str) -> Self {
        Self { sqlite: text, postgres: text }
    }

    /// A statement that differs.
    pub(crate) const fn per_engine(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

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

    /// The one statement that is about every municipality of the database.
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

    /// Whether one of its lists is empty: then it finds nothing and need not be sent.
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

/// A text of several lines without the indentation that they have in the source, but for the first.
pub(crate) fn dedented(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let common = text.lines().skip(1).map(indent).min().unwrap_or(0);
    let lines: Vec<_> = text.lines().map(|line| line.get(common.min(indent(line))..).unwrap_or_default()).collect();
    lines.join("\n")
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
    fn a_statement_with_an_empty_list_finds_nothing() {
        const FIND: Sql = Sql::same("SELECT a FROM t WHERE m = $1 AND a = ANY($2)");
        assert!(Statement::about("132098", FIND).texts([]).finds_nothing());
        assert!(!Statement::about("132098", FIND).texts([""]).finds_nothing());
        assert!(!Statement::about("132098", FIND).finds_nothing());
    }

    #[test]
    fn the_indentation_of_the_source_is_taken_away() {
        let text = "SELECT a FROM t
            WHERE m = $1
                AND a = $2";
        assert_eq!(dedented(text), "SELECT a FROM t\nWHERE m = $1\n    AND a = $2");
    }

    #[test]
    fn lists_are_json_whatever_is_in_them() {
        assert_eq!(json_texts(&[]), "[]");
        assert_eq!(json_texts(&["A1", "a\"b\\c\n\u{1}", "宛名"]), "[\"A1\",\"a\\\"b\\\\c\\u000a\\u0001\",\"宛名\"]");
        assert_eq!((json_integers(&[]).as_str(), json_integers(&[1, -2]).as_str()), ("[]", "[1,-2]"));
        assert_eq!(json_blobs(&[&[0, 255], &[]]), "[\"00FF\",\"\"]");
    }
}
