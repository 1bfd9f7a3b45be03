//! Writing files: samples of people and records, and what was pulled.

use std::io::{self, Write};

use atena_proto::released::ReleasedRecord;
use atena_proto::v1::{Dataset, Delivery, PersonRegistration, PushedRecord, pushed_record::Body};
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Map, Value};

use super::columns::{self, Column};
use super::{BYTE_ORDER_MARK, Bom, Format, PEOPLE, RECORDS, dynamic, record_message};
use crate::contract::Contract;
use crate::error::CliError;

/// Writes people as CSV, with Japanese headers; tells how many.
pub(crate) fn write_people(
    mut file: impl Write,
    bom: Bom,
    people: impl Iterator<Item = PersonRegistration>,
) -> Result<u64, CliError> {
    let contract = Contract::load()?;
    let (_, columns) = columns::of_message(&contract, PEOPLE)?;
    mark(&mut file, bom)?;
    let mut writer = csv::Writer::from_writer(file);
    let header = columns.iter().map(|column| Column::name(column.path.strip_prefix("person.").unwrap_or(&column.path)));
    let header: Vec<String> = header
        .zip(&columns)
        .map(|(named, column)| if named.is_ascii() { column.japanese.clone() } else { named })
        .collect();
    row(&mut writer, header)?;
    let mut count = 0;
    for person in people {
        let person = dynamic(&contract, PEOPLE, &person)?;
        row(&mut writer, columns.iter().map(|column| column.get(&person)).collect())?;
        count += 1;
    }
    writer.flush().map_err(CliError::Output)?;
    Ok(count)
}

/// Writes records of one dataset as CSV, with Japanese headers; tells how many.
pub(crate) fn write_records(
    dataset: Dataset,
    mut file: impl Write,
    bom: Bom,
    records: impl Iterator<Item = PushedRecord>,
) -> Result<u64, CliError> {
    let contract = Contract::load()?;
    let (name, field) = record_message(dataset)?;
    let (_, columns) = columns::of_message(&contract, name)?;
    mark(&mut file, bom)?;
    let mut writer = csv::Writer::from_writer(file);
    let fixed = ["local_address_number", "record_key", "revision", "deleted"].map(Column::name);
    row(&mut writer, fixed.into_iter().chain(columns.iter().map(|column| column.japanese.clone())).collect())?;
    let mut count = 0;
    for record in records {
        let deleted = matches!(record.body, Some(Body::Deletion(_)));
        let whole = dynamic(&contract, RECORDS, &record)?;
        let body = whole.get_field_by_name(field).and_then(|value| value.as_message().cloned());
        let revision = record.revision.to_string();
        let fixed = [record.local_address_number, record.record_key, revision, u8::from(deleted).to_string()];
        let cells = columns.iter().map(|column| match &body {
            Some(body) if !deleted => column.get(body),
            _ => String::new(),
        });
        row(&mut writer, fixed.into_iter().chain(cells).collect())?;
        count += 1;
    }
    writer.flush().map_err(CliError::Output)?;
    Ok(count)
}

/// Writes what was pulled of one dataset: one row a record or deletion.
pub(crate) struct ReleasedWriter<W: Write> {
    /// The dataset's message and its columns; looked up once.
    layout: Result<(MessageDescriptor, Vec<Column>), CliError>,
    dataset: Dataset,
    sink: Sink<W>,
    begin: Begin,
}

enum Sink<W: Write> {
    Csv(Box<csv::Writer<W>>),
    JsonLines(W),
}

/// What has to be written before the first row.
struct Begin {
    bom: Bom,
    header: bool,
}

// === impl ReleasedWriter ===

impl<W: Write> ReleasedWriter<W> {
    /// A writer of one dataset's records.
    pub(crate) fn new(dataset: Dataset, format: Format, bom: Bom, with_header: bool, sink: W) -> Self {
        let csv = format == Format::Csv;
        let sink = if csv { Sink::Csv(Box::new(csv::Writer::from_writer(sink))) } else { Sink::JsonLines(sink) };
        let begin = Begin { bom, header: with_header && csv };
        let layout = Contract::load().and_then(|contract| columns::of_message(&contract, record_message(dataset)?.0));
        Self { layout, dataset, sink, begin }
    }

