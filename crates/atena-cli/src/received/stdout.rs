//! Stdout as the destination of a pull.
//!
//! Where it is a regular file (`>rows.csv`, `>>rows.csv`), rows are made durable and cut back as in
//! a file of a folder. A pipe can't take anything back.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;

use sha2::{Digest as _, Sha256};

use super::PullError;
use super::cursor::{Kept, KeptFile, State};
use super::file::{digest, kept as kept_file};
use crate::error::CliError;

/// How messages and the cursor file name it.
pub(super) const STDOUT: &str = "-";

/// Where the rows go.
pub(super) struct Stdout {
    out: File,
    /// None for a pipe or a terminal.
    file: Option<Regular>,
}

/// A file that stdout goes to.
struct Regular {
    /// What counts of it.
    kept: KeptFile,
    length: u64,
    /// None where it can't be read, or no cursor file will say what it holds.
    digest: Option<Sha256>,
    /// Whether its rows go on with those of the last pull.
    goes_on: bool,
}

// === impl Stdout ===

impl Stdout {
    /// The stdout of this process. A file is compared with what the cursor file says, and not
    /// changed before [`Self::begin`].
    ///
    /// # Errors
    /// The last pull to stdout did not come to its end, and this is not its file.
    pub(super) fn of_process(kept: &Kept, has_cursor: bool) -> Result<Self, CliError> {
        let out = io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(CliError::Output)?;
        // Reading needs a file of its own: a shell opens stdout for writing alone.
        Self::new(out, || File::open("/dev/stdout").ok().filter(|_| has_cursor), kept)
    }

    /// The same for any file. `open` opens it for reading, and is not called for a pipe: to be its
    /// own reader would keep it open when all others have left.
    pub(super) fn new(out: File, open: impl FnOnce() -> Option<File>, kept: &Kept) -> Result<Self, CliError> {
        let found = out.metadata().map_err(CliError::Output)?;
        if !found.is_file() {
            return Ok(Self { out, file: None });
        }
        let mut reader = open();
        let mut digest_of = |length| {
            let reader = reader.as_mut()?;
            reader.rewind().ok()?;
            digest(reader, length).ok()
        };
        let bytes = found.len();
        let goes_on = bytes > 0 && !kept.cursor().is_empty();
        let left = match kept {
            Kept::Place(place) if place.state != State::Complete => {
                place.files.iter().find(|file| file.name == STDOUT).map(|file| (file, place.state))
            }
            _ => None,
        };
        if let Some((left, state)) = left {
            let digest = if bytes < left.bytes { None } else { digest_of(left.bytes) };
            let is_same = digest.as_ref().is_some_and(|digest| kept_file(STDOUT, left.bytes, Some(digest)) == *left);
            // A pull that was killed leaves rows that do not count. Only in its own file may they
            // be cut off.
            if is_same && (bytes == left.bytes || state == State::Going) {
                let file = Regular { kept: left.clone(), length: left.bytes, digest, goes_on };
                return Ok(Self { out, file: Some(file) });
            }
            let is_unread = bytes == left.bytes && left.sha256.is_empty();
            if !kept.cursor().is_empty() && !is_unread {
                return Err(PullError::OtherStdout { bytes, kept: left.bytes }.into());
            }
        }
        let digest = digest_of(bytes);
        let kept = kept_file(STDOUT, bytes, digest.as_ref());
        Ok(Self { out, file: Some(Regular { kept, length: bytes, digest, goes_on }) })
    }

    /// Cuts off what does not count, and goes to the end of the file.
    ///
    /// # Errors
    /// The file system refuses it.
    pub(super) fn begin(&mut self) -> Result<(), CliError> {
        self.cut_back().map(drop).map_err(CliError::Output)
    }

    /// Whether it goes to a file.
    pub(super) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Whether it goes to a file that holds nothing yet.
    pub(super) fn is_empty_file(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.length == 0)
    }

    /// Whether the rows go on below those of the last pull, which have their header already.
    pub(super) fn goes_on(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.goes_on)
    }

    /// Adds rows. In a file they are on disk then.
    ///
    /// # Errors
    /// The disk is full, or the reader of the pipe has left. A part of the rows may be there; see
    /// [`Self::cut_back`].
    pub(super) fn append(&mut self, rows: &[u8]) -> Result<(), CliError> {
        self.out.write_all(rows).map_err(CliError::Output)?;
        if let Some(file) = &mut self.file {
            file.length += rows.len() as u64;
            if let Some(digest) = &mut file.digest {
                digest.update(rows);
            }
        }
        Ok(())
    }

    /// Waits until the rows are on disk, where they go to a file.
    ///
    /// # Errors
    /// The disk failed.
    pub(super) fn sync(&self) -> Result<(), CliError> {
        if self.is_file() { self.out.sync_data().map_err(CliError::Output) } else { Ok(()) }
    }

    /// What counts of it from the next cursor on; nothing of a pipe.
    pub(super) fn whole(&self) -> Option<KeptFile> {
        self.file.as_ref().map(|file| kept_file(STDOUT, file.length, file.digest.as_ref()))
    }

    /// Its rows count from now on.
    pub(super) fn keep(&mut self, whole: KeptFile) {
        if let Some(file) = &mut self.file {
            file.kept = whole;
        }
    }

    /// What counts of it; nothing of a pipe.
    pub(super) fn kept(&self) -> Option<&KeptFile> {
        self.file.as_ref().map(|file| &file.kept)
    }

    /// Cuts off what does not count. Whether that can be done: it can't in a pipe.
    ///
    /// # Errors
    /// The file system refuses it.
    pub(super) fn cut_back(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        if self.out.metadata()?.len() > file.kept.bytes {
            self.out.set_len(file.kept.bytes)?;
            self.out.sync_all()?;
        }
        // The next program of the same shell line goes on where this one ends.
        self.out.seek(SeekFrom::End(0))?;
        Ok(true)
    }
}
