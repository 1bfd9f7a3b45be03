//! One file of a pull. What counts of it is what was kept with the cursor; the rest is cut off.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::cursor::{KeptFile, NEW_FILE_MODE, State, beside, sync_folder_of, try_lock};
use super::error::{PullError, Remedy};
use crate::error::CliError;
use crate::hexadecimal::hexadecimal;

/// What the name of a file ends with until all rows are there, where it replaces another one.
pub(super) const PART_ENDING: &str = ".part";

/// Bytes that are read at once to compare a file.
const READ_BYTES: usize = 256 * 1024;

/// A file that rows are added to. No other pull has it.
pub(super) struct PullFile {
    name: String,
    path: PathBuf,
    /// None until the pull begins, where the file is not there yet.
    file: Option<File>,
    /// The file that it takes the place of, once all rows are there.
    replaces: Option<Replaced>,
    length: u64,
    /// None where no cursor file will say what the file holds.
    digest: Option<Sha256>,
    kept: KeptFile,
}

/// A file that is replaced as a whole.
struct Replaced {
    path: PathBuf,
    /// Held, so that no other pull writes it meanwhile; none where it is not there yet.
    held: Option<File>,
}

// === impl PullFile ===

impl PullFile {
    /// A file that begins anew, whatever it holds. Nothing is done before [`Self::open`].
    pub(super) fn anew(folder: &Path, name: &str) -> Self {
        Self::at(folder, name, None, 0, Some(Sha256::new()))
    }

    /// A file that is replaced by [`Self::finish`], as a whole. No cursor file names it. Nothing is
    /// done before [`Self::open`].
    pub(super) fn replacing(folder: &Path, name: &str) -> Self {
        let mut file = Self::at(folder, name, None, 0, None);
        // What a link points to is replaced, and not the link.
        let path = fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
        file.path = beside(&path, PART_ENDING);
        file.replaces = Some(Replaced { path, held: None });
        file
    }

    /// A file that goes on as the cursor file says. It is compared, and not changed before [`Self::cut_back`].
    ///
    /// # Errors
    /// It is not what the last pull left.
    pub(super) fn goes_on(folder: &Path, kept: &KeptFile, state: State) -> Result<Self, CliError> {
        let path = folder.join(&kept.name);
        let remedy = Remedy::after(state);
        let mut file = match open(&path)? {
            Some(file) => file,
            None if kept.bytes == 0 => return Ok(Self::anew(folder, &kept.name)),
            None => return Err(PullError::Missing { file: path, remedy }.into()),
        };
        try_lock(&file, &path)?;
        let bytes = file.metadata().map_err(CliError::file("read", &path))?.len();
        if bytes < kept.bytes {
            return Err(PullError::Shorter { file: path, bytes, kept: kept.bytes, remedy }.into());
        }
        let digest = digest(&mut file, kept.bytes).map_err(CliError::file("read", &path))?;
        if hexadecimal(&digest.clone().finalize()) != kept.sha256 {
            return Err(PullError::Changed { file: path, remedy }.into());
        }
        // Only a pull that did not end leaves rows that do not count.
        if bytes > kept.bytes && state != State::Going {
            return Err(PullError::Longer { file: path, bytes, kept: kept.bytes, remedy }.into());
        }
        Ok(Self::at(folder, &kept.name, Some(file), kept.bytes, Some(digest)))
    }

    fn at(folder: &Path, name: &str, file: Option<File>, length: u64, digest: Option<Sha256>) -> Self {
        let kept = kept(name, length, digest.as_ref());
        Self { name: name.to_owned(), path: folder.join(name), file, replaces: None, length, digest, kept }
    }

