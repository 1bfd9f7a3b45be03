//! Where a pull writes to, looked at before anything is asked for and before anything is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::PullError;
use super::cursor::{Kept, Place, State};
use super::file::PullFile;
use crate::error::CliError;

/// What stands for stdout.
pub(super) const STDOUT: &str = "-";

/// Where the rows go.
pub(super) enum Destination {
    /// One after the other to stdout.
    Stdout,
    /// One file a dataset, in the order of the names asked for.
    Files {
        /// Their folder.
        folder: PathBuf,
        files: Vec<PullFile>,
    },
}

// === impl Destination ===

impl Destination {
    /// Finds out whether a pull can begin or go on here.
    ///
    /// # Errors
    /// It can't: [`PullError`] says why, and what to do.
    pub(super) fn check(out: &Path, names: &[String], kept: &Kept, cursor: Option<&Path>) -> Result<Self, CliError> {
        if out == Path::new(STDOUT) {
            return match kept {
                Kept::Place(place) if place.out != STDOUT && place.state != State::Complete => {
                    Err(PullError::Elsewhere { out: place.out.clone() }.into())
                }
                _ => Ok(Self::Stdout),
            };
        }
        let anew = || names.iter().map(|name| PullFile::anew(out, name, cursor.is_some())).collect();
        let files = match kept {
            Kept::Nothing => anew(),
            Kept::Old(_) => match there(out, names) {
                Some(file) => {
                    let cursor = cursor.unwrap_or(out).to_owned();
                    return Err(PullError::OldCursor { cursor, file }.into());
                }
                None => anew(),
            },
            Kept::Place(place) if is_same(out, names, place) => {
                let goes_on = |name: &String| {
                    let file = place.files.iter().find(|file| file.name == *name);
                    file.map(|file| PullFile::goes_on(out, file, place.state))
                };
                names.iter().filter_map(goes_on).collect::<Result<_, _>>()?
            }
            Kept::Place(place) if place.state != State::Complete => {
                return Err(PullError::Elsewhere { out: place.out.clone() }.into());
            }
            // The rows of the last pull were taken over; those from now on go to new files.
            Kept::Place(_) => match there(out, names) {
                Some(file) => return Err(PullError::NotOurs { file }.into()),
                None => anew(),
            },
        };
        Ok(Self::Files { folder: out.to_owned(), files })
    }

    /// The files; none for stdout.
    pub(super) fn files(&self) -> &[PullFile] {
        match self {
            Self::Stdout => &[],
            Self::Files { files, .. } => files,
        }
    }

    /// As [`Self::files`].
    pub(super) fn files_mut(&mut self) -> &mut [PullFile] {
        match self {
            Self::Stdout => &mut [],
            Self::Files { files, .. } => files,
        }
    }

    /// How the cursor file names it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stdout => STDOUT.to_owned(),
            Self::Files { folder, .. } => full(folder).to_string_lossy().into_owned(),
        }
    }
}

/// A file of one of these names that is there.
fn there(out: &Path, names: &[String]) -> Option<PathBuf> {
    names.iter().map(|name| out.join(name)).find(|path| path.symlink_metadata().is_ok())
}

/// Whether a place's files are those asked for: the same names in the same folder, which may have been moved.
fn is_same(out: &Path, names: &[String], place: &Place) -> bool {
    let kept: BTreeSet<&str> = place.files.iter().map(|file| file.name.as_str()).collect();
    let asked: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let moved = || there(out, names).is_some() && !Path::new(&place.out).exists();
    kept == asked && (full(out).to_string_lossy() == place.out || moved())
}

/// A folder's name from the root on; of one that is not there, as far as that can be said.
fn full(folder: &Path) -> PathBuf {
    let canonical = fs::canonicalize(folder);
    canonical.or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.to_owned())
}
