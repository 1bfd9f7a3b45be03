//! Files of people and records as streams of rows, each with its line.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use atena_proto::v1::{Dataset, PersonRegistration, PushedRecord};

use crate::cli::{EncodingArg, FileFormat};
use crate::csv_io::{self, Encoding, FieldNames, FileFault, FileRows, Format, LineCount, MissingColumns, RowError};
use crate::error::CliError;

/// Rows as they are read, each with its line from 1.
pub(crate) type RowIterator<T> = Box<dyn Iterator<Item = Result<(u64, T), BadRow>> + Send>;

/// A file of rows that was opened.
pub(crate) struct Rows<T> {
    /// The rows.
    pub(crate) rows: RowIterator<T>,
    /// What the file calls the fields of the contract.
    pub(crate) names: FieldNames,
    /// Lines with content that were read so far.
    pub(crate) lines: LineCount,
    /// Columns of the contract that the file lacks.
    pub(crate) missing: MissingColumns,
}

/// A row that could not be read, or that the gateway sent back. Holds no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRow {
    /// Line in the file, from 1.
    pub(crate) line: u64,
    /// Lines with content that it stands for: several where a quotation mark stayed open.
    pub(crate) rows: u64,
    /// A stable reason: of the contract, `UNREADABLE_ROW` or `UNREADABLE_HEADER`.
    pub(crate) reason: String,
    /// Fields, as the file calls them, and the rules that they break.
    pub(crate) fields: Vec<String>,
    /// The same fields by their paths in the contract, where the gateway named them.
    pub(crate) paths: Vec<String>,
    /// What to do.
    pub(crate) message: String,
}

/// The people in a file.
///
/// # Errors
/// [`CliError::File`] when it can't be opened, [`CliError::NoRows`] when it is no file of rows. What
/// is wrong inside comes row by row.
pub(crate) fn people(
    file: &Path,
    format: Option<FileFormat>,
    encoding: Option<EncodingArg>,
) -> Result<Rows<PersonRegistration>, CliError> {
    opened(file, csv_io::read_people(open(file)?, format_of(file, format), encoding.map(Encoding::from)))
}

/// The records of one dataset in a file.
///
/// # Errors
/// As [`people`].
pub(crate) fn records(
    dataset: Dataset,
    file: &Path,
    format: Option<FileFormat>,
    encoding: Option<EncodingArg>,
) -> Result<Rows<PushedRecord>, CliError> {
    let format = format_of(file, format);
    opened(file, csv_io::read_records(dataset, open(file)?, format, encoding.map(Encoding::from)))
}

fn opened<T: 'static>(file: &Path, read: Result<FileRows<T>, FileFault>) -> Result<Rows<T>, CliError> {
    let read = read.map_err(|fault| CliError::NoRows { path: file.to_owned(), fault })?;
    let FileRows { rows, names, lines, missing } = read;
    Ok(Rows { rows: Box::new(rows.map(|row| row.map_err(BadRow::from))), names, lines, missing })
}

impl From<EncodingArg> for Encoding {
    fn from(given: EncodingArg) -> Self {
        match given {
            EncodingArg::Utf8 => Self::Utf8,
            EncodingArg::Cp932 => Self::Cp932,
        }
    }
}

// === impl BadRow ===

impl From<RowError> for BadRow {
    fn from(error: RowError) -> Self {
        let reason = if error.is_header { "UNREADABLE_HEADER" } else { "UNREADABLE_ROW" };
        Self {
            line: error.line,
            rows: error.rows,
            reason: reason.to_owned(),
            fields: error.column.into_iter().collect(),
            paths: Vec::new(),
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
        let Err(error) = people(Path::new("no/such.csv"), None, None) else { panic!("opened") };
        assert!(error.to_string().contains("no/such.csv"));
    }

    #[test]
    fn an_empty_file_is_an_error_and_a_header_alone_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("people.csv");
        for empty in ["", "\u{feff}", "\r\n\r\n", "\u{feff}\n\u{1a}", ",,,\n", "\u{1a}"] {
            std::fs::write(&file, empty).unwrap();
            let error = people(&file, None, None).err().unwrap().to_string();
            assert!(error.contains("people.csv") && error.contains("empty"), "{empty:?}: {error}");
        }
        std::fs::write(&file, "\u{feff}宛名番号,氏名\r\n\u{1a}").unwrap();
        let opened = people(&file, None, None).ok().unwrap();
        assert_eq!((opened.rows.count(), opened.lines.get()), (0, 0));
    }
}