    /// Opens the file for this pull alone; makes it where it is not there.
    ///
    /// # Errors
    /// Another pull has it, or it can't be written.
    pub(super) fn open(&mut self) -> Result<(), CliError> {
        if let Some(replaced) = &mut self.replaces {
            replaced.held = open(&replaced.path)?;
            if let Some(held) = &replaced.held {
                try_lock(held, &replaced.path)?;
            }
        }
        if self.file.is_none() {
            let opened = match open(&self.path)? {
                Some(file) => file,
                None => {
                    let mut new = File::options();
                    new.create(true).truncate(false).read(true).write(true).mode(NEW_FILE_MODE);
                    new.open(&self.path).map_err(CliError::file("write", &self.path))?
                }
            };
            try_lock(&opened, &self.path)?;
            self.file = Some(opened);
        }
        sync_folder_of(&self.path).map_err(CliError::file("write", &self.path))
    }

    /// Whether it holds nothing that counts.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds whole rows and waits until they are on disk.
    ///
    /// # Errors
    /// The disk is full. Then only a part may be there; see [`Self::cut_back`].
    pub(super) fn append(&mut self, rows: &[u8]) -> Result<(), CliError> {
        let Some(file) = self.file.as_mut().filter(|_| !rows.is_empty()) else { return Ok(()) };
        let written = file.write_all(rows).and_then(|()| file.sync_data());
        written.map_err(CliError::file("write", &self.path))?;
        self.length += rows.len() as u64;
        if let Some(digest) = &mut self.digest {
            digest.update(rows);
        }
        Ok(())
    }

    /// Takes the place of the file that it replaces, with its mode.
    ///
    /// # Errors
    /// The file system refuses it.
    pub(super) fn finish(&mut self) -> Result<(), CliError> {
        let (Some(file), Some(replaced)) = (&self.file, &self.replaces) else { return Ok(()) };
        let replace = || {
            if let Some(held) = &replaced.held {
                file.set_permissions(held.metadata()?.permissions())?;
            }
            fs::rename(&self.path, &replaced.path)?;
            sync_folder_of(&replaced.path)
        };
        replace().map_err(CliError::file("replace", &replaced.path))
    }

    /// What counts of it from the next cursor on.
    pub(super) fn whole(&self) -> KeptFile {
        kept(&self.name, self.length, self.digest.as_ref())
    }

    /// Its rows count from now on.
    pub(super) fn keep(&mut self, whole: KeptFile) {
        self.kept = whole;
    }

    /// What counts of it.
    pub(super) fn kept(&self) -> &KeptFile {
        &self.kept
    }

    /// Cuts off what does not count.
    ///
    /// # Errors
    /// The file system refuses it.
    pub(super) fn cut_back(&mut self) -> Result<(), CliError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let bytes = self.kept.bytes;
        let mut cut = || {
            if file.metadata()?.len() != bytes {
                file.set_len(bytes)?;
                file.sync_all()?;
            }
            file.seek(SeekFrom::Start(bytes)).map(drop)
        };
        cut().map_err(CliError::file("write", &self.path))
    }
}

/// Opens a file that is there.
fn open(path: &Path) -> Result<Option<File>, CliError> {
    // Looked at first: to open a pipe would wait for its reader.
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CliError::file("read", path)(error)),
        Ok(found) if !found.is_file() => return Err(PullError::NotAFile { file: path.to_owned() }.into()),
        Ok(_) => {}
    }
    File::options().read(true).write(true).open(path).map(Some).map_err(CliError::file("write", path))
}

/// What counts of a file.
pub(super) fn kept(name: &str, bytes: u64, digest: Option<&Sha256>) -> KeptFile {
    let sha256 = digest.map(|digest| hexadecimal(&digest.clone().finalize())).unwrap_or_default();
    KeptFile { name: name.to_owned(), bytes, sha256 }
}

/// The digest of the first `bytes` bytes, ready to go on with the next.
pub(super) fn digest(file: &mut File, bytes: u64) -> io::Result<Sha256> {
    let (mut digest, mut block, mut left) = (Sha256::new(), vec![0; READ_BYTES], bytes);
    while left > 0 {
        let wanted = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match file.read(&mut block[..wanted])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                digest.update(&block[..read]);
                left -= read as u64;
            }
        }
    }
    Ok(digest)
}
