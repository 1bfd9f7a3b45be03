//! Files of people and records, as a town hall has them: CSV (UTF-8 with or without byte order mark, or CP932) and JSON Lines.
//!
//! A file goes through one file here after the other: [`file_kind`] (is it text?), [`lines`] and [`encoding`] (lines of text, counted),
//! [`record`] (cells), [`header`] (columns), [`read`] (rows); JSON goes from lines to [`json`].
//!
//! Columns are the leaf fields of the contract's messages, named by path or by the Japanese term of their comment, so that there is
//! no second list of fields. No error holds a value.

mod columns;
mod encoding;
mod file_kind;
mod header;
mod json;
mod lines;
mod names;
mod read;
mod record;
mod released;
mod row;
#[cfg(test)]
mod same;
mod source;
mod swallowed;
mod wire;
mod write;

use atena_proto::v1::Dataset;
use prost_reflect::DynamicMessage;

use crate::error::CliError;

pub(crate) use encoding::Encoding;
pub(crate) use file_kind::BYTE_ORDER_MARK;
pub(crate) use lines::LineCount;
pub(crate) use names::FieldNames;
pub(crate) use read::{FileRows, MissingColumns, read_people, read_records};
pub(crate) use released::ReleasedRows;
pub(crate) use write::{PeopleWriter, RecordWriter};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Comma-separated, with a header.
    Csv,
    /// One JSON object a line, in protobuf's JSON form.
    JsonLines,
}

/// Whether a CSV file begins with a byte order mark, by which Excel recognises UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bom {
    /// It does.
    With,
    /// It does not.
    Without,
}

/// What a character that was lost before stands as: it must not be stored as if it were one.
const LOST_CHARACTER: &str =
    "読めなかった文字の記号 (U+FFFD) があります / holds U+FFFD, which stands for a character that was lost; correct it";

/// A file that is no file of rows at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileFault {
    /// Nothing but line ends, a byte order mark or an end of file.
    #[error(
        "ファイルが空です。何も送っていません / the file is empty; nothing was sent. A CSV file without rows has its \
         header all the same"
    )]
    Empty,
    /// Something else by its first bytes.
    #[error(
        "{0} のファイルです。「CSV UTF-8（コンマ区切り）」で保存してください / is a file in {0}; save it as CSV in UTF-8 \
         (comma-separated), or as JSON Lines"
    )]
    OtherKind(&'static str),
    /// The disk or pipe failed.
    #[error("読めません / can't be read: {0}")]
    Unreadable(std::io::ErrorKind),
    /// A fault of this program.
    #[error("the contract in this program is damaged")]
    Contract,
}

/// A row that can't be read. Holds no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {message}", column.as_ref().map(|column| format!(", column {column}")).unwrap_or_default())]
pub(crate) struct RowError {
    /// Line in the file, from 1.
    pub(crate) line: u64,
    /// Lines with content that are lost with it, itself included; none where it is a header.
    pub(crate) rows: u64,
    /// Whether it is the header, without which nothing of the file is read.
    pub(crate) is_header: bool,
    /// The column, as the file calls it, where it is a known one.
    pub(crate) column: Option<String>,
    /// What is wrong, and what to do.
    pub(crate) message: String,
}

// === impl RowError ===

impl RowError {
    fn new(line: u64, message: impl Into<String>) -> Self {
        Self { line, rows: 1, is_header: false, column: None, message: message.into() }
    }

    fn header(line: u64, message: impl Into<String>) -> Self {
        Self { rows: 0, is_header: true, ..Self::new(line, message) }
    }

    fn cell(line: u64, column: &str, rule: &str) -> Self {
        Self { column: Some(column.to_owned()), ..Self::new(line, rule) }
    }
}

/// The message that holds a dataset's record, and the field of `PushedRecord` that holds the message.
fn record_message(dataset: Dataset) -> Result<(&'static str, &'static str), CliError> {
    match dataset {
        Dataset::Qualification => Ok(("Qualification", "qualification")),
        Dataset::Payment => Ok(("Payment", "payment")),
        Dataset::Exemption => Ok(("Exemption", "exemption")),
        Dataset::Benefit => Ok(("Benefit", "benefit")),
        Dataset::WelfarePension => Ok(("WelfarePension", "welfare_pension")),
        Dataset::Person | Dataset::Unspecified => Err(CliError::Answer("a dataset that holds no records")),
    }
}

/// A walked message as a generated one.
fn generated<M: prost::Message + Default>(message: &DynamicMessage) -> Result<M, CliError> {
    message.transcode_to().map_err(|_| CliError::Answer("a message can't be written"))
}

/// What a file of people is made of.
const PEOPLE: &str = "PersonRegistration";

/// What a file of records is made of.
const RECORDS: &str = "PushedRecord";

#[cfg(test)]
mod tests;
