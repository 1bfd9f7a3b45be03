//! What a [`BatchSql`] sends, made of its columns and the rest of its `SELECT`.

use super::batch::{BatchSql, List, ListOf};
use super::columns::Kind;
use super::sql::{Sql, dedented};

/// The texts of one statement.
pub(crate) struct Texts {
    /// Finds all rows, or looks up each value of the list.
    pub(crate) look_up: Sql,
    /// Reads from the first value of the list to the last. The list is then of the first and the
    /// last value of each part. SQLite reads from the first of all to the last of all, PostgreSQL
    /// part by part, with one row for each.
    pub(crate) range_read: Option<Sql>,
}

// === impl Texts ===

impl Texts {
    pub(super) fn new(statement: &BatchSql) -> Self {
        let joined = |join: fn(&str, Kind) -> String, from: &str| {
            let columns: Vec<_> = statement.columns.iter().map(|(column, kind)| join(column, *kind)).collect();
            format!("SELECT count(*),\n    {}\n{from}", columns.join(",\n    "))
        };
        let (sqlite, postgres) = (dedented(statement.from.sqlite), dedented(statement.from.postgres));
        let sqlite = sqlite_lists(&sqlite, statement.list);
        let Some(list) = statement.list else {
            return Self {
                look_up: leak(joined(sqlite_joined, &sqlite), joined(postgres_joined, &postgres)),
                range_read: None,
            };
        };
        let List { parameter, of, range_read } = list;
        let compared = format!(" = ANY({parameter})");
        debug_assert_eq!(postgres.matches(&compared).count(), 1, "the list is compared once: {postgres}");
        let array = format!("{parameter}::{}", of.postgres_type());
        let columns: Vec<_> = statement.columns.iter().map(|(column, _)| *column).collect();
        // Planned as a whole, a table that has grown since it was last analysed would be read from
        // end to end for every list. OFFSET 0 keeps the planner from making one join of it.
        let each =
            format!("SELECT {}\n{}\nOFFSET 0", columns.join(", "), postgres.replace(&compared, of.postgres_compared()));
        let each = lateral(&format!("unnest({array}) AS listed (value)"), &each);
        let look_up = leak(joined(sqlite_joined, &sqlite.replace(&compared, &of.sqlite_compared(parameter))), each);
        let range = |_| {
            let sqlite_range =
                format!(" BETWEEN json_extract({parameter}, '$[0]') AND json_extract({parameter}, '$[#-1]')");
            let postgres_range = format!(" BETWEEN ({array})[part.first] AND ({array})[part.first + 1]");
            let part = joined(postgres_joined, &postgres.replace(&compared, &postgres_range));
            let parts = format!("generate_series(1, cardinality({array}), 2) AS part (first)");
            let parts = lateral(&parts, &part);
            leak(joined(sqlite_joined, &sqlite.replace(&compared, &sqlite_range)), parts)
        };
        Self { look_up, range_read: range_read.map(range) }
    }
}

// === impl ListOf ===

impl ListOf {
    /// How SQLite compares a column with the values of a list.
    fn sqlite_compared(self, parameter: &str) -> String {
        let value = match self {
            Self::Texts | Self::Integers => "value",
            Self::Blobs => "unhex(value)",
            Self::Places => "substr(value, 1, 15), substr(value, 16)",
        };
        format!(" IN (SELECT {value} FROM json_each({parameter}))")
    }

    /// How PostgreSQL compares a column with one value of a list.
    fn postgres_compared(self) -> &'static str {
        match self {
            Self::Texts | Self::Integers | Self::Blobs => " = listed.value",
            Self::Places => " = (substr(listed.value, 1, 15), substr(listed.value, 16))",
        }
    }

    fn postgres_type(self) -> &'static str {
        match self {
            Self::Texts | Self::Places => "text[]",
            Self::Integers => "bigint[]",
            Self::Blobs => "bytea[]",
        }
    }
}

/// A statement that PostgreSQL runs once for each row of another.
fn lateral(rows: &str, statement: &str) -> String {
    let statement = statement.replace('\n', "\n    ");
    format!("SELECT found.* FROM {rows}\nCROSS JOIN LATERAL (\n    {statement}) AS found")
}