    /// Writes the records and deletions of one delivery.
    ///
    /// # Errors
    /// The disk is full, or the delivery breaks the contract.
    pub(crate) fn write(&mut self, delivery: &Delivery) -> Result<(), CliError> {
        let (message, columns) =
            self.layout.as_ref().map_err(|_| CliError::Answer("the contract in this program is damaged"))?;
        let body = |record: &ReleasedRecord| {
            let bytes = record.body.as_ref().map(|body| body.bytes().clone()).unwrap_or_default();
            DynamicMessage::decode(message.clone(), bytes).map_err(|_| CliError::Answer("a record can't be read"))
        };
        match &mut self.sink {
            Sink::Csv(writer) => {
                header(writer, columns, &mut self.begin)?;
                let local = &delivery.local_address_number;
                for record in &delivery.records {
                    let body = body(record)?;
                    let fixed = [local.clone(), record.record_id.clone(), "0".to_owned()];
                    row(writer, fixed.into_iter().chain(columns.iter().map(|column| column.get(&body))).collect())?;
                }
                for tombstone in &delivery.tombstones {
                    let fixed = [local.clone(), tombstone.record_id.clone(), "1".to_owned()];
                    row(writer, fixed.into_iter().chain(columns.iter().map(|_| String::new())).collect())?;
                }
            }
            Sink::JsonLines(sink) => {
                for record in &delivery.records {
                    let options = SerializeOptions::new().use_proto_field_name(true);
                    let body = body(record)?
                        .serialize_with_options(serde_json::value::Serializer, &options)
                        .map_err(|_| CliError::Answer("a record can't be read"))?;
                    json_line(sink, self.dataset, delivery, &record.record_id, ("content", body))?;
                }
                for tombstone in &delivery.tombstones {
                    json_line(sink, self.dataset, delivery, &tombstone.record_id, ("deleted", Value::Bool(true)))?;
                }
            }
        }
        Ok(())
    }

    /// Hands everything written so far to the operating system.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Csv(writer) => {
                // A file without rows has its header all the same.
                if let Ok((_, columns)) = &self.layout {
                    header(writer, columns, &mut self.begin).map_err(io::Error::other)?;
                }
                writer.flush()
            }
            Sink::JsonLines(sink) => sink.flush(),
        }
    }
}

/// Writes the header, if that has not been done.
fn header<W: Write>(writer: &mut csv::Writer<W>, columns: &[Column], begin: &mut Begin) -> Result<(), CliError> {
    if !std::mem::take(&mut begin.header) {
        return Ok(());
    }
    let fixed = ["local_address_number", "record_id", "deleted"].map(Column::name);
    let mut cells: Vec<String> =
        fixed.into_iter().chain(columns.iter().map(|column| column.japanese.clone())).collect();
    if let (Bom::With, Some(first)) = (begin.bom, cells.first_mut()) {
        first.insert(0, '\u{feff}');
    }
    row(writer, cells)
}

fn json_line(
    sink: &mut impl Write,
    dataset: Dataset,
    delivery: &Delivery,
    record_id: &str,
    (key, value): (&str, Value),
) -> Result<(), CliError> {
    let mut line = Map::new();
    line.insert("local_address_number".to_owned(), delivery.local_address_number.as_str().into());
    line.insert("dataset".to_owned(), crate::terms::dataset_id(dataset).into());
    line.insert("record_id".to_owned(), record_id.into());
    line.insert("transfer_id".to_owned(), delivery.transfer_id.as_str().into());
    line.insert(key.to_owned(), value);
    writeln!(sink, "{}", Value::Object(line)).map_err(CliError::Output)
}

fn mark(file: &mut impl Write, bom: Bom) -> Result<(), CliError> {
    if bom == Bom::With { file.write_all(BYTE_ORDER_MARK).map_err(CliError::Output) } else { Ok(()) }
}

fn row<W: Write>(writer: &mut csv::Writer<W>, cells: Vec<String>) -> Result<(), CliError> {
    writer.write_record(cells).map_err(|error| CliError::Output(io::Error::other(error)))
}
