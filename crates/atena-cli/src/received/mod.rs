//! Released records on their way to disk: one file a dataset, or everything to stdout.
//!
//! Rows are gathered in memory and written in blocks. A block is on disk before the cursor file
//! says so. After any failure the files hold whole rows only, up to the kept cursor.

mod cursor;
mod destination;
mod error;
mod file;
mod stdout;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::Path;

use atena_proto::v1::{Dataset, PullRecordsResponse};

use self::cursor::{CursorFile, Kept, Place, State};
use self::destination::Destination;
pub(crate) use self::error::PullError;
use self::file::PullFile;
use crate::cli::FileFormat;
use crate::csv_io::{Bom, Format, ReleasedRows};
use crate::error::CliError;
use crate::table::Table;
use crate::terms;

/// Bytes of rows after which they are written, made durable and kept with the cursor. A failure costs as much again.
const BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// The cursor file of a pull, held for it, and what it said.
pub(crate) struct Cursor {
    file: Option<CursorFile>,
    kept: Kept,
}

/// A pull whose destination was looked at. Nothing is changed yet.
pub(crate) struct Prepared {
    cursor: Cursor,
    destination: Destination,
    parts: Vec<Part>,
}

/// Writes what a pull delivers.
pub(crate) struct Received {
    cursor: Option<CursorFile>,
    destination: Destination,
    parts: Vec<Part>,
    /// Name of the destination in the cursor file.
    out: String,
    /// The gateway's cursor after the last whole chunk.
    whole: Option<Vec<u8>>,
    /// The one that the cursor file has.
    kept: Option<Vec<u8>>,
}

/// One dataset.
struct Part {
    dataset: Dataset,
    rows: ReleasedRows,
    /// Rows that are not written yet.
    block: Vec<u8>,
    /// How much of them belongs to whole chunks.
    whole: usize,
    /// What was taken, all of it and what belongs to whole chunks.
    count: Count,
    whole_count: Count,
    kept: Count,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    records: u64,
    deletions: u64,
}

// === impl Cursor ===

impl Cursor {
    /// Takes and reads the cursor file, where there is to be one.
    ///
    /// # Errors
    /// Another pull has it, or it can't be read.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, CliError> {
        let file = path.map(CursorFile::lock).transpose()?;
        let kept = file.as_ref().map(CursorFile::read).transpose()?.unwrap_or(Kept::Nothing);
        Ok(Self { file, kept })
    }

    /// What to send to the gateway; empty for everything.
    pub(crate) fn to_send(&self) -> Vec<u8> {
        self.kept.cursor()
    }

    /// Looks at the directory `out` (`-` is stdout), which is to hold `<dataset>.csv` or `.jsonl` for each dataset.
    ///
    /// # Errors
    /// Its files are not those that the cursor file names.
    pub(crate) fn prepare(self, out: &Path, format: FileFormat, datasets: &[Dataset]) -> Result<Prepared, CliError> {
        let (extension, format) = match format {
            FileFormat::Csv => ("csv", Format::Csv),
            FileFormat::Jsonl => ("jsonl", Format::JsonLines),
        };
        let mut parts: Vec<Part> = Vec::new();
        for &dataset in datasets {
            // A dataset that is named twice is one file; whether it may be is for the gateway to say.
            if !parts.iter().any(|part| part.dataset == dataset) {
                parts.push(Part::new(dataset, format)?);
            }
        }
        if out == Path::new(stdout::STDOUT) && format == Format::Csv && parts.len() > 1 {
            return Err(PullError::Mixed { datasets: parts.len() }.into());
        }
        let name = |part: &Part| format!("{}.{extension}", terms::dataset_id(part.dataset));
        let names: Vec<String> = parts.iter().map(name).collect();
        let path = self.file.as_ref().map(CursorFile::path);
        let destination = Destination::check(out, &names, &self.kept, path)?;
        Ok(Prepared { cursor: self, destination, parts })
    }
}

// === impl Prepared ===

