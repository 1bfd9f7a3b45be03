//! The cursor file of a pull: where it goes on, and how long each file was there.
//!
//! The file is replaced as a whole, so after a crash there is the old one or the new one. It is
//! replaced after the rows are on disk. What a file holds beyond its length is cut off when the
//! pull goes on, because those rows come again.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::PullError;
use crate::error::CliError;
use crate::hexadecimal::{from_hexadecimal, hexadecimal};

/// Mode of files that a pull makes: rows are personal data.
pub(super) const NEW_FILE_MODE: u32 = 0o600;

/// Version of the file's form.
const VERSION: u32 = 1;

/// What a file of this form begins with. A cursor of an earlier version is sealed bytes.
const BEGINS: &[u8] = b"{\"atena_pull\":";

/// A cursor file that no other pull uses.
pub(super) struct CursorFile {
    path: PathBuf,
    /// Held until the pull ends. The cursor file itself is replaced, so it can't be the lock.
    _lock: File,
}

/// What a cursor file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// There was no pull.
    Nothing,
    /// The cursor of an earlier version: no lengths.
    Old(Vec<u8>),
    /// Cursor and lengths.
    Place(Place),
}

/// Where a pull goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    atena_pull: u32,
    /// The gateway's cursor, hexadecimal.
    cursor: String,
    pub(super) state: State,
    /// The folder of the files; `-` is stdout.
    pub(super) out: String,
    pub(super) files: Vec<KeptFile>,
}

/// How the pull ended that wrote a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// It did not end, as far as the file says: files may be longer than it says.
    Going,
    /// It stopped in the middle and cut its files back.
    Stopped,
    /// It came to its end.
    Complete,
}

/// One file as far as its rows count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptFile {
    /// Name in the folder.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// SHA-256 of these bytes, hexadecimal.
    pub(super) sha256: String,
}

// === impl CursorFile ===

impl CursorFile {
    /// Takes the cursor file for one pull.
    ///
    /// # Errors
    /// [`PullError::InUse`] when another pull has it.
    pub(super) fn lock(path: &Path) -> Result<Self, CliError> {
        let lock_path = beside(path, ".lock");
        let lock = File::options().create(true).truncate(false).write(true).mode(NEW_FILE_MODE).open(&lock_path);
        let lock = lock.map_err(CliError::file("write", &lock_path))?;
        try_lock(&lock, &lock_path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the last pull kept.
    ///
    /// # Errors
    /// It can't be read, or is damaged.
    pub(super) fn read(&self) -> Result<Kept, CliError> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::Nothing),
            read => read.map_err(CliError::file("read", &self.path))?,
        };
        if bytes.is_empty() {
            return Ok(Kept::Nothing);
        }
        let damaged = || PullError::CursorDamaged { path: self.path.clone() };
        if !bytes.starts_with(BEGINS) {
            // An earlier version's cursor is sealed; what reads as a text is some other file.
            return if std::str::from_utf8(&bytes).is_ok() { Err(damaged().into()) } else { Ok(Kept::Old(bytes)) };
        }
        let place: Place = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        if place.atena_pull != VERSION || from_hexadecimal(&place.cursor).is_none() {
            return Err(damaged().into());
        }
        Ok(Kept::Place(place))
    }

    /// Replaces the file, durably.
    ///
    /// # Errors
    /// The disk is full. The file is the old one then.
    pub(super) fn replace(&self, place: &Place) -> Result<(), CliError> {
        let new = beside(&self.path, ".new");
        let write = || -> io::Result<()> {
            let mut opened = File::options().create(true).truncate(true).write(true).mode(NEW_FILE_MODE).open(&new)?;
            // As the operator set it.
            if let Ok(found) = fs::metadata(&self.path) {
                opened.set_permissions(found.permissions())?;
            }
            serde_json::to_writer(&mut opened, place)?;
            opened.write_all(b"\n")?;
            opened.sync_all()?;
            fs::rename(&new, &self.path)?;
            sync_folder_of(&self.path)
        };
        let written = write();
        if written.is_err() {
            // On a full disk what is half written only takes room.
            let _ = fs::remove_file(&new);
        }
        written.map_err(CliError::file("write", &self.path))
    }
}

// === impl Kept ===