/// Every comparison with a list but that of the statement's own list, as SQLite has it.
fn sqlite_lists(from: &str, own: Option<List>) -> String {
    let mut parts = from.split(" = ANY(");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (parameter, rest) = part.split_once(')').unwrap_or((part, ""));
        if own.is_some_and(|list| list.parameter == parameter) {
            text.push_str(&format!(" = ANY({parameter}){rest}"));
        } else {
            text.push_str(&ListOf::Texts.sqlite_compared(parameter));
            text.push_str(rest);
        }
    }
    text
}

/// All values of a column, as SQLite joins them.
fn sqlite_joined(column: &str, kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Integer => format!("group_concat({column}, char(31))"),
        Kind::Bytes => {
            format!("group_concat(length({column}), char(31)), CAST(group_concat({column}, '') AS BLOB)")
        }
    }
}

/// All values of a column, as PostgreSQL joins them.
fn postgres_joined(column: &str, kind: Kind) -> String {
    match kind {
        Kind::Text => format!("string_agg({column}, chr(31))"),
        Kind::Integer => format!("string_agg(({column})::text, chr(31))"),
        Kind::Bytes => format!("string_agg(length({column})::text, chr(31)), string_agg({column}, '')"),
    }
}

/// Texts are made once and kept as long as the process lives, as the constants that they are made
/// of.
fn leak(sqlite: String, postgres: String) -> Sql {
    Sql::per_engine(sqlite.leak(), postgres.leak())
}

#[cfg(test)]
mod tests {
    use super::super::neighbours::Spacing;
    use super::*;

    const COLUMNS: &[(&str, Kind)] = &[("a", Kind::Text), ("b", Kind::Integer), ("c", Kind::Bytes)];

    #[test]
    fn all_rows_are_joined() {
        let all = BatchSql::all(COLUMNS, Sql::same("FROM t WHERE m = $1 AND d = ANY($2)"));
        let Texts { look_up, range_read } = all.texts();
        assert_eq!(
            look_up.sqlite,
            "SELECT count(*),\n    group_concat(a, char(31)),\n    group_concat(b, char(31)),\n    \
             group_concat(length(c), char(31)), CAST(group_concat(c, '') AS BLOB)\n\
             FROM t WHERE m = $1 AND d IN (SELECT value FROM json_each($2))"
        );
        assert_eq!(
            look_up.postgres,
            "SELECT count(*),\n    string_agg(a, chr(31)),\n    string_agg((b)::text, chr(31)),\n    \
             string_agg(length(c)::text, chr(31)), string_agg(c, '')\n\
             FROM t WHERE m = $1 AND d = ANY($2)"
        );
        assert!(range_read.is_none());
    }

    #[test]
    fn values_of_a_list_are_looked_up_one_by_one_or_read_in_one_go() {
        let of_list = BatchSql::of_list(
            &[("a", Kind::Text)],
            Sql::same("FROM t WHERE m = $1 AND a = ANY($3) AND d = ANY($2)"),
            List::range_read(Spacing::Consecutive, "$3"),
        );
        let Texts { look_up, range_read } = of_list.texts();
        assert_eq!(
            look_up.sqlite,
            "SELECT count(*),\n    group_concat(a, char(31))\nFROM t WHERE m = $1 \
             AND a IN (SELECT value FROM json_each($3)) AND d IN (SELECT value FROM json_each($2))"
        );
        assert_eq!(
            look_up.postgres,
            "SELECT found.* FROM unnest($3::text[]) AS listed (value)\nCROSS JOIN LATERAL (\n    SELECT a\n    \
             FROM t WHERE m = $1 AND a = listed.value AND d = ANY($2)\n    OFFSET 0) AS found"
        );
        let range_read = range_read.unwrap();
        assert_eq!(
            range_read.sqlite,
            "SELECT count(*),\n    group_concat(a, char(31))\nFROM t WHERE m = $1 \
             AND a BETWEEN json_extract($3, '$[0]') AND json_extract($3, '$[#-1]') \
             AND d IN (SELECT value FROM json_each($2))"
        );
        assert_eq!(
            range_read.postgres,
            "SELECT found.* FROM generate_series(1, cardinality($3::text[]), 2) AS part (first)\n\
             CROSS JOIN LATERAL (\n    SELECT count(*),\n        string_agg(a, chr(31))\n    \
             FROM t WHERE m = $1 AND a BETWEEN ($3::text[])[part.first] AND ($3::text[])[part.first + 1] \
             AND d = ANY($2)) AS found"
        );
    }
}