impl Prepared {
    /// Makes the files, and cuts off what does not count. From now on the cursor file says that a pull is going on.
    ///
    /// # Errors
    /// Another pull writes these files, or they can't be written.
    pub(crate) fn begin(self) -> Result<Received, CliError> {
        let Self { cursor: Cursor { file: cursor, kept }, destination, parts } = self;
        if let Destination::Files { folder, .. } = &destination {
            fs::create_dir_all(folder).map_err(CliError::file("create", folder))?;
        }
        let kept = match (&destination, kept) {
            // What a file on stdout held before has to stay, also where this pull is killed before
            // its first cursor.
            (Destination::Stdout(stdout), Kept::Nothing) => stdout.is_file().then(Vec::new),
            (_, kept) => (kept != Kept::Nothing).then(|| kept.cursor()),
        };
        let out = destination.text();
        let mut received = Received { cursor, destination, parts, out, whole: None, kept };
        // First: a crash after this may leave files that are longer, or not made yet.
        received.write_kept(State::Going)?;
        match &mut received.destination {
            Destination::Stdout(stdout) => {
                stdout.begin()?;
                // Excel opens what stdout was sent to as well.
                let bom = if stdout.is_empty_file() { Bom::With } else { Bom::Without };
                if !stdout.goes_on() {
                    received.parts.iter_mut().for_each(|part| part.begin(bom));
                }
            }
            Destination::Files { files, .. } => {
                // All are this pull's before anything is cut off.
                files.iter_mut().try_for_each(PullFile::open)?;
                for (part, file) in received.parts.iter_mut().zip(files) {
                    file.cut_back()?;
                    if file.is_empty() {
                        part.begin(Bom::With);
                    }
                }
            }
        }
        Ok(received)
    }
}

// === impl Received ===

impl Received {
    /// Takes one chunk; how many records it had.
    ///
    /// # Errors
    /// The disk is full, or the gateway sent what was not asked for. See [`Self::stopped`].
    pub(crate) fn take(&mut self, chunk: PullRecordsResponse) -> Result<u64, CliError> {
        let mut records = 0;
        for delivery in &chunk.deliveries {
            let dataset = delivery.dataset();
            let part = self.parts.iter_mut().find(|part| part.dataset == dataset);
            let part = part.ok_or(CliError::Answer("a dataset that was not asked for"))?;
            part.rows.append(delivery, &mut part.block)?;
            part.count.records += delivery.records.len() as u64;
            part.count.deletions += delivery.tombstones.len() as u64;
            records += delivery.records.len() as u64;
        }
        for part in &mut self.parts {
            (part.whole, part.whole_count) = (part.block.len(), part.count);
        }
        self.whole = Some(chunk.next_cursor);
        if self.destination.is_read_at_once()
            || self.parts.iter().map(|part| part.block.len()).sum::<usize>() >= BLOCK_BYTES
        {
            self.keep(State::Going)?;
        }
        Ok(records)
    }

