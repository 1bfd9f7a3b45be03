//! `[people]` and `[oidc]`: who may sign in, and how.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Config;

/// Who may sign in, and how long a sign-in is good.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeopleConfig {
    /// The accounts (利用者登録簿).
    pub file: PathBuf,
    /// A sign-in at the provider ends after this, whatever its token says.
    pub sign_in_age_max_s: u64,
    /// Content is shown again (ReconstructTransfer) only to somebody who signed in no longer ago than this.
    pub content_sign_in_age_max_s: u64,
    /// Whether what acts on the system at the machine is done only by operators who sign in.
    pub operators_sign_in: bool,
}

// === impl PeopleConfig ===

impl Default for PeopleConfig {
    fn default() -> Self {
        Self {
            file: PathBuf::from("people.toml"),
            sign_in_age_max_s: 36_000,
            content_sign_in_age_max_s: 600,
            operators_sign_in: false,
        }
    }
}

/// Makes the paths of both sections absolute.
pub(super) fn resolve(config: &mut Config, folder: &Path) {
    if let Some(people) = &mut config.people {
        people.file = folder.join(&people.file);
    }
    if let Some(provider) = &mut config.oidc {
        for file in [&mut provider.ca_file, &mut provider.client_secret_file].into_iter().flatten() {
            *file = folder.join(&*file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_file_states_the_defaults() {
        let config = Config::parse(Config::default_text(), Path::new("/x")).unwrap();
        let people = PeopleConfig { file: PathBuf::from("/x/people.toml"), ..PeopleConfig::default() };
        assert_eq!(format!("{:?}", config.people), format!("{:?}", Some(people)));
    }

    #[test]
    fn the_provider_in_the_sample_file_can_be_used_as_it_stands() {
        let text = Config::default_text();
        let section = text.split("\n# [oidc]\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let uncommented: String = section.lines().flat_map(|line| [line.strip_prefix("# ").unwrap(), "\n"]).collect();
        let config = Config::parse(&format!("{text}\n[oidc]\n{uncommented}"), Path::new("/x")).unwrap();
        assert_eq!(config.oidc.unwrap().issuer, "https://login.city.example");
    }
}
