//! Files of people and records as streams of rows, each with its line.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use atena_proto::v1::{Dataset, PersonRegistration, PushedRecord};

use crate::cli::FileFormat;
use crate::csv_io::{self, Format, MissingColumns, RowError};
use crate::error::CliError;

/// Rows as they are read, each with its line from 1.
pub(crate) type RowIterator<T> = Box<dyn Iterator<Item = Result<(u64, T), BadRow>> + Send>;

/// A file that is open.
pub(crate) struct Rows<T> {
    /// Its rows.
    pub(crate) rows: RowIterator<T>,
    /// Columns of the contract that it lacks.
    pub(crate) missing: MissingColumns,
}

/// A row that could not be read, or that the gateway sent back. Holds no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRow {
    /// Line in the file, from 1.
    pub(crate) line: u64,
    /// A stable reason: of the contract, or `UNREADABLE_ROW`.
    pub(crate) reason: String,
    /// Fields and the rules that they break.
    pub(crate) fields: Vec<String>,
    /// What to do.
    pub(crate) message: String,
}

/// The people in a file.
///
/// # Errors
/// [`CliError::File`] when it can't be opened. What is wrong inside comes row by row.
pub(crate) fn people(file: &Path, format: Option<FileFormat>) -> Result<Rows<PersonRegistration>, CliError> {
    let (rows, missing) = csv_io::read_people(open(file)?, format_of(file, format));
    Ok(Rows { rows: Box::new(rows.map(|row| row.map_err(BadRow::from))), missing })
}

/// The records of one dataset in a file.
///
/// # Errors
/// As [`people`].
pub(crate) fn records(
    dataset: Dataset,
    file: &Path,
    format: Option<FileFormat>,
) -> Result<Rows<PushedRecord>, CliError> {
    let (rows, missing) = csv_io::read_records(dataset, open(file)?, format_of(file, format));
    Ok(Rows { rows: Box::new(rows.map(|row| row.map_err(BadRow::from))), missing })
}

// === impl BadRow ===

impl From<RowError> for BadRow {
    fn from(error: RowError) -> Self {
        Self {
            line: error.line,
            reason: "UNREADABLE_ROW".to_owned(),
            fields: error.column.into_iter().collect(),
            message: error.message,
        }
    }
}

fn open(file: &Path) -> Result<Box<dyn Read + Send>, CliError> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let opened = File::open(file).map_err(CliError::file("read", file))?;
    Ok(Box::new(BufReader::new(opened)))
}

fn format_of(file: &Path, format: Option<FileFormat>) -> Format {
    match format {
        Some(FileFormat::Csv) => Format::Csv,
        Some(FileFormat::Jsonl) => Format::JsonLines,
        None if file.extension().is_some_and(|extension| extension == "jsonl") => Format::JsonLines,
        None => Format::Csv,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_how_it_is_written_unless_the_caller_does() {
        assert!(matches!(format_of(Path::new("a/people.jsonl"), None), Format::JsonLines));
        assert!(matches!(format_of(Path::new("-"), None), Format::Csv));
        assert!(matches!(format_of(Path::new("people.csv"), Some(FileFormat::Jsonl)), Format::JsonLines));
    }

    #[test]
    fn a_missing_file_is_named() {
        let Err(error) = people(Path::new("no/such.csv"), None) else { panic!("opened") };
        assert!(error.to_string().contains("no/such.csv"));
    }
}