    /// The pull came to its end.
    ///
    /// # Errors
    /// The disk is full. See [`Self::stopped`].
    pub(crate) fn finish(&mut self) -> Result<(), CliError> {
        self.keep(State::Complete)?;
        self.destination.finish()
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
                part.count.records.into(),
                part.count.deletions.into(),
            ]);
        }
        table
    }

    /// The pull stopped: keeps the whole chunks that arrived, or cuts the files back to those kept before. The error
    /// says what is on disk.
    pub(crate) fn stopped(mut self, cause: CliError) -> CliError {
        // The reader of stdout had enough of it (`| head`).
        if matches!(&cause, CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return cause;
        }
        for part in &mut self.parts {
            part.block.truncate(part.whole);
        }
        // What could not be written is not tried again: a disk that was full is full.
        let is_of_writing = matches!(cause, CliError::File { .. } | CliError::Output(_));
        let is_whole =
            if is_of_writing { self.cut_back() } else { self.keep(State::Stopped).is_ok() || self.cut_back() };
        let on_disk = self.on_disk(is_whole);
        PullError::Stopped { cause: Box::new(cause), on_disk }.into()
    }

    /// Writes the gathered rows, makes them durable, and keeps them with the cursor, in this order.
    fn keep(&mut self, state: State) -> Result<(), CliError> {
        self.destination.append(self.parts.iter().map(|part| part.block.as_slice()))?;
        let whole = self.whole.clone().or_else(|| self.kept.clone());
        if let (Some(cursor_file), Some(cursor)) = (&self.cursor, &whole) {
            cursor_file.replace(&Place::new(cursor, state, self.out.clone(), self.destination.whole()))?;
        }
        self.kept = whole;
        self.destination.keep_whole();
        for part in &mut self.parts {
            part.block.clear();
            (part.whole, part.kept) = (0, part.whole_count);
        }
        Ok(())
    }

    /// Cuts every file back to what was kept, and says so in the cursor file. Whether all files hold whole rows now.
    fn cut_back(&mut self) -> bool {
        // The cursor file may have been replaced all the same: rows and lengths that it names are on disk.
        if self.is_kept_after_all() {
            self.kept.clone_from(&self.whole);
            self.parts.iter_mut().for_each(|part| part.kept = part.whole_count);
            return true;
        }
        let is_cut = self.destination.cut_back();
        // A cursor file that still says that a pull is going on does no harm: the next one finds nothing to cut off.
        if is_cut {
            let _ = self.write_kept(State::Stopped);
        }
        is_cut
    }

    /// Whether the cursor file has the newest cursor, though its folder could not be synced.
    fn is_kept_after_all(&self) -> bool {
        let read = self.cursor.as_ref().and_then(|file| file.read().ok());
        read.is_some_and(|read| self.whole != self.kept && Some(read.cursor()) == self.whole)
    }

    /// Writes the cursor that was kept, with another state.
    fn write_kept(&self, state: State) -> Result<(), CliError> {
        let (Some(cursor_file), Some(cursor)) = (&self.cursor, &self.kept) else { return Ok(()) };
        cursor_file.replace(&Place::new(cursor, state, self.out.clone(), self.destination.kept()))
    }

    /// What is on disk after a pull that stopped, and what to do.
    fn on_disk(&self, is_whole: bool) -> String {
        let part = |part: &Part| {
            let Count { records, deletions } = part.kept;
            format!("{} {records} records and {deletions} deletions", terms::dataset_id(part.dataset))
        };
        let parts = self.parts.iter().map(part).collect::<Vec<_>>().join(", ");
        let place = if self.out == stdout::STDOUT { "stdout".to_owned() } else { self.out.clone() };
        let rows = if is_whole { "whole rows only" } else { "the last row may be torn" };
        let again = match &self.destination {
            Destination::Stdout(stdout) if stdout.is_file() => {
                "Run the same command again, adding to the same file (>>)"
            }
            _ => "Run the same command again",
        };
        let next = match (&self.cursor, self.kept.as_deref().unwrap_or_default()) {
            (Some(_), _) if !is_whole && self.out == stdout::STDOUT => {
                "Keep the rows counted here and throw away those after them, which come again by the same command. With \
                 --out DIR that is done for you."
                    .to_owned()
            }
            (Some(_), []) => format!("{again}: it begins anew."),
            (Some(_), _) => format!("{again}: it goes on from there."),
            (None, _) => {
                let left = match &self.destination {
                    Destination::Stdout(_) => String::new(),
                    Destination::Files { .. } => format!(
                        " It is in files whose names end in {}; those of an earlier pull are as they were.",
                        file::PART_ENDING
                    ),
                };
                format!(
                    "This is not everything.{left} Run the same command again: it begins anew. With --cursor-file FILE it \
                     would go on from there."
                )
            }
        };
        format!("This pull wrote to {place}: {parts}; {rows}.\n  {next}")
    }
}

// === impl Part ===

impl Part {
    fn new(dataset: Dataset, format: Format) -> Result<Self, CliError> {
        let rows = ReleasedRows::new(dataset, format)?;
        let (count, whole_count, kept) = Default::default();
        Ok(Self { dataset, rows, block: Vec::new(), whole: 0, count, whole_count, kept })
    }

    /// What a new file begins with. It belongs to no chunk, so it is whole.
    fn begin(&mut self, bom: Bom) {
        self.rows.head(bom, &mut self.block);
        self.whole = self.block.len();
    }
}
