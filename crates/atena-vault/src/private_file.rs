//! Files that hold a secret: read only where nobody else can read them.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::VaultError;

/// Mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// The user id of root.
const ROOT: u32 = 0;

/// Refuses a file with a secret that others can read or write, or that belongs to another user than root and the one who runs this.
///
/// A symbolic link counts as what it points to.
///
/// # Errors
/// [`VaultError::SecretFile`], [`VaultError::SecretFileMode`], [`VaultError::SecretFileOwner`].
pub fn check(path: &Path) -> Result<(), VaultError> {
    let metadata = fs::metadata(path).map_err(|source| VaultError::SecretFile { path: path.to_owned(), source })?;
    check_metadata(path, &metadata)
}

/// Opens a file with a secret, under the same conditions. They are asked of the file that is read,
/// whatever takes its place.
///
/// # Errors
/// As [`check`].
pub fn open(path: &Path) -> Result<File, VaultError> {
    let failed = |source| VaultError::SecretFile { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    check_metadata(path, &file.metadata().map_err(failed)?)?;
    Ok(file)
}

/// The same of a file that is open.
pub(crate) fn check_metadata(path: &Path, metadata: &Metadata) -> Result<(), VaultError> {
    let user = rustix::process::geteuid().as_raw();
    refuse(path, metadata.mode() & 0o7777, metadata.uid(), user)
}

fn refuse(path: &Path, mode: u32, owner: u32, user: u32) -> Result<(), VaultError> {
    // Also what root runs reads no file of another user, who could change it at any time.
    if owner != ROOT && owner != user {
        return Err(VaultError::SecretFileOwner { path: path.to_owned(), owner, user });
    }
    if mode & OTHERS != 0 {
        return Err(VaultError::SecretFileMode { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_its_path_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        fs::write(&path, "secret").unwrap();
        for mode in [0o600, 0o400, 0o700] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(check(&path).is_ok(), "{mode:o}");
        }
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = check(&path).unwrap_err().to_string();
            assert!(refused.contains(&format!("chmod 600 {}", path.display())), "{refused}");
            assert!(refused.contains(&format!("{mode:04o}")), "{refused}");
        }
        assert!(check(&folder.path().join("absent")).is_err());
    }

    #[test]
    fn a_secret_of_another_user_is_refused_with_what_to_do() {
        let path = Path::new("/srv/atena/keys.toml");
        let refused = |owner, user| refuse(path, 0o600, owner, user).map_err(|error| error.to_string());
        assert!(refused(ROOT, 4711).is_ok() && refused(4711, 4711).is_ok() && refused(ROOT, ROOT).is_ok());
        let other = refused(4711, 4712).unwrap_err();
        assert!(other.contains("uid 4711") && other.contains("chown 4712 /srv/atena/keys.toml"), "{other}");
        // The service could not read any more what was given to root.
        let root = refused(4711, ROOT).unwrap_err();
        assert!(root.contains("sudo -u '#4711'") && !root.contains("chown"), "{root}");
    }

    #[test]
    fn what_is_opened_is_what_was_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(&path), Err(VaultError::SecretFileMode { mode: 0o644, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(std::io::read_to_string(open(&path).unwrap()).unwrap(), "secret");
        assert!(matches!(open(&folder.path().join("absent")), Err(VaultError::SecretFile { .. })));
    }
}
