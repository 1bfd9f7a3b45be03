//! Reading files row by row.

use std::io::Read;

use atena_proto::v1::{Dataset, PersonRegistration, PushedRecord};
use prost_reflect::{DynamicMessage, MessageDescriptor};

use super::columns::{self, Column};
use super::encoding::{self, Encoding};
use super::header::{self, Targets};
use super::lines::{Line, LineCount, LineFault, Lines};
use super::names::FieldNames;
use super::record::{self, Ended};
use super::swallowed::{rest_of_cell, swallowed};
use super::{FileFault, Format, PEOPLE, RECORDS, RowError, generated, json, record_message};
use crate::contract::Contract;
use crate::error::CliError;

/// What stands for bytes without a meaning.
const LOST: char = '\u{fffd}';

/// Rows of any message.
type Rows = Box<dyn Iterator<Item = Result<(u64, DynamicMessage), RowError>> + Send>;

/// A file that was opened.
pub(crate) struct FileRows<T> {
    /// The rows, each with its line.
    pub(crate) rows: Box<dyn Iterator<Item = Result<(u64, T), RowError>> + Send>,
    /// What the file calls the fields of the contract.
    pub(crate) names: FieldNames,
    /// Lines with content so far, without the header.
    pub(crate) lines: LineCount,
    /// The columns of the contract that the file lacks.
    pub(crate) missing: MissingColumns,
}

/// Columns of the contract that are not in a CSV file's header, by their Japanese names. A JSON Lines
/// file has no header.
pub(crate) type MissingColumns = Vec<String>;

/// What a file is before its rows are read.
struct Opened {
    rows: Rows,
    names: FieldNames,
    missing: MissingColumns,
}

/// The people in a file.
///
/// # Errors
/// [`FileFault`] when it is no file of rows at all. What is wrong inside comes row by row.
pub(crate) fn read_people<R: Read + Send + 'static>(
    file: R,
    format: Format,
    encoding: Option<Encoding>,
) -> Result<FileRows<PersonRegistration>, FileFault> {
    let layout = Contract::load().and_then(|contract| Layout::people(&contract));
    open(Box::new(file), format, encoding, layout)
}

/// The records of one dataset in a file.
///
/// # Errors
/// As [`read_people`].
pub(crate) fn read_records<R: Read + Send + 'static>(
    dataset: Dataset,
    file: R,
    format: Format,
    encoding: Option<Encoding>,
) -> Result<FileRows<PushedRecord>, FileFault> {
    let layout = Contract::load().and_then(|contract| Layout::records(&contract, dataset));
    open(Box::new(file), format, encoding, layout)
}

