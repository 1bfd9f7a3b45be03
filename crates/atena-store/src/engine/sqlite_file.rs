//! The database file before it is opened: what is wrong with it is said in words, with its path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;

use crate::cause;
use crate::error::StoreError;

/// What a database file begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Bytes of its header.
const HEADER: usize = 100;

/// Looks at a file, which need not be there, and gives its whole path: SQLite would read a relative
/// one that begins with `file:` as a URL.
///
/// # Errors
/// [`StoreError::Open`]: it can't be used.
pub(super) fn examine(file: &Path) -> Result<PathBuf, StoreError> {
    let path = std::path::absolute(file).map_err(|error| unusable(file, &error))?;
    let refused = |what: &str| Err(StoreError::Open(format!("{} {what}", path.display())));
    if path.to_str().is_none_or(|path| path.contains('\0')) {
        return refused("is no path that can be used: it must be UTF-8");
    }
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(path),
        Err(error) => return Err(unusable(&path, &error)),
    };
    if metadata.is_dir() {
        return refused("is a directory: name a file in database_url");
    }
    if !metadata.is_file() {
        return refused("is not a regular file: name one in database_url");
    }
    let mut opened = File::open(&path).map_err(|error| unusable(&path, &error))?;
    OpenOptions::new().write(true).open(&path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::Open(format!(
            "{} is read-only for this user ({error}): make the file and its file system writable",
            path.display()
        )),
        _ => unusable(&path, &error),
    })?;
    if metadata.len() == 0 {
        return Ok(path);
    }
    let mut header = [0; HEADER];
    match opened.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return refused("is cut off: it does not have a whole header. Bring a backup back (atena restore)");
        }
        Err(error) => return Err(unusable(&path, &error)),
        Ok(()) => {}
    }
    if !header.starts_with(MAGIC) {
        return refused(
            "is not an SQLite database, or its beginning is damaged: look at database_url, or bring a backup back (atena restore)",
        );
    }
    // What is still in the write-ahead log may make the file longer.
    let pending = fs::metadata(beside(&path, "-wal")).is_ok_and(|log| log.len() > 0);
    match length(&header).filter(|length| !pending && metadata.len() < *length) {
        Some(length) => refused(&format!(
            "is cut off: it has {} bytes of {length}. Bring a backup back (atena restore)",
            metadata.len()
        )),
        None => Ok(path),
    }
}

/// Bytes that a file should have by its header, if that says so.
fn length(header: &[u8; HEADER]) -> Option<u64> {
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        page => u64::from(page),
    };
    // The count of pages is good only if it was written with the newest change.
    (number(24) == number(92)).then(|| page * u64::from(number(28)))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A file that the operating system does not give.
pub(super) fn unusable(path: &Path, error: &io::Error) -> StoreError {
    let remedy = match error.kind() {
        ErrorKind::NotFound => "its directory is not there: make it, or look at database_url",
        ErrorKind::PermissionDenied => "give the user that runs atena the right to it and its directory",
        ErrorKind::ReadOnlyFilesystem => "make its file system writable",
        ErrorKind::StorageFull => "make room on the disk",
        _ => "look at the disk and its file system",
    };
    StoreError::Open(format!("{}: {error}; {remedy}", path.display()))
}

/// A file that SQLite does not open.
pub(super) fn not_opened(path: &Path, error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => {
            cause::log(&*error);
            StoreError::Open(format!("{}: {}", path.display(), cause::of_database(&*error)))
        }
        error => StoreError::Open(format!("{}: {}", path.display(), StoreError::from(error))),
    }
}

/// A file whose tables can't be brought to this version.
pub(super) fn not_migrated(path: &Path, error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => not_opened(path, error),
        error => StoreError::not_of_this_version(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        examine(path).unwrap_err().to_string()
    }

    async fn database(path: &Path) -> u64 {
        let engine = super::super::SqliteEngine::open(path).await.unwrap();
        engine.close().await;
        fs::metadata(path).unwrap().len()
    }

    #[tokio::test]
    async fn what_is_no_whole_database_is_refused_with_its_path_and_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("atena.db");
        let length = database(&path).await;
        assert_eq!(examine(&path).unwrap(), path);

        File::options().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
        let told = refused(&path);
        assert!(told.contains("is cut off") && told.contains(path.to_str().unwrap()), "{told}");
        File::options().write(true).open(&path).unwrap().set_len(50).unwrap();
        assert!(refused(&path).contains("is cut off"));
        fs::write(&path, [b'x'; 4096]).unwrap();
        assert!(refused(&path).contains("is not an SQLite database"));
        assert!(refused(folder.path()).contains("is a directory"));
        let told = refused(&path.join("below"));
        assert!(told.contains("Not a directory"), "{told}");
    }

    /// A name is never decoded, and never read as a URL.
    #[tokio::test]
    async fn a_file_has_the_name_that_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a%20b.db", "file:x?mode=ro", "a#b", "宛名 データ.db", "q?immutable=1", ":memory:"] {
            let path = folder.path().join(name);
            database(&path).await;
        }
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| !name.to_string_lossy().ends_with("-wal") && !name.to_string_lossy().ends_with("-shm"));
        assert_eq!(names.len(), 6, "{names:?}");
    }
}
