//! Files that hold a secret: read only where nobody else can read them.

use std::fs;
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
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if mode & OTHERS != 0 {
        return Err(VaultError::SecretFileMode { path: path.to_owned(), mode });
    }
    let user = rustix::process::geteuid().as_raw();
    // What root runs may read what any user wrote; a file of another user could be changed by that one at any time.
    if owner != ROOT && owner != user {
        return Err(VaultError::SecretFileOwner { path: path.to_owned(), owner, user });
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
    fn a_secret_of_another_user_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        // Only root can give a file away.
        if std::os::unix::fs::chown(&path, Some(4711), None).is_ok() {
            assert!(matches!(check(&path), Err(VaultError::SecretFileOwner { owner: 4711, .. })));
        }
    }
}
