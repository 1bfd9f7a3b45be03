//! The sign-in of whoever is at a console: the ID token, in a file that nobody else can read, until it ends or somebody signs out.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use atena_gateway::{Config, accounts_of};
use atena_oidc::IdToken;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{Timestamp, tz};
use serde::Deserialize;
use tonic::metadata::{Ascii, MetadataValue};

use crate::error::CliError;
use crate::home::Home;
use crate::init::private_directory;
use crate::pki::replace_secret;

/// What a token says of its person. The gateway decides whether it is to be believed; here it is only shown to that person.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: Option<String>,
    preferred_username: Option<String>,
    exp: i64,
}

/// Characters of a name that are shown.
const NAME_CHARACTERS_MAX: usize = 100;

/// Says on stderr whose sign-in the commands of a console use: another person may have sat there before.
pub(crate) fn announce(home: &Home, token: &IdToken) {
    if let Some(text) = whose(home, token, Timestamp::now()) {
        // Nowhere else to report to, should stderr be closed.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// Whose sign-in it is and until when; `None` where the token does not say it.
fn whose(home: &Home, token: &IdToken, now: Timestamp) -> Option<String> {
    let body = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&body).ok()?;
    let ends = Timestamp::from_second(claims.exp).ok()?;
    let until = tz::offset(9).to_datetime(ends).strftime("%Y-%m-%d %H:%M");
    let who = person(home, claims);
    Some(if ends > now {
        format!("サインイン: {who}、{until} まで / signed in as {who} until {until} (JST)")
    } else {
        format!(
            "サインイン: {who}、{until} に終了 / the sign-in of {who} ended at {until} (JST); sign in again: atena login"
        )
    })
}

/// The account as the log calls it, where this home knows the accounts; otherwise what the provider calls the person.
fn person(home: &Home, claims: Claims) -> String {
    let accounts = Config::load(&home.config()).ok().and_then(|config| accounts_of(&config).ok());
    let account = accounts.as_ref().and_then(|accounts| accounts.of_subject(&claims.sub));
    let name = match account {
        Some(account) => format!("{} ({})", account.id().as_str(), account.division()),
        None => claims.name.or(claims.preferred_username).unwrap_or(claims.sub),
    };
    // What a provider sends must not steer the terminal.
    name.chars().filter(|character| !character.is_control()).take(NAME_CHARACTERS_MAX).collect()
}

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
    fn a_sign_in_says_whose_it_is_and_until_when() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let token = |claims: &str| IdToken::kept(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims)));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        // 1793491200 is 2026-11-01 09:00 in Japan.
        let claims = r#"{"sub":"s-1","name":"監査\u001b[31m 花子","exp":1793491200}"#;
        let text = whose(&home, &token(claims), at("2026-10-31T23:00:00Z")).unwrap();
        assert!(
            text.contains("監査[31m 花子") && text.contains("2026-11-01 09:00") && !text.contains('\u{1b}'),
            "{text}"
        );
        let late = whose(&home, &token(claims), at("2026-11-01T00:00:01Z")).unwrap();
        assert!(late.contains("ended at 2026-11-01 09:00") && late.contains("atena login"), "{late}");
        let bare = whose(&home, &token(r#"{"sub":"s-1","exp":1793491200}"#), at("2026-10-31T23:00:00Z")).unwrap();
        assert!(bare.contains("s-1"), "{bare}");
        assert_eq!(whose(&home, &IdToken::kept("no token".to_owned()), at("2026-10-31T23:00:00Z")), None);
    }

    #[test]
    fn a_sign_in_shows_itself_in_no_trace() {
        let value = bearer(&IdToken::kept("secret".to_owned())).unwrap();
        assert!(!format!("{value:?}").contains("secret"));
    }
}
