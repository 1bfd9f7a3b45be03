//! The directory of one gateway, and what lies where in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::holder::Holder;

/// The directory that `atena init` makes.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
}

// === impl Home ===

impl Home {
    /// The directory at `root`, whether it exists or not.
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A directory that `init` made.
    ///
    /// # Errors
    /// [`CliError::NoHome`] when there are no settings in it.
    pub(crate) fn existing(root: &Path) -> Result<Self, CliError> {
        let home = Self::at(root);
        match fs::metadata(home.config()) {
            Ok(settings) if settings.is_file() => Ok(home),
            // There may be one that this user must not see.
            Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Err(CliError::File { action: "read", path: home.config(), source })
            }
            _ => Err(CliError::NoHome { home: home.root }),
        }
    }

    /// The homes of further municipalities, in the order of their codes.
    ///
    /// # Errors
    /// [`CliError::File`].
    pub(crate) fn municipalities(&self) -> Result<Vec<Self>, CliError> {
        let folder = self.root.join("municipalities");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(CliError::file("read", &folder))?,
        };
        let mut homes = Vec::new();
        for entry in entries {
            homes.push(Self::at(entry.map_err(CliError::file("read", &folder))?.path()));
        }
        // A home whose settings are not there yet is not whole.
        homes.retain(|home| home.config().is_file());
        homes.sort_by(|one, other| one.root.cmp(&other.root));
        Ok(homes)
    }

    /// The home of a further municipality, whether it exists or not.
    pub(crate) fn municipality(&self, code: &str) -> Self {
        Self::at(self.root.join("municipalities").join(code))
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Settings.
    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("atena.toml")
    }

    /// Release rules and registry of systems.
    pub(crate) fn policy(&self) -> PathBuf {
        self.root.join("policy.toml")
    }

    /// Keys, mode 0600.
    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys.toml")
    }

    /// Certificates.
    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Certificates of the systems.
    pub(crate) fn systems(&self) -> PathBuf {
        self.pki().join("systems")
    }

    /// A copy of every certificate that the built-in authority ever issued, by serial number.
    pub(crate) fn issued(&self) -> PathBuf {
        self.pki().join("issued")
    }

    /// The certificate shown to clients.
    pub(crate) fn server(&self) -> PathBuf {
        self.pki().join("server.crt")
    }

    /// The built-in authority's private key, mode 0600.
    pub(crate) fn authority_key(&self) -> PathBuf {
        self.pki().join("ca.key")
    }

    /// The built-in authority's revocation list.
    pub(crate) fn revocation_list(&self) -> PathBuf {
        self.pki().join("ca.crl")
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.pki().join("ca.crt")
    }

    /// Certificates of people.
    pub(crate) fn people_certificates(&self) -> PathBuf {
        self.pki().join("people")
    }

    /// Accounts of people.
    pub(crate) fn people(&self) -> PathBuf {
        self.root.join("people.toml")
    }

    /// Where the sign-in of whoever is at a console is kept, mode 0600.
    pub(crate) fn session(&self, console: &str) -> PathBuf {
        self.root.join("sessions").join(console)
    }

    /// Everybody who has a client certificate here.
    pub(crate) fn holders(&self) -> Result<Vec<Holder>, CliError> {
        let mut holders = Vec::new();
        for (folder, holder) in [
            (self.systems(), Holder::System as fn(String) -> Holder),
            (self.people_certificates(), Holder::Person as fn(String) -> Holder),
        ] {
            let entries = match fs::read_dir(&folder) {
                // Homes that were made before people could have certificates.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                entries => entries.map_err(CliError::file("read", &folder))?,
            };
            for entry in entries {
                let name = entry.map_err(CliError::file("read", &folder))?.file_name();
                holders
                    .extend(name.to_str().and_then(|name| name.strip_suffix(".crt")).map(|id| holder(id.to_owned())));
            }
        }
        holders.sort();
        Ok(holders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_settings_is_refused_with_the_command_that_makes_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = Home::existing(folder.path()).unwrap_err().to_string();
        assert!(error.contains("atena init --home"), "{error}");
    }
}
