//! stdout, the only writer of it: results as tables for people or as JSON Lines for programs.

use std::io::Write;

use serde_json::Value;

use crate::error::CliError;
use crate::table::Table;

/// Where results go.
pub(crate) struct Output {
    out: Box<dyn Write + Send>,
    form: Form,
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
    pub(crate) fn new(out: Box<dyn Write + Send>, form: Form) -> Self {
        Self { out, form }
    }

    /// Whether programs read this.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// One table: rows under a header, or one JSON object a row.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), CliError> {
        match self.form {
            Form::Table => self.line(&table.to_text()),
            Form::Csv => self.line(table.to_csv()?.trim_end()),
            Form::Json => table.json_objects().try_for_each(|object| self.json_line(&object)),
        }
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
