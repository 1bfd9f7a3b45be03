//! The rules and the accounts, read from the files that the settings name.

use std::io;
use std::path::{Path, PathBuf};

use atena_oidc::{Provider, ProviderError};
use atena_policy::{Accounts, AccountsError, Policy, PolicyError};

use crate::catalog::field_catalog;
use crate::clock;
use crate::config::Config;
use crate::people::People;

/// Why the rules or the accounts can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The rules can't be read.
    #[error("cannot read the rules {path}: {source}")]
    PolicyUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The rules were refused; every problem with its line.
    #[error("{path} is refused:\n{source}")]
    PolicyRefused {
        /// The file.
        path: PathBuf,
        /// Every problem.
        source: PolicyError,
    },
    /// The accounts can't be read.
    #[error("cannot read the accounts {path}: {source}")]
    AccountsUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The accounts were refused; every problem with its line.
    #[error("{path} is refused:\n{source}")]
    AccountsRefused {
        /// The file.
        path: PathBuf,
        /// Every problem.
        source: AccountsError,
    },
    /// The provider in the settings.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// The release rules that the settings name, proved.
pub(crate) fn policy_of(config: &Config) -> Result<Policy, LoadError> {
    read_policy(&config.policy_file)
}

/// Who may sign in, as the settings say.
pub(crate) fn people_of(config: &Config) -> Result<People, LoadError> {
    let provider = config.oidc.clone().map(Provider::of).transpose()?;
    Ok(People::of(accounts_of(config)?, provider, &config.people.clone().unwrap_or_default()))
}

/// The accounts that the settings name; none without settings for people.
///
/// # Errors
/// [`LoadError`] where they can't be read or are refused.
pub(crate) fn accounts_of(config: &Config) -> Result<Accounts, LoadError> {
    config.people.as_ref().map_or_else(|| Ok(Accounts::default()), |people| read_accounts(&people.file))
}

/// The accounts in a file.
pub(crate) fn read_accounts(path: &Path) -> Result<Accounts, LoadError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| LoadError::AccountsUnreadable { path: path.to_owned(), source })?;
    Accounts::read(&text).map_err(|source| LoadError::AccountsRefused { path: path.to_owned(), source })
}

/// The release rules in a file, proved.
pub(crate) fn read_policy(path: &Path) -> Result<Policy, LoadError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| LoadError::PolicyUnreadable { path: path.to_owned(), source })?;
    let today = clock::japanese_day(clock::now());
    let compiled = Policy::compile(&text, &field_catalog(), today);
    compiled.map_err(|source| LoadError::PolicyRefused { path: path.to_owned(), source })
}