impl Kept {
    /// The gateway's cursor; empty where there is none.
    pub(super) fn cursor(&self) -> Vec<u8> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Old(cursor) => cursor.clone(),
            Self::Place(place) => place.cursor(),
        }
    }
}

// === impl Place ===

impl Place {
    pub(super) fn new(cursor: &[u8], state: State, out: String, files: Vec<KeptFile>) -> Self {
        Self { atena_pull: VERSION, cursor: hexadecimal(cursor), state, out, files }
    }

    /// The gateway's cursor; empty where no row counts yet.
    pub(super) fn cursor(&self) -> Vec<u8> {
        from_hexadecimal(&self.cursor).unwrap_or_default()
    }
}

/// Locks a file for this pull alone, until it is closed. Where the file system has no locks, it
/// says so and goes on.
pub(super) fn try_lock(file: &File, path: &Path) -> Result<(), CliError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(PullError::InUse { path: path.to_owned() }.into()),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => {
            let path = path.display();
            // Nowhere else to report to, should stderr be closed.
            let _ = writeln!(
                io::stderr(),
                "warning: the file system of {path} has no locks; see to it that no other pull runs with this file"
            );
            Ok(())
        }
        Err(TryLockError::Error(source)) => Err(CliError::file("lock", path)(source)),
    }
}

/// Whether a lock failed because the file system knows none (NFS or FUSE without a lock service).
fn has_no_locks(error: &io::Error) -> bool {
    let no_lock_service = Some(rustix::io::Errno::NOLCK.raw_os_error());
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == no_lock_service
}

/// Makes durable that a file is in its folder.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A path with an ending after its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn place(cursor: &[u8]) -> Place {
        let file = KeptFile { name: "payment.csv".into(), bytes: 7, sha256: "00".into() };
        Place::new(cursor, State::Going, "/tmp/out".into(), vec![file])
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_missing_or_empty_means_everything() {
        let folder = tempfile::tempdir().unwrap();
        let file = CursorFile::lock(&folder.path().join("tax.cursor")).unwrap();
        assert_eq!(file.read().unwrap(), Kept::Nothing);
        fs::write(file.path(), "").unwrap();
        assert_eq!(file.read().unwrap(), Kept::Nothing);
        file.replace(&place(b"\x00one")).unwrap();
        file.replace(&place(b"\x00two")).unwrap();
        assert_eq!(file.read().unwrap(), Kept::Place(place(b"\x00two")));
        assert_eq!(file.read().unwrap().cursor(), b"\x00two");
        // The cursor and its lock; nothing half written.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_cursor_of_before_is_told_from_a_damaged_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = CursorFile::lock(&folder.path().join("tax.cursor")).unwrap();
        fs::write(file.path(), b"\x01\xff\x00sealed").unwrap();
        assert_eq!(file.read().unwrap(), Kept::Old(b"\x01\xff\x00sealed".to_vec()));
        let whole = serde_json::to_string(&place(b"one")).unwrap();
        for damaged in
            ["none", &whole[..whole.len() - 3], &whole.replace(":1,", ":2,"), &whole.replace("6f6e65", "6f6")]
        {
            fs::write(file.path(), damaged).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains("tax.cursor") && error.contains("remove it"), "{error}");
        }
    }

    #[test]
    fn a_cursor_file_is_for_its_owner_and_keeps_the_mode_that_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = CursorFile::lock(&folder.path().join("tax.cursor")).unwrap();
        let mode = || fs::metadata(file.path()).unwrap().permissions().mode() & 0o777;
        file.replace(&place(b"one")).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        file.replace(&place(b"two")).unwrap();
        assert_eq!(mode(), 0o640);
    }

    #[test]
    fn a_file_system_without_locks_is_told_from_one_that_fails() {
        for (error, expected) in [(95, true), (38, true), (37, true), (5, false), (11, false)] {
            assert_eq!(has_no_locks(&io::Error::from_raw_os_error(error)), expected, "{error}");
        }
    }

    #[test]
    fn two_pulls_never_use_one_cursor_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tax.cursor");
        let first = CursorFile::lock(&path).unwrap();
        let Err(second) = CursorFile::lock(&path) else { panic!("both have it") };
        assert!(second.to_string().contains("another `atena pull`"), "{second}");
        drop(first);
        CursorFile::lock(&path).unwrap();
    }
}
