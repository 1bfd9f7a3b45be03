//! Writing files of people and records, as samples are made of them.

use std::io::Write;

use atena_proto::v1::pushed_record::Body;
use atena_proto::v1::{Dataset, PersonRegistration, PushedRecord};
use prost::Message as _;

use super::columns::{self, Column};
use super::row::RowWriter;
use super::wire::{self, Cell, Plan};
use super::{BYTE_ORDER_MARK, Bom, PEOPLE, RECORDS, record_message};
use crate::contract::Contract;
use crate::error::CliError;

/// Bytes that are gathered before they are written.
const BLOCK_BYTES: usize = 64 * 1024;

/// Writes people as CSV, with Japanese headers.
pub(crate) struct PeopleWriter<W: Write> {
    table: CsvTable<W>,
}

/// Writes records of one dataset as CSV, with Japanese headers.
pub(crate) struct RecordWriter<W: Write> {
    table: CsvTable<W>,
    /// Number of the field of `PushedRecord` that holds the dataset's message.
    field: u32,
}

/// Rows on their way to a file.
struct CsvTable<W: Write> {
    file: W,
    block: Vec<u8>,
    plan: Plan,
    /// The message of a row in wire form, and its cells: kept, so that a row needs no new memory.
    message: Vec<u8>,
    cells: Vec<Cell>,
    rows: u64,
}

// === impl PeopleWriter ===

impl<W: Write> PeopleWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// The contract in this program is damaged.
    pub(crate) fn new(file: W, bom: Bom) -> Result<Self, CliError> {
        let contract = Contract::load()?;
        let (message, columns) = columns::of_message(&contract, PEOPLE)?;
        let header = columns.iter().map(|column| {
            let named = Column::name(column.path.strip_prefix("person.").unwrap_or(&column.path));
            if named.is_ascii() { column.japanese.clone() } else { named }
        });
        Ok(Self { table: CsvTable::new(file, bom, Plan::new(&message), header) })
    }

    /// Writes one person.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn write(&mut self, person: &PersonRegistration) -> Result<(), CliError> {
        self.table.message.clear();
        person.encode(&mut self.table.message).map_err(|_| unreadable())?;
        self.table.row(&[], (0, self.table.message.len()))
    }

    /// Ends the file; how many people it holds.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn finish(self) -> Result<u64, CliError> {
        self.table.finish()
    }
}

// === impl RecordWriter ===

impl<W: Write> RecordWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// The contract in this program is damaged, or the dataset holds no records.
    pub(crate) fn new(dataset: Dataset, file: W, bom: Bom) -> Result<Self, CliError> {
        let contract = Contract::load()?;
        let (name, field) = record_message(dataset)?;
        let (message, columns) = columns::of_message(&contract, name)?;
        let field = contract.message(RECORDS)?.get_field_by_name(field).ok_or_else(unreadable)?.number();
        let fixed = ["local_address_number", "record_key", "revision", "deleted"].map(Column::name);
        let header = fixed.into_iter().chain(columns.iter().map(|column| column.japanese.clone()));
        Ok(Self { table: CsvTable::new(file, bom, Plan::new(&message), header), field })
    }

    /// Writes one record or deletion.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn write(&mut self, record: &PushedRecord) -> Result<(), CliError> {
        self.table.message.clear();
        let mut content = (0, 0);
        if let Some(body) = &record.body {
            body.encode(&mut self.table.message);
            content = wire::only_field(&self.table.message, self.field).map_err(|_| unreadable())?.unwrap_or_default();
        }
        let deleted = if matches!(record.body, Some(Body::Deletion(_))) { "1" } else { "0" };
        let revision = record.revision.to_string();
        self.table.row(&[&record.local_address_number, &record.record_key, &revision, deleted], content)
    }

    /// Ends the file; how many rows it holds.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn finish(self) -> Result<u64, CliError> {
        self.table.finish()
    }
}

// === impl CsvTable ===

impl<W: Write> CsvTable<W> {
    fn new(file: W, bom: Bom, plan: Plan, header: impl Iterator<Item = String>) -> Self {
        let mut block = Vec::with_capacity(2 * BLOCK_BYTES);
        if bom == Bom::With {
            block.extend_from_slice(BYTE_ORDER_MARK);
        }
        let mut row = RowWriter::begin(&mut block);
        header.for_each(|cell| row.text(cell.as_bytes()));
        row.end();
        Self { file, block, plan, message: Vec::new(), cells: Vec::new(), rows: 0 }
    }

    /// One row: some cells, and those of a message that lies in `self.message`.
    fn row(&mut self, first: &[&str], (from, to): (usize, usize)) -> Result<(), CliError> {
        let message = self.message.get(from..to).unwrap_or_default();
        self.plan.read(message, &mut self.cells).map_err(|_| unreadable())?;
        let mut row = RowWriter::begin(&mut self.block);
        first.iter().for_each(|cell| row.text(cell.as_bytes()));
        self.cells.iter().for_each(|cell| row.cell(*cell, message));
        row.end();
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES { self.write_block() } else { Ok(()) }
    }

    fn write_block(&mut self) -> Result<(), CliError> {
        self.file.write_all(&self.block).map_err(CliError::Output)?;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<u64, CliError> {
        self.write_block()?;
        self.file.flush().map_err(CliError::Output)?;
        Ok(self.rows)
    }
}

fn unreadable() -> CliError {
    CliError::Answer("a message can't be read")
}
