//! Why a pull can't write, or can't go on. Paths, lengths and counts; no cell.

use std::fmt;
use std::path::PathBuf;

use super::cursor::State;
use super::stdout::STDOUT;
use crate::error::CliError;

/// What helps where a file is not what the cursor file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The last pull came to its end.
    AfterAll,
    /// It stopped in the middle: its rows belong together.
    InTheMiddle,
}

// === impl Remedy ===

impl Remedy {
    pub(super) fn after(state: State) -> Self {
        if state == State::Complete { Self::AfterAll } else { Self::InTheMiddle }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("put the file back as it was. ")?;
        if *self == Self::AfterAll {
            text.write_str("Or go on in another, empty folder (--out), if its rows were taken over already. ")?;
        }
        text.write_str("Or begin anew: remove the cursor file and pull everything")
    }
}

/// Why a pull can't write, or can't go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// Two pulls at once.
    #[error("{} is in use by another `atena pull`; nothing was done. Wait until that one has ended", path.display())]
    InUse {
        /// The file, or the lock beside the cursor file.
        path: PathBuf,
    },
    /// A cursor file that says nothing of use.
    #[error("{} is damaged, or no cursor file of `atena pull`; remove it and pull everything anew", path.display())]
    CursorDamaged {
        /// The cursor file.
        path: PathBuf,
    },
    /// A cursor file of an earlier version.
    #[error(
        "{} was written by an earlier version of atena, which did not keep the lengths of files: {} may end in the \
         middle of a row. Remove the cursor file and pull everything anew, or go on in another, empty folder (--out)",
        cursor.display(), file.display()
    )]
    OldCursor {
        /// The cursor file.
        cursor: PathBuf,
        /// A file that is there.
        file: PathBuf,
    },
    /// The file is gone.
    #[error("{} is missing, so the pull can't go on: {remedy}", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// What helps.
        remedy: Remedy,
    },
    /// The file lost rows.
    #[error("{} has {bytes} bytes where the last pull left {kept}, so the pull can't go on: {remedy}", file.display())]
    Shorter {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// What the cursor file says.
        kept: u64,
        /// What helps.
        remedy: Remedy,
    },
    /// Something was added to the file.
    #[error("{} was added to since the last pull ({bytes} bytes, {kept} then), so the pull can't go on: {remedy}", file.display())]
    Longer {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// What the cursor file says.
        kept: u64,
        /// What helps.
        remedy: Remedy,
    },
    /// The file holds other bytes.
    #[error("{} was changed since the last pull, so the pull can't go on: {remedy}", file.display())]
    Changed {
        /// The file.
        file: PathBuf,
        /// What helps.
        remedy: Remedy,
    },
    /// A file that this cursor does not go on with.
    #[error(
        "{} is there already, and is no file that this cursor goes on with; name an empty folder (--out), or move the \
         file away",
        file.display()
    )]
    NotOurs {
        /// The file.
        file: PathBuf,
    },
    /// A pull that did not come to its end went elsewhere.
    #[error(
        "the last pull with this cursor file did not come to its end, and its rows are in {}; go on there \
         (--out {out}), or begin anew: remove the cursor file",
        if out == STDOUT { "what stdout went to" } else { out.as_str() }
    )]
    Elsewhere {
        /// Where.
        out: String,
    },
    /// Other files than those of the cursor.
    #[error(
        "this cursor file goes on with {kept}; asked for was {asked}. Ask for the same datasets (--dataset) in the same \
         format (--format), or begin anew: remove the cursor file and pull everything"
    )]
    OtherFiles {
        /// Those that the cursor file names.
        kept: String,
        /// Those asked for.
        asked: String,
    },
    /// Stdout went to a file, and goes to another one now.
    #[error(
        "stdout does not go to the file that the last pull with this cursor file left, or that file was changed ({bytes} \
         bytes, {kept} then); that pull did not come to its end. Add to its file (>>), or begin anew: remove the cursor \
         file and pull everything"
    )]
    OtherStdout {
        /// Length of the file.
        bytes: u64,
        /// What the cursor file says.
        kept: u64,
    },
    /// Rows of several datasets in CSV can't be told apart.
    #[error(
        "the rows of {datasets} datasets can't be told apart in one CSV file; name a folder (--out DIR), one dataset \
         (--dataset NAME), or --format jsonl"
    )]
    Mixed {
        /// How many were asked for.
        datasets: usize,
    },
    /// A device, a folder, a pipe.
    #[error("{} is no regular file; move it away or name another folder (--out)", file.display())]
    NotAFile {
        /// The file.
        file: PathBuf,
    },
    /// It stopped in the middle.
    #[error("{cause}\n  {on_disk}")]
    Stopped {
        /// Why.
        cause: Box<CliError>,
        /// What is on disk, and what to do.
        on_disk: String,
    },
}
