//! One result in two forms: a table that lines up (Japanese included) and JSON objects.

use comfy_table::{Cell, CellAlignment, Row, Table as Drawn, presets};
use serde_json::{Map, Value};

use crate::error::CliError;

/// Rows under named columns.
pub(crate) struct Table {
    columns: Vec<(&'static str, String)>,
    rows: Vec<Vec<Value>>,
}

// === impl Table ===

impl Table {
    /// A table with columns of (JSON key, header).
    pub(crate) fn new(columns: &[(&'static str, &str)]) -> Self {
        Self { columns: columns.iter().map(|(key, header)| (*key, (*header).to_owned())).collect(), rows: Vec::new() }
    }

    /// Adds a row, one value a column.
    pub(crate) fn row(&mut self, values: impl IntoIterator<Item = Value>) -> &mut Self {
        self.rows.push(values.into_iter().collect());
        self
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One object a row.
    pub(crate) fn json_objects(&self) -> impl Iterator<Item = Value> {
        self.rows.iter().map(|row| {
            let pairs = self.columns.iter().zip(row).map(|((key, _), value)| ((*key).to_owned(), value.clone()));
            Value::Object(pairs.collect::<Map<_, _>>())
        })
    }

    /// A header row and one row a row; several lines of one cell are joined by `; `.
    ///
    /// # Errors
    /// Never for values in memory; the writer's error type says otherwise.
    pub(crate) fn to_csv(&self) -> Result<String, CliError> {
        let failed = |error: csv::Error| CliError::Rows(error.to_string());
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|(_, header)| header.as_str())).map_err(failed)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(plain)).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|error| CliError::Rows(error.to_string()))?;
        String::from_utf8(bytes).map_err(|error| CliError::Rows(error.to_string()))
    }

    /// The table drawn with lines; numbers to the right, with separators.
    pub(crate) fn to_text(&self) -> String {
        let mut drawn = Drawn::new();
        drawn.load_style(presets::UTF8_FULL_CONDENSED);
        drawn.set_header(self.columns.iter().map(|(_, header)| header.as_str()));
        for row in &self.rows {
            drawn.add_row(Row::from(row.iter().map(cell).collect::<Vec<_>>()));
        }
        drawn.trim_fmt()
    }
}

/// A value as one line of text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace('\n', "; "),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

/// A count for people to read: digits in groups of three.
pub(crate) fn counted(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A whole number with separators: 17,510.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Number(number) => {
            let text = number.as_i64().map_or_else(|| number.to_string(), grouped);
            Cell::new(text).set_alignment(CellAlignment::Right)
        }
        other => Cell::new(text(other)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    fn example() -> Table {
        let mut table = Table::new(&[("name", "部署"), ("count", "count")]);
        table.row(["市民税課".into(), 1_234_567.into()]);
        table.row(["tax".into(), 1.into()]);
        table
    }

    #[test]
    fn lines_of_japanese_and_latin_text_are_equally_wide() {
        let text = example().to_text();
        let widths: Vec<usize> = text.lines().map(|line| line.width()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
        assert!(text.contains("1,234,567"), "{text}");
    }

    #[test]
    fn rows_become_objects_with_plain_numbers() {
        let objects: Vec<String> = example().json_objects().map(|object| object.to_string()).collect();
        assert_eq!(objects[0], r#"{"count":1234567,"name":"市民税課"}"#);
    }

    #[test]
    fn negative_numbers_are_grouped_as_well() {
        assert_eq!([grouped(0), grouped(-1234), grouped(999)], ["0", "-1,234", "999"]);
    }
}
