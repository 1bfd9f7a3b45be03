//! Where a pull writes to, looked at before anything is asked for and before anything is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::PullError;
use super::cursor::{Kept, KeptFile, Place, State};
use super::file::PullFile;
use super::stdout::{STDOUT, Stdout};
use crate::error::CliError;

/// Where the rows go.
pub(super) enum Destination {
    /// To stdout: one dataset in CSV, or any number of them in JSON Lines, whose lines name their
    /// dataset.
    Stdout(Stdout),
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
                _ => Ok(Self::Stdout(Stdout::of_process(kept, cursor.is_some())?)),
            };
        }
        let anew = || {
            let begin = if cursor.is_some() { PullFile::anew } else { PullFile::replacing };
            names.iter().map(|name| begin(out, name)).collect()
        };
        let files = match kept {
            Kept::Nothing => anew(),
            Kept::Old(_) => match there(out, names) {
                Some(file) => {
                    let cursor = cursor.unwrap_or(out).to_owned();
                    return Err(PullError::OldCursor { cursor, file }.into());
                }
                None => anew(),
            },
            // It was killed before its first row counted.
            Kept::Place(place) if place.cursor().is_empty() => anew(),
            Kept::Place(place) if is_same(out, names, place) => {
                // All were taken over. Where one of several is gone, it is a mistake more likely.
                if place.state == State::Complete && there(out, names).is_none() {
                    anew()
                } else {
                    let goes_on = |name: &String| {
                        let file = place.files.iter().find(|file| file.name == *name);
                        file.map(|file| PullFile::goes_on(out, file, place.state))
                    };
                    names.iter().filter_map(goes_on).collect::<Result<_, _>>()?
                }
            }
            Kept::Place(place) => {
                let is_other_data = datasets_of(&place_names(place)) != datasets_of(&asked_names(names));
                let is_here = is_in(out, place);
                // The gateway's cursor is for its datasets alone.
                if place.out != STDOUT && (is_other_data || (is_here && place.state != State::Complete)) {
                    let (kept, asked) = (listed(&place_names(place)), listed(&asked_names(names)));
                    return Err(PullError::OtherFiles { kept, asked }.into());
                }
                if place.state != State::Complete {
                    return Err(PullError::Elsewhere { out: place.out.clone() }.into());
                }
                // The rows of the last pull were taken over; those from now on go to new files.
                match there(out, names) {
                    Some(file) => return Err(PullError::NotOurs { file }.into()),
                    None => anew(),
                }
            }
        };
        Ok(Self::Files { folder: out.to_owned(), files })
    }

    /// Adds the rows of each file (all of them, to stdout), and waits until they are on disk.
    ///
    /// # Errors
    /// The disk is full. Then only a part may be there; see [`Self::cut_back`].
    pub(super) fn append<'a>(&mut self, blocks: impl Iterator<Item = &'a [u8]>) -> Result<(), CliError> {
        match self {
            Self::Stdout(stdout) => {
                for block in blocks {
                    stdout.append(block)?;
                }
                stdout.sync()
            }
            Self::Files { files, .. } => files.iter_mut().zip(blocks).try_for_each(|(file, block)| file.append(block)),
        }
    }

    /// All rows are there.
    ///
    /// # Errors
    /// A file can't take the place of the one before.
    pub(super) fn finish(&mut self) -> Result<(), CliError> {
        match self {
            Self::Stdout(_) => Ok(()),
            Self::Files { files, .. } => files.iter_mut().try_for_each(PullFile::finish),
        }
    }

    /// What counts of each file from the next cursor on.
    pub(super) fn whole(&self) -> Vec<KeptFile> {
        match self {
            Self::Stdout(stdout) => stdout.whole().into_iter().collect(),
            Self::Files { files, .. } => files.iter().map(PullFile::whole).collect(),
        }
    }

    /// All rows count from now on.
    pub(super) fn keep_whole(&mut self) {
        match self {
            Self::Stdout(stdout) => {
                if let Some(whole) = stdout.whole() {
                    stdout.keep(whole);
                }
            }
            Self::Files { files, .. } => files.iter_mut().for_each(|file| file.keep(file.whole())),
        }
    }

    /// What counts of each file.
    pub(super) fn kept(&self) -> Vec<KeptFile> {
        match self {
            Self::Stdout(stdout) => stdout.kept().cloned().into_iter().collect(),
            Self::Files { files, .. } => files.iter().map(|file| file.kept().clone()).collect(),
        }
    }

    /// Cuts every file back to what counts. Whether all hold whole rows now.
    pub(super) fn cut_back(&mut self) -> bool {
        match self {
            Self::Stdout(stdout) => stdout.cut_back().unwrap_or(false),
            Self::Files { files, .. } => {
                // Each of them, also after one that fails.
                let failed = files.iter_mut().filter_map(|file| file.cut_back().err()).count();
                failed == 0
            }
        }
    }

    /// Whether rows are written at once, because a program may wait for them.
    pub(super) fn is_read_at_once(&self) -> bool {
        matches!(self, Self::Stdout(stdout) if !stdout.is_file())
    }

    /// How the cursor file names it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stdout(_) => STDOUT.to_owned(),
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
    let moved = || there(out, names).is_some() && !Path::new(&place.out).exists();
    place_names(place) == asked_names(names) && (is_in(out, place) || moved())
}

/// Whether a place's files are in this folder.
fn is_in(out: &Path, place: &Place) -> bool {
    full(out).to_string_lossy() == place.out
}

fn place_names(place: &Place) -> BTreeSet<&str> {
    place.files.iter().map(|file| file.name.as_str()).collect()
}

fn asked_names(names: &[String]) -> BTreeSet<&str> {
    names.iter().map(String::as_str).collect()
}

/// The names without their format.
fn datasets_of<'a>(names: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    names.iter().map(|name| name.split('.').next().unwrap_or(name)).collect()
}

fn listed(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

/// A folder's name from the root on; of one that is not there, as far as that can be said.
fn full(folder: &Path) -> PathBuf {
    let canonical = fs::canonicalize(folder);
    canonical.or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.to_owned())
}
