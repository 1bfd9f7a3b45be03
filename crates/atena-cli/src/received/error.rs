//! Why a pull can't write, or can't go on. Paths, lengths and counts; no cell.

use std::path::PathBuf;

use crate::error::CliError;

/// What helps where a file is not what the cursor file says.
macro_rules! remedy {
    () => {
        "put the file back as it was. Or go on in another, empty folder (--out), if its rows were taken over already. \
         Or begin anew: remove the cursor file and pull everything"
    };
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
    #[error("{} is missing, so the pull can't go on: {}", file.display(), remedy!())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file lost rows.
    #[error("{} has {bytes} bytes where the last pull left {kept}, so the pull can't go on: {}", file.display(), remedy!())]
    Shorter {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// What the cursor file says.
        kept: u64,
    },
    /// Something was added to the file.
    #[error("{} was added to since the last pull ({bytes} bytes, {kept} then), so the pull can't go on: {}", file.display(), remedy!())]
    Longer {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// What the cursor file says.
        kept: u64,
    },
    /// The file holds other bytes.
    #[error("{} was changed since the last pull, so the pull can't go on: {}", file.display(), remedy!())]
    Changed {
        /// The file.
        file: PathBuf,
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
        "the last pull with this cursor file did not come to its end, and its rows are in {out}; go on there \
         (--out {out}), or begin anew: remove the cursor file"
    )]
    Elsewhere {
        /// Where.
        out: String,
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
