//! stdout, the only writer of it: results as tables for people or as JSON Lines for programs.

use std::io::Write;

use serde_json::Value;

use crate::error::CliError;
use crate::table::Table;

/// Where results go.
pub(crate) struct Output {
    out: Box<dyn Write + Send>,
    json: bool,
}

// === impl Output ===

impl Output {
    /// Writes to `out`; JSON Lines when `json`.
    pub(crate) fn new(out: Box<dyn Write + Send>, json: bool) -> Self {
        Self { out, json }
    }

    /// Whether programs read this.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One table: rows under a header, or one JSON object a row.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), CliError> {
        if self.json {
            for object in table.json_objects() {
                self.json_line(&object)?;
            }
            return Ok(());
        }
        self.line(&table.to_text())
    }

    /// One line for people; nothing for programs.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), CliError> {
        if self.json { Ok(()) } else { self.line(text) }
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
