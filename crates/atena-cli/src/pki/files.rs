//! Files of the authority: written whole and durable, or not at all.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::error::CliError;

/// Writes a new file that anyone may read.
pub(crate) fn write_public(path: &Path, text: &str) -> Result<(), CliError> {
    write_new(path, text, 0o644)
}

pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), CliError> {
    write_new(path, text, 0o600)
}

/// Puts a file in the place of another: a gateway that reads it meanwhile finds the one or the other.
pub(super) fn replace_public(path: &Path, text: &str) -> Result<(), CliError> {
    replace(path, text, 0o644)
}

pub(crate) fn replace_secret(path: &Path, text: &str) -> Result<(), CliError> {
    replace(path, text, 0o600)
}

fn replace(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let new = path.with_extension("new");
    // One that was left behind when the machine stopped.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(CliError::file("remove", new)(error)),
        _ => (),
    }
    write_new(&new, text, mode)?;
    fs::rename(&new, path).and_then(|()| sync_folder(path)).map_err(CliError::file("write", path))
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        sync_folder(path)
    };
    write().map_err(CliError::file("write", path))
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}