/// What the rows of a file make up.
pub(super) struct Layout {
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
pub(super) enum Target {
    Outer(Column),
    Inner(Column),
    Deleted,
}

// === impl Target ===

impl Target {
    /// Whether both go to the same field.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Outer(one), Self::Outer(two)) | (Self::Inner(one), Self::Inner(two)) => one.path == two.path,
            (Self::Deleted, Self::Deleted) => true,
            _ => false,
        }
    }
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

    /// Where the column of a header goes.
    pub(super) fn target(&self, header: &str) -> Option<Target> {
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

    /// The names that the contract gives to the fields of a row.
    fn names(&self) -> FieldNames {
        let outer = self.outer.iter().map(|column| (column.path.clone(), column.japanese.clone()));
        let below = |column: &Column| format!("{}.{}", self.inner.0, column.path);
        let inner = self.inner.2.iter().map(|column| (below(column), column.japanese.clone()));
        FieldNames::new(&self.message, outer.chain(inner))
    }

    /// The same, as far as the file has its own.
    fn names_in(&self, targets: &Targets) -> FieldNames {
        let mut names = self.names();
        for (name, target) in targets {
            match target {
                Target::Outer(column) => names.rename(&column.path, name),
                Target::Inner(column) => names.rename(&format!("{}.{}", self.inner.0, column.path), name),
                Target::Deleted => {}
            }
        }
        names
    }

    /// What the header lacks of the fields of a person or record. Of a list only the first entry counts.
    fn missing(&self, targets: &Targets) -> MissingColumns {
        let there = |column: &Column| {
            targets.iter().any(|(_, target)| matches!(target, Target::Inner(one) if one.path == column.path))
        };
        let columns = self.inner.2.iter().filter(|column| !column.continues_a_list() && !there(column));
        columns.map(|column| column.japanese.clone()).collect()
    }

    fn row(&self, targets: &Targets, line: u64, cells: &[String]) -> Result<DynamicMessage, RowError> {
        let mut outer = DynamicMessage::new(self.message.clone());
        let mut inner = DynamicMessage::new(self.inner.1.clone());
        let mut deleted = false;
        for ((name, target), cell) in targets.iter().zip(cells) {
            // None is left at the end: what ended with one would be another text once written and read again.
            let cell = cell.trim_end_matches('\r');
            let set = match target {
                Target::Outer(column) => column.set(&mut outer, cell.trim()),
                Target::Inner(column) => column.set(&mut inner, cell),
                Target::Deleted => match cell.trim() {
                    "" | "0" => Ok(()),
                    "1" => {
                        deleted = true;
                        Ok(())
                    }
                    _ => Err(
                        "削除は 1、そうでなければ 0 か空にしてください / must be 1 for a deletion, otherwise 0 or empty",
                    ),
                },
            };
            set.map_err(|rule| RowError::cell(line, name, rule))?;
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

fn open<M: prost::Message + Default + 'static>(
    file: Box<dyn Read + Send>,
    format: Format,
    encoding: Option<Encoding>,
    layout: Result<Layout, CliError>,
) -> Result<FileRows<M>, FileFault> {
    let layout = layout.map_err(|_| FileFault::Contract)?;
    let mut lines = Lines::open(file, format, encoding)?;
    let count = lines.content_count();
    let first = lines.next().ok_or(FileFault::Empty)?;
    let Opened { rows, names, missing } = match format {
        Format::Csv => csv_rows(layout, first, lines),
        Format::JsonLines => json_rows(&layout, first, lines),
    };
    let rows = rows.map(|row| {
        let (line, message) = row?;
        let message = generated(&message).map_err(|error| RowError::new(line, error.to_string()))?;
        Ok((line, message))
    });
    Ok(FileRows { rows: Box::new(rows), names, lines: count, missing })
}

fn csv_rows(layout: Layout, first: Line, mut lines: Lines) -> Opened {
    let count = lines.content_count();
    let targets = match csv_header(&layout, &first, &mut lines) {
        Ok(targets) => targets,
        Err(fault) => {
            if !fault.may_be_row {
                count.take_header();
            }
            let swallowed = fault.error.rows + u64::from(fault.may_be_row);
            let names = layout.names();
            // Nothing is read, and everything is counted.
            let refused = std::iter::once_with(move || {
                let rows = swallowed + lines.map(|_| 1).sum::<u64>();
                Err(RowError { rows, ..fault.error })
            });
            return Opened { rows: Box::new(refused), names, missing: Vec::new() };
        }
    };
    count.take_header();
    let (names, missing) = (layout.names_in(&targets), layout.missing(&targets));
    let rows = std::iter::from_fn(move || {
        let line = lines.next()?;
        let number = line.number;
        Some(csv_row(&layout, &targets, line, &mut lines).map(|message| (number, message)))
    });
    Opened { rows: Box::new(rows), names, missing }
}

fn csv_header(layout: &Layout, first: &Line, lines: &mut Lines) -> Result<Targets, header::HeaderFault> {
    let refuse = |error: RowError| header::HeaderFault {
        error: RowError { rows: error.rows - 1, ..RowError::header(error.line, error.message) },
        may_be_row: false,
    };
    if first.text.contains('\r') {
        return Err(refuse(RowError::new(
            first.number,
            "改行が CR だけです。CRLF か LF で保存してください / lines end with CR alone; save the file with CRLF or LF",
        )));
    }
    let cells = csv_cells(first, lines).map_err(refuse)?;
    match (header::targets(layout, first.number, &first.text, &cells), bad_cell(first, &cells)) {
        // What makes the name unknown is the better message.
        (Err(fault), Some((column, rule))) if !fault.may_be_row => {
            Err(refuse(RowError::new(first.number, format!("{column}列目 / column {column}: {rule}"))))
        }
        (found, _) => found,
    }
}

fn csv_row(layout: &Layout, targets: &Targets, line: Line, lines: &mut Lines) -> Result<DynamicMessage, RowError> {
    let cells = csv_cells(&line, lines)?;
    if cells.len() != targets.len() {
        let (has, header) = (cells.len(), targets.len());
        return Err(RowError::new(
            line.number,
            format!(
                "{has}列ありますが、見出しは{header}列です / has {has} columns where the header has {header}; is a comma \
                 or a quotation mark missing or too many?"
            ),
        ));
    }
    if let Some((column, rule)) = bad_cell(&line, &cells) {
        let name = targets.get(column - 1).map(|(name, _)| name.as_str()).unwrap_or_default();
        return Err(RowError::cell(line.number, name, rule));
    }
    layout.row(targets, line.number, &cells)
}

/// The cells of a line. A quoted cell that stays open takes the lines after it along; they are counted in the error.
fn csv_cells(line: &Line, lines: &mut Lines) -> Result<Vec<String>, RowError> {
    if let Some(fault) = line.fault {
        let error = unreadable(line.number, fault);
        // Its quotation mark takes lines along all the same.
        let rows = if line.has_odd_quotes { rest_of_cell(line.number, lines).rows } else { 1 };
        return Err(RowError { rows, ..error });
    }
    let (cells, ended) = record::split(&line.text, false);
    match ended {
        Ended::Whole => Ok(cells),
        Ended::Stray(column) => {
            let column = column + 1;
            Err(RowError::new(
                line.number,
                format!(
                    "{column}列目の引用符 \" の位置が正しくありません / column {column}: a quotation mark stands where none \
                     may be; put the cell in quotation marks and double those inside"
                ),
            ))
        }
        Ended::Open(column) => Err(swallowed(line.number, column + 1, lines)),
    }
}

/// The first cell (from 1) that holds what no text may hold, and the rule.
fn bad_cell(line: &Line, cells: &[String]) -> Option<(usize, &'static str)> {
    (1..).zip(cells).find_map(|(column, cell)| Some((column, bad_text(cell, line)?)))
}

fn bad_text(cell: &str, line: &Line) -> Option<&'static str> {
    let bad = |character: char| {
        Some(match character {
            LOST if line.damaged && line.cp932 => {
                "CP932 にない文字コードがあります / the file is in CP932, but this cell holds bytes that are not"
            }
            LOST if line.damaged => {
                "UTF-8 の文字が欠けています / the file is in UTF-8, but this cell holds bytes that are not"
            }
            LOST => super::LOST_CHARACTER,
            '\u{feff}' => "BOM (U+FEFF) が途中にあります / holds a byte order mark; were two files joined?",
            '\u{1a}' => {
                "ファイルの終わりの記号 (0x1A) が途中にあります / holds an end-of-file character; were two files joined?"
            }
            other if line.cp932 && encoding::is_user_defined(other) => {
                "外字（利用者定義文字）があります。Unicode の文字で書いてください / holds a user-defined character of CP932; \
                 give it in Unicode (UTF-8)"
            }
            other if other.is_control() => "制御文字があります / holds a control character",
            _ => return None,
        })
    };
    cell.trim_end_matches('\r').chars().find_map(bad)
}

fn json_rows(layout: &Layout, first: Line, lines: Lines) -> Opened {
    let (message, names) = (layout.message.clone(), layout.names());
    let told = names.clone();
    let rows = std::iter::once(first).chain(lines).map(move |line| {
        if let Some(fault) = line.fault {
            return Err(unreadable(line.number, fault));
        }
        if line.damaged {
            let place = line.text.chars().position(|character| character == LOST).unwrap_or(0) + 1;
            return Err(RowError::new(
                line.number,
                format!(
                    "UTF-8 ではありません（{place}文字目） / is not in UTF-8 at character {place}; JSON is UTF-8 only"
                ),
            ));
        }
        let read = json::read(&line.text, &message).map_err(|fault| RowError {
            column: fault.path.map(|path| told.with_path(&path)),
            ..RowError::new(line.number, fault.message)
        })?;
        Ok((line.number, read))
    });
    Opened { rows: Box::new(rows), names, missing: Vec::new() }
}

fn unreadable(line: u64, fault: LineFault) -> RowError {
    let message = match fault {
        LineFault::TooLong => "1 MiB を超える行です / the line is longer than 1 MiB".to_owned(),
        LineFault::EncodingInDoubt => {
            "文字コード（UTF-8 か CP932）を確定できません / the encoding is in doubt (UTF-8 or CP932): save the file as \
             UTF-8 with byte order mark, or say --encoding"
                .to_owned()
        }
        LineFault::NotAsSaid => {
            "--encoding cp932 の指定ですが、ファイルは UTF-8 です / --encoding says CP932, but the file is in UTF-8: leave \
             --encoding out, or say utf8"
                .to_owned()
        }
        LineFault::OtherEncoding => {
            "この行だけ UTF-8 です（ファイルは CP932） / the line is in UTF-8, the file in CP932; were two files joined?"
                .to_owned()
        }
        LineFault::Unreadable(kind) => format!("ここから先を読めません / can't be read from here on: {kind}"),
    };
    RowError::new(line, message)
}
