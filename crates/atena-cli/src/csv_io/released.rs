//! The rows of what was pulled: one for each record or deletion.

use std::io::Write as _;

use atena_proto::v1::{Dataset, Delivery};
use prost_reflect::{DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Map, Value};

use super::columns::{self, Column};
use super::row::RowWriter;
use super::wire::{Cell, Plan};
use super::{BYTE_ORDER_MARK, Bom, Format, record_message};
use crate::contract::Contract;
use crate::error::CliError;

/// Makes rows of the deliveries of one dataset.
pub(crate) struct ReleasedRows {
    dataset: Dataset,
    form: Form,
}

enum Form {
    Csv {
        header: Vec<String>,
        plan: Plan,
        /// Kept, so that a row needs no new memory.
        cells: Vec<Cell>,
    },
    JsonLines(MessageDescriptor),
}

// === impl ReleasedRows ===

impl ReleasedRows {
    /// # Errors
    /// The contract in this program is damaged, or the dataset holds no records.
    pub(crate) fn new(dataset: Dataset, format: Format) -> Result<Self, CliError> {
        let contract = Contract::load()?;
        let (message, columns) = columns::of_message(&contract, record_message(dataset)?.0)?;
        let form = match format {
            Format::JsonLines => Form::JsonLines(message),
            Format::Csv => {
                let fixed = ["local_address_number", "record_id", "deleted"].map(Column::name);
                let header = fixed.into_iter().chain(columns.into_iter().map(|column| column.japanese)).collect();
                Form::Csv { header, plan: Plan::new(&message), cells: Vec::new() }
            }
        };
        Ok(Self { dataset, form })
    }

    /// What a new file begins with.
    pub(crate) fn head(&self, bom: Bom, out: &mut Vec<u8>) {
        if let Form::Csv { header, .. } = &self.form {
            if bom == Bom::With {
                out.extend_from_slice(BYTE_ORDER_MARK);
            }
            let mut row = RowWriter::begin(out);
            header.iter().for_each(|cell| row.text(cell.as_bytes()));
            row.end();
        }
    }

    /// Appends the rows of one delivery. After an error nothing of the last row is of use.
    ///
    /// # Errors
    /// The delivery breaks the contract.
    pub(crate) fn append(&mut self, delivery: &Delivery, out: &mut Vec<u8>) -> Result<(), CliError> {
        match &mut self.form {
            Form::Csv { plan, cells, .. } => append_csv(plan, cells, delivery, out),
            Form::JsonLines(message) => append_json(message, self.dataset, delivery, out),
        }
    }
}

fn append_csv(plan: &Plan, cells: &mut Vec<Cell>, delivery: &Delivery, out: &mut Vec<u8>) -> Result<(), CliError> {
    let local = delivery.local_address_number.as_bytes();
    for record in &delivery.records {
        let body: &[u8] = record.body.as_ref().map(|body| body.bytes().as_ref()).unwrap_or_default();
        plan.read(body, cells).map_err(|_| unreadable())?;
        let mut row = RowWriter::begin(out);
        row.text(local);
        row.text(record.record_id.as_bytes());
        row.text(b"0");
        cells.iter().for_each(|cell| row.cell(*cell, body));
        row.end();
    }
    for tombstone in &delivery.tombstones {
        let mut row = RowWriter::begin(out);
        row.text(local);
        row.text(tombstone.record_id.as_bytes());
        row.text(b"1");
        (0..plan.columns()).for_each(|_| row.text(b""));
        row.end();
    }
    Ok(())
}

fn append_json(
    message: &MessageDescriptor,
    dataset: Dataset,
    delivery: &Delivery,
    out: &mut Vec<u8>,
) -> Result<(), CliError> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    for record in &delivery.records {
        let bytes = record.body.as_ref().map(|body| body.bytes().clone()).unwrap_or_default();
        let body = DynamicMessage::decode(message.clone(), bytes).map_err(|_| unreadable())?;
        let body = body.serialize_with_options(serde_json::value::Serializer, &options).map_err(|_| unreadable())?;
        json_line(out, dataset, delivery, &record.record_id, ("content", body))?;
    }
    for tombstone in &delivery.tombstones {
        json_line(out, dataset, delivery, &tombstone.record_id, ("deleted", Value::Bool(true)))?;
    }
    Ok(())
}

fn json_line(
    out: &mut Vec<u8>,
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
    writeln!(out, "{}", Value::Object(line)).map_err(CliError::Output)
}

fn unreadable() -> CliError {
    CliError::Answer("a record can't be read")
}
