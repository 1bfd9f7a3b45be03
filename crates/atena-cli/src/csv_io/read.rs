//! Reading files row by row.

use std::io::{BufRead, BufReader, Read};

use atena_proto::v1::{Dataset, PersonRegistration, PushedRecord};
use prost_reflect::{DynamicMessage, MessageDescriptor};

use super::columns::{self, Column};
use super::encoding::{self, MALFORMED};
use super::{Format, PEOPLE, RECORDS, RowError, generated, record_message};
use crate::contract::Contract;
use crate::error::CliError;

/// Longest line of a JSON Lines file, in bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// Rows of any message.
type Rows = Box<dyn Iterator<Item = Result<(u64, DynamicMessage), RowError>> + Send>;

/// The people in a file, each with its line, and the columns that the file lacks.
pub(crate) fn read_people<R: Read + Send + 'static>(
    file: R,
    format: Format,
) -> (impl Iterator<Item = Result<(u64, PersonRegistration), RowError>> + Send, MissingColumns) {
    let (rows, missing) = open(file, format, Layout::people);
    (finish(rows), missing)
}

/// The records of one dataset in a file, each with its line, and the columns that the file lacks.
pub(crate) fn read_records<R: Read + Send + 'static>(
    dataset: Dataset,
    file: R,
    format: Format,
) -> (impl Iterator<Item = Result<(u64, PushedRecord), RowError>> + Send, MissingColumns) {
    let (rows, missing) = open(file, format, move |contract| Layout::records(contract, dataset));
    (finish(rows), missing)
}

/// Columns of the contract that are not in a CSV file's header, by their Japanese names. A JSON
/// Lines file has no header.
pub(crate) type MissingColumns = Vec<String>;

/// What the rows of a file make up.
struct Layout {
    /// The message of a row.
    message: MessageDescriptor,
    /// Columns of the message itself.
    outer: Vec<Column>,
    /// The field that holds the rest, its message and its columns.
    inner: (&'static str, MessageDescriptor, Vec<Column>),
    /// The message to put there instead for a deletion.
    deletion: Option<(MessageDescriptor, Dataset)>,
}

/// Where a cell goes.
#[derive(Clone)]
enum Target {
    Outer(Column),
    Inner(Column),
    Deleted,
}

// === impl Layout ===

impl Layout {
    fn people(contract: &Contract) -> Result<Self, CliError> {
        let (message, mut outer) = columns::of_message(contract, PEOPLE)?;
        outer.retain(|column| !column.path.starts_with("person."));
        let (person, inner) = columns::of_message(contract, "Person")?;
        Ok(Self { message, outer, inner: ("person", person, inner), deletion: None })
    }

    fn records(contract: &Contract, dataset: Dataset) -> Result<Self, CliError> {
        let (name, field) = record_message(dataset)?;
        let (message, mut outer) = columns::of_message(contract, RECORDS)?;
        outer.retain(|column| !column.path.contains('.'));
        let (record, inner) = columns::of_message(contract, name)?;
        let deletion = Some((contract.message("Deletion")?, dataset));
        Ok(Self { message, outer, inner: (field, record, inner), deletion })
    }

    fn target(&self, header: &str) -> Option<Target> {
        let header = header.trim();
        let inner_path = header.strip_prefix(self.inner.0).and_then(|rest| rest.strip_prefix('.')).unwrap_or(header);
        let named = |column: &&Column, path: &str| column.path == path || column.japanese == header;
        if let Some(column) = self.outer.iter().find(|column| named(column, header)) {
            return Some(Target::Outer(column.clone()));
        }
        if let Some(column) = self.inner.2.iter().find(|column| named(column, inner_path)) {
            return Some(Target::Inner(column.clone()));
        }
        let deleted = self.deletion.is_some() && (header == "deleted" || header == Column::name("deleted"));
        deleted.then_some(Target::Deleted)
    }

    /// What the header lacks of the fields of a person or record. Of a list only a first entry can
    /// be missed.
    fn missing(&self, targets: &[(String, Target)]) -> MissingColumns {
        let there = |column: &Column| {
            targets.iter().any(|(_, target)| matches!(target, Target::Inner(one) if one.path == column.path))
        };
        let columns = self.inner.2.iter().filter(|column| !column.continues_a_list() && !there(column));
        columns.map(|column| column.japanese.clone()).collect()
    }

