//! stdout, the only writer of it: results as tables for people or as JSON Lines for programs.

use std::io::{IsTerminal as _, Write};

use serde_json::Value;

use crate::csv_io::BYTE_ORDER_MARK;
use crate::error::CliError;
use crate::table::Table;

/// Where results go.
pub(crate) struct Output {
    out: Box<dyn Write + Send>,
    form: Form,
    destination: Destination,
    /// Whether a table in CSV was written already.
    begun: bool,
}

/// What stdout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A person looks at it.
    Terminal,
    /// A file or a pipe: Excel will open it.
    File,
}

// === impl Destination ===

impl Destination {
    /// What the stdout of this process is.
    pub(crate) fn of_stdout() -> Self {
        if std::io::stdout().is_terminal() { Self::Terminal } else { Self::File }
    }
}

/// Who reads the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// People.
    Table,
    /// Spreadsheets.
    Csv,
    /// Programs.
    Json,
}

// === impl Output ===

impl Output {
    /// Writes to `out`.
    pub(crate) fn new(out: Box<dyn Write + Send>, form: Form, destination: Destination) -> Self {
        Self { out, form, destination, begun: false }
    }

    /// Who reads this.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Whether programs read this.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// One table: rows under a header, or one JSON object a row.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), CliError> {
        match self.form {
            Form::Table => self.line(&table.to_text()),
            Form::Csv => self.csv(table.to_csv()?.trim_end()),
            Form::Json => table.json_objects().try_for_each(|object| self.json_line(&object)),
        }
    }

    /// One table in CSV: with a byte order mark before the first, so that Excel takes a file for UTF-8, and
    /// an empty line before each of the others.
    fn csv(&mut self, table: &str) -> Result<(), CliError> {
        if std::mem::replace(&mut self.begun, true) {
            self.line("")?;
        } else if self.destination == Destination::File {
            self.out.write_all(BYTE_ORDER_MARK).map_err(CliError::Output)?;
        }
        self.line(table)
    }

    /// One line for people; nothing for programs.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), CliError> {
        if self.form == Form::Table { self.line(text) } else { Ok(()) }
    }

    /// One line, in either form, at once.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.out, "{text}").and_then(|()| self.out.flush()).map_err(CliError::Output)
    }

    /// One JSON object on a line.
    pub(crate) fn json_line(&mut self, object: &Value) -> Result<(), CliError> {
        writeln!(self.out, "{object}").map_err(CliError::Output)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(form: Form, destination: Destination) -> String {
        let sink = Sink::default();
        let mut output = Output::new(Box::new(sink.clone()), form, destination);
        let mut table = Table::new(&[("name", "氏名")]);
        table.row(["x".into()]);
        output.table(&table).unwrap();
        output.table(&table).unwrap();
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn csv_in_a_file_begins_with_one_byte_order_mark_and_nothing_else_has_one() {
        assert_eq!(written(Form::Csv, Destination::File), "\u{feff}氏名\nx\n\n氏名\nx\n");
        assert_eq!(written(Form::Csv, Destination::Terminal), "氏名\nx\n\n氏名\nx\n");
        for form in [Form::Json, Form::Table] {
            assert!(!written(form, Destination::File).contains('\u{feff}'), "{form:?}");
        }
    }
}
