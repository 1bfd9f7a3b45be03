//! Released records on their way to disk: one file a dataset, or everything to stdout.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use atena_proto::v1::{Dataset, Delivery};

use crate::cli::FileFormat;
use crate::csv_io::{BYTE_ORDER_MARK, Bom, Format, ReleasedWriter};
use crate::error::CliError;
use crate::output::Destination;
use crate::table::Table;
use crate::terms;

/// Where one dataset goes.
struct Part {
    dataset: Dataset,
    writer: ReleasedWriter<Box<dyn Write + Send>>,
    /// The file, to be synced; none for stdout.
    file: Option<File>,
    records: u64,
    deletions: u64,
}

/// Writes deliveries down.
pub(crate) struct Received {
    parts: Vec<Part>,
}

// === impl Received ===

impl Received {
    /// Opens `<dataset>.csv` or `.jsonl` for each dataset in the directory `out` (`-` is stdout). A pull that goes on adds to what is
    /// there; a full pull begins anew.
    ///
    /// # Errors
    /// [`CliError::File`].
    pub(crate) fn open(out: &Path, format: FileFormat, datasets: &[Dataset], goes_on: bool) -> Result<Self, CliError> {
        let (extension, format) = match format {
            FileFormat::Csv => ("csv", Format::Csv),
            FileFormat::Jsonl => ("jsonl", Format::JsonLines),
        };
        let mut parts = Vec::new();
        let to_stdout = out == Path::new("-");
        if to_stdout && format == Format::Csv && Destination::of_stdout() == Destination::File {
            io::stdout().write_all(BYTE_ORDER_MARK).map_err(CliError::Output)?;
        }
        for &dataset in datasets {
            let (sink, file, begun): (Box<dyn Write + Send>, _, _) = if to_stdout {
                (Box::new(io::stdout()), None, false)
            } else {
                fs::create_dir_all(out).map_err(CliError::file("create", out))?;
                let path = out.join(format!("{}.{extension}", terms::dataset_id(dataset)));
                let mut options = OpenOptions::new();
                options.create(true).write(true).append(goes_on).truncate(!goes_on);
                let file = options.open(&path).map_err(CliError::file("write", &path))?;
                let begun = file.metadata().map_err(CliError::file("read", &path))?.len() > 0;
                let handle = file.try_clone().map_err(CliError::file("write", &path))?;
                (Box::new(io::BufWriter::new(file)), Some(handle), begun)
            };
            // Excel takes a CSV file for UTF-8 only when it begins with a byte order mark.
            let bom = if to_stdout || begun { Bom::Without } else { Bom::With };
            let writer = ReleasedWriter::new(dataset, format, bom, !begun, sink);
            parts.push(Part { dataset, writer, file, records: 0, deletions: 0 });
        }
        Ok(Self { parts })
    }

    /// Writes one delivery.
    ///
    /// # Errors
    /// The disk is full, or the gateway sent a dataset that was not asked for.
    pub(crate) fn write(&mut self, delivery: &Delivery) -> Result<(), CliError> {
        let part = self
            .parts
            .iter_mut()
            .find(|part| part.dataset == delivery.dataset())
            .ok_or(CliError::Answer("a dataset that was not asked for"))?;
        part.writer.write(delivery).map_err(|error| CliError::Rows(error.to_string()))?;
        part.records += delivery.records.len() as u64;
        part.deletions += delivery.tombstones.len() as u64;
        Ok(())
    }

    /// Everything written so far is on disk.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        for part in &mut self.parts {
            part.writer.flush().map_err(CliError::Output)?;
            if let Some(file) = &part.file {
                file.sync_data().map_err(CliError::Output)?;
            }
        }
        Ok(())
    }

    /// What was written.
    pub(crate) fn table(&self) -> Table {
        let columns = [
            ("dataset", "dataset"),
            ("japanese", "情報"),
            ("records", "records (件)"),
            ("deletions", "deletions (削除)"),
        ];
        let mut table = Table::new(&columns);
        for part in &self.parts {
            table.row([
                terms::dataset_id(part.dataset).into(),
                terms::dataset_japanese(part.dataset).into(),
                part.records.into(),
                part.deletions.into(),
            ]);
        }
        table
    }
}