    fn row(
        &self,
        targets: &[(String, Target)],
        line: u64,
        cells: &csv::StringRecord,
    ) -> Result<DynamicMessage, RowError> {
        let mut outer = DynamicMessage::new(self.message.clone());
        let mut inner = DynamicMessage::new(self.inner.1.clone());
        let mut deleted = false;
        for ((name, target), cell) in targets.iter().zip(cells) {
            // The line's end, in a CRLF file. None is left: what ended with one would be another text once written and read again.
            let cell = cell.trim_end_matches('\r');
            if cell.contains(MALFORMED) {
                return Err(wrong(line, name, "is not in UTF-8 or CP932; save the file in one of them"));
            }
            let set = match target {
                Target::Outer(column) => column.set(&mut outer, cell.trim()),
                Target::Inner(column) => column.set(&mut inner, cell),
                Target::Deleted => match cell.trim() {
                    "" | "0" => Ok(()),
                    "1" => {
                        deleted = true;
                        Ok(())
                    }
                    _ => Err("must be 1 for a deletion, otherwise 0 or empty"),
                },
            };
            set.map_err(|rule| wrong(line, name, rule))?;
        }
        let nested = match &self.deletion {
            Some((deletion, dataset)) if deleted => {
                let mut message = DynamicMessage::new(deletion.clone());
                if let Some(field) = deletion.get_field_by_name("dataset") {
                    message.set_field(&field, prost_reflect::Value::EnumNumber((*dataset).into()));
                }
                columns::nest(&mut outer, "deletion", message)
            }
            _ => columns::nest(&mut outer, self.inner.0, inner),
        };
        nested.map_err(|rule| RowError::new(line, rule))?;
        Ok(outer)
    }
}

fn finish<M: prost::Message + Default + 'static>(
    rows: Rows,
) -> impl Iterator<Item = Result<(u64, M), RowError>> + Send {
    rows.map(|row| {
        let (line, message) = row?;
        let message = generated(&message).map_err(|error| RowError::new(line, error.to_string()))?;
        Ok((line, message))
    })
}

fn open<R: Read + Send + 'static>(
    file: R,
    format: Format,
    layout: impl FnOnce(&Contract) -> Result<Layout, CliError>,
) -> (Rows, MissingColumns) {
    let opened =
        Contract::load().and_then(|contract| layout(&contract)).map_err(|error| error.to_string()).and_then(|layout| {
            match encoding::as_utf8(file) {
                Ok(file) => Ok((layout, file)),
                Err(error) => Err(format!("the file can't be read: {error}")),
            }
        });
    match opened {
        Ok((layout, file)) => match format {
            Format::Csv => csv_rows(layout, file),
            Format::JsonLines => (Box::new(json_rows(layout.message, file)), Vec::new()),
        },
        Err(message) => (Box::new(std::iter::once(Err(RowError::new(1, message)))), Vec::new()),
    }
}

fn csv_rows(layout: Layout, file: Box<dyn Read + Send>) -> (Rows, MissingColumns) {
    // With LF as terminator the line of a row is right for CRLF files too; the CR is taken off the last cell.
    let mut reader = csv::ReaderBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_reader(file);
    let targets = match targets(&layout, &mut reader) {
        Ok(targets) => targets,
        Err(error) => return (Box::new(std::iter::once(Err(error))), Vec::new()),
    };
    let missing = layout.missing(&targets);
    let rows = reader.into_records().map(move |record| {
        let cells = record.map_err(|error| csv_error(&error))?;
        let line = cells.position().map_or(0, csv::Position::line);
        Ok((line, layout.row(&targets, line, &cells)?))
    });
    (Box::new(rows), missing)
}

fn targets(layout: &Layout, reader: &mut csv::Reader<Box<dyn Read + Send>>) -> Result<Vec<(String, Target)>, RowError> {
    let headers = reader.headers().map_err(|error| csv_error(&error))?;
    headers
        .iter()
        .map(|header| match layout.target(header) {
            Some(target) => Ok((header.trim().to_owned(), target)),
            None => {
                Err(wrong(1, header.trim(), "is no column of this kind of file; see `atena sample` for all of them"))
            }
        })
        .collect()
}

fn json_rows(
    message: MessageDescriptor,
    file: Box<dyn Read + Send>,
) -> impl Iterator<Item = Result<(u64, DynamicMessage), RowError>> + Send {
    let mut reader = BufReader::new(file);
    let mut number = 0;
    std::iter::from_fn(move || {
        loop {
            number += 1;
            let mut line = String::new();
            match reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) if line.trim().is_empty() => {}
                Ok(_) => {
                    let mut json = serde_json::Deserializer::from_str(&line);
                    // The parser's own message could quote a value.
                    let read = DynamicMessage::deserialize(message.clone(), &mut json).map_err(|error| {
                        let what = format!("is not a {} in JSON (near character {})", message.name(), error.column());
                        RowError::new(number, what)
                    });
                    return Some(read.map(|read| (number, read)));
                }
                Err(_) => return Some(Err(RowError::new(number, "the line is not in UTF-8"))),
            }
        }
    })
}

fn wrong(line: u64, column: &str, message: &str) -> RowError {
    RowError { line, column: Some(column.to_owned()), message: message.to_owned() }
}

/// The csv crate's own messages don't quote cells, but they count fields from the start of the file; this one says the line.
fn csv_error(error: &csv::Error) -> RowError {
    let line = error.position().map_or(1, csv::Position::line);
    RowError::new(
        line,
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("has {len} columns where the header has {expected_len}; is a quotation mark missing?")
            }
            csv::ErrorKind::Utf8 { .. } => "is not in UTF-8; save the whole file as UTF-8 or CP932".to_owned(),
            _ => "can't be read as CSV".to_owned(),
        },
    )
}
