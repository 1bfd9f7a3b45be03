//! A new home: settings, keys, certificates and release rules, ready to serve.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use atena_domain::MunicipalityCode;
use atena_gateway::{Config, field_catalog};
use atena_policy::Policy;
use atena_vault::KeyFile;
use jiff::civil::Date;
use jiff::{Timestamp, tz};

use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;
use crate::pki::{Authority, CERTIFICATE_DAYS, LOCAL_NAMES, write_public};

/// The default release rules and registry of systems.
const DEFAULT_POLICY: &str = include_str!("../../../deploy/policy.toml");

/// The accounts of people that a new home has: none, and how to write one.
const DEFAULT_PEOPLE: &str = include_str!("../../../deploy/people.toml");

/// The municipality that the default rules are written for: 東京都町田市.
pub(crate) const DEFAULT_MUNICIPALITY: &str = "132098";

/// Makes a home with the default settings and returns it with the ids of the systems that got a certificate.
///
/// # Errors
/// [`CliError::NotEmpty`] when there is something at `root`; anything that can't be made or written.
pub(crate) fn create(
    root: &Path,
    municipality_code: &str,
    server_names: &[String],
) -> Result<(Home, Vec<String>), CliError> {
    create_with(root, municipality_code, server_names, Config::default_text())
}

/// As [`create`], with these settings.
///
/// # Errors
/// As [`create`].
pub(crate) fn create_with(
    root: &Path,
    municipality_code: &str,
    server_names: &[String],
    settings: &str,
) -> Result<(Home, Vec<String>), CliError> {
    let municipality = MunicipalityCode::parse(municipality_code)
        .map_err(|error| CliError::Malformed { what: "--municipality", reason: error.to_string() })?;
    let today = japanese_day();
    let rules = rules_of(&municipality);
    let policy = Policy::compile(&rules, &field_catalog(), today).map_err(|source| CliError::Policy {
        path: "the default policy.toml".into(),
        source,
        revoked: String::new(),
    })?;
    let systems: Vec<String> = policy.systems().map(|system| system.id().as_str().to_owned()).collect();

    empty_directory(root)?;
    let home = Home::at(root);
    for folder in [home.pki(), home.systems(), home.people_certificates()] {
        private_directory(&folder)?;
    }
    KeyFile::generate(&municipality)?.write_new(&home.keys())?;
    let authority = Authority::create(&home, municipality.as_str(), today)?;
    authority.issue_server(LOCAL_NAMES.into_iter().chain(server_names.iter().map(String::as_str)))?;
    for system in &systems {
        let holder = Holder::System(system.clone());
        authority.issue_client(municipality.as_str(), &holder, CERTIFICATE_DAYS, &home.systems())?;
    }
    write_public(&home.policy(), &rules)?;
    write_public(&home.people(), DEFAULT_PEOPLE)?;
    // Last: a home that has settings is whole.
    write_public(&home.config(), settings)?;
    Ok((home, systems))
}

/// Today in Japan (JST, UTC+9): rules, legal bases and certificates are valid by the day.
pub(crate) fn japanese_day() -> Date {
    tz::offset(9).to_datetime(Timestamp::now()).date()
}

/// The default rules with another municipality's code.
fn rules_of(municipality: &MunicipalityCode) -> String {
    DEFAULT_POLICY.replacen(&format!("\"{DEFAULT_MUNICIPALITY}\""), &format!("\"{}\"", municipality.as_str()), 1)
}

/// Makes `root` with mode 0700, or takes an existing directory that has nothing in it.
fn empty_directory(root: &Path) -> Result<(), CliError> {
    if let Ok(mut entries) = fs::read_dir(root) {
        if entries.next().is_some() {
            return Err(CliError::NotEmpty { path: root.to_owned() });
        }
        return fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .map_err(CliError::file("set the mode of", root));
    }
    private_directory(root)
}

/// Makes a directory of mode 0700 if it is not there.
pub(crate) fn private_directory(path: &Path) -> Result<(), CliError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(CliError::file("create", path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt as _;

    use atena_policy::{Accounts, PersonRole};

    use super::*;

    #[test]
    fn a_new_home_is_private_and_holds_what_serve_needs() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("home");
        let (home, systems) = create(&root, DEFAULT_MUNICIPALITY, &[]).unwrap();
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(home.keys()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(systems.iter().any(|system| system == "pension"));
        Config::load(&home.config()).unwrap();
    }

    #[test]
    fn a_new_home_lets_nobody_sign_in_and_shows_how_to_write_an_account() {
        assert_eq!(Accounts::read(DEFAULT_PEOPLE).unwrap().iter().count(), 0);
        let examples: String = DEFAULT_PEOPLE
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')))
            .flat_map(|line| [line, "\n"])
            .collect();
        let accounts = Accounts::read(&examples).unwrap();
        let roles: BTreeSet<_> = accounts.iter().flat_map(|account| account.roles()).collect();
        assert_eq!(roles.len(), PersonRole::ALL.len(), "an example of each role");
    }

    #[test]
    fn init_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("something"), "").unwrap();
        let error = create(folder.path(), DEFAULT_MUNICIPALITY, &[]).unwrap_err();
        assert!(matches!(error, CliError::NotEmpty { .. }));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_rules_and_certificates_are_of_the_municipality_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (home, _) = create(&folder.path().join("home"), "131016", &[]).unwrap();
        let rules = fs::read_to_string(home.policy()).unwrap();
        assert!(rules.contains("municipality_code = \"131016\""));
    }
}
