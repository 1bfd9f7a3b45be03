//! The sign-in of whoever is at a console: the ID token, in a file that nobody else can read, until it ends or somebody signs out.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use atena_oidc::IdToken;
use tonic::metadata::{Ascii, MetadataValue};

use crate::error::CliError;
use crate::home::Home;
use crate::init::private_directory;
use crate::pki::replace_secret;

/// Keeps a sign-in in place of the one before.
pub(crate) fn keep(home: &Home, console: &str, token: &IdToken) -> Result<(), CliError> {
    let path = home.session(console);
    if let Some(folder) = path.parent() {
        private_directory(folder)?;
    }
    replace_secret(&path, token.expose())
}

/// The sign-in at a console; `None` where nobody signed in, as at every system that is no console.
pub(crate) fn read(home: &Home, console: &str) -> Result<Option<IdToken>, CliError> {
    let path = home.session(console);
    let metadata = match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(CliError::file("read", &path))?,
    };
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CliError::SessionMode { path, mode });
    }
    fs::read_to_string(&path).map(|text| Some(IdToken::kept(text))).map_err(CliError::file("read", &path))
}

/// Forgets the sign-in at a console; whether there was one.
pub(crate) fn forget(home: &Home, console: &str) -> Result<bool, CliError> {
    let path = home.session(console);
    match fs::remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true).map_err(CliError::file("remove", &path)),
    }
}

/// The sign-in as a call carries it (RFC 6750 §2.1): marked, so that it is in no log of the transport and no table of its compression.
pub(crate) fn bearer(token: &IdToken) -> Result<MetadataValue<Ascii>, CliError> {
    let malformed = |_| CliError::Malformed { what: "the sign-in that was kept", reason: "sign in again".to_owned() };
    let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose()).parse().map_err(malformed)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_sign_in_is_for_its_owner_alone_and_gone_after_signing_out() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        assert!(read(&home, "console").unwrap().is_none());
        for text in ["one", "two"] {
            keep(&home, "console", &IdToken::kept(text.to_owned())).unwrap();
            assert_eq!(read(&home, "console").unwrap().unwrap().expose(), text);
        }
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&home.session("console")), mode(&home.root().join("sessions"))), (0o600, 0o700));
        fs::set_permissions(home.session("console"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&home, "console"), Err(CliError::SessionMode { mode: 0o640, .. })));
        assert!(forget(&home, "console").unwrap());
        assert!(!forget(&home, "console").unwrap());
        assert!(read(&home, "console").unwrap().is_none());
    }

    #[test]
    fn a_sign_in_shows_itself_in_no_trace() {
        let value = bearer(&IdToken::kept("secret".to_owned())).unwrap();
        assert!(!format!("{value:?}").contains("secret"));
    }
}
