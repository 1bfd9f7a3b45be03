//! The settings of a gateway, parsed once from `atena.toml`; nothing reads the environment later.

mod check;
mod limits;
mod people;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use atena_oidc::ProviderSettings;
use atena_store::{Log, StoreOptions};
use atena_vault::{KeySource, TokenPlace};
use serde::Deserialize;

pub use limits::Limits;
pub use people::PeopleConfig;

/// A head of the log is signed at most this long after a commit.
const CHECKPOINT_INTERVAL_MS_MAX: u64 = 1000;

/// Settings of one gateway. Paths are absolute once loaded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it takes calls.
    pub listen: SocketAddr,
    /// `sqlite:FILE`, a relative file being relative to the settings; or `postgres://user@host[:port][,host[:port]…]/database`.
    pub database_url: String,
    /// A PostgreSQL replica for pulls to read from, while it is new enough for their cursors.
    #[serde(default)]
    pub database_replica_url: Option<String>,
    /// Connections to each PostgreSQL server, at most.
    #[serde(default = "connections_default")]
    pub database_connections_max: u32,
    /// The release rules.
    pub policy_file: PathBuf,
    /// The keys, unless a token has them.
    pub keys_file: PathBuf,
    /// The token (HSM, PKCS #11) that has the keys.
    #[serde(default)]
    pub token: Option<TokenPlace>,
    /// Certificates.
    pub tls: TlsConfig,
    /// Limits on everything that can grow.
    #[serde(default)]
    pub limits: Limits,
    /// The transfer log.
    #[serde(default)]
    pub log: LogConfig,
    /// What the monthly review calls unusual.
    #[serde(default)]
    pub review: ReviewConfig,
    /// When people may be erased.
    #[serde(default)]
    pub erasure: ErasureConfig,
    /// How long changes are kept for incremental pulls.
    #[serde(default)]
    pub feeds: FeedsConfig,
    /// When the clock is believed.
    #[serde(default)]
    pub clock: ClockConfig,
    /// The people who may sign in; without it nobody may.
    #[serde(default)]
    pub people: Option<PeopleConfig>,
    /// The provider at which people sign in (OpenID Connect).
    #[serde(default)]
    pub oidc: Option<ProviderSettings>,
    /// Logs, traces and metrics.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
}

/// Certificates of the door, PEM files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authority of the client certificates.
    pub client_ca: PathBuf,
    /// Revocation lists (CRL, PEM or DER), one of every authority whose certificates clients show, also of those between. A list that
    /// has run out lets nobody in (RFC 5280 §5.1.2.5).
    #[serde(default = "client_crls_default")]
    pub client_crls: Vec<PathBuf>,
}

/// The transfer log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Where the newest signed head is kept beside the database: a database from an old backup does not reach it, and is refused. Keep
    /// it apart from the database's backups.
    pub checkpoint_file: PathBuf,
    /// The same for the admin log.
    pub admin_checkpoint_file: PathBuf,
    /// Time between signed heads while the log grows; at most 1000.
    pub checkpoint_interval_ms: u64,
    /// How long details are kept.
    pub retention: RetentionConfig,
    /// Witnesses that are asked to cosign each head (c2sp.org/tlog-witness), e.g. that of the audit office.
    pub witness: Vec<WitnessConfig>,
}

/// How long the details of transfers are kept, in days; the leaves of the log stay for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Of what was released or received.
    pub transfers_days: u32,
    /// Of calls that were refused, cancelled, timed out or failed.
    pub refusals_days: u32,
    /// Of questions that auditors asked of the log.
    pub audits_days: u32,
}

/// How long a person is kept after an event, in days (保存期間).
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErasureConfig {
    /// After a death (死亡).
    pub after_death_days: u32,
    /// After moving out of the municipality (転出).
    pub after_moving_out_days: u32,
}

/// How long changes are kept for incremental pulls.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedsConfig {
    /// Days. A consumer whose cursor is older gets everything once more.
    pub kept_days: u32,
}

/// When the clock is believed: nothing is erased on the word of a clock that contradicts the log or the gateway's certificate.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockConfig {
    /// How far the clock may be ahead of the newest leaf of the log, in days.
    pub ahead_of_log_days_max: u32,
}

/// What the monthly review (月次点検) calls unusual.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReviewConfig {
    /// Hour at which office hours begin, in Japan.
    pub office_from_hour: i8,
    /// Hour at which they end.
    pub office_to_hour: i8,
    /// A day with more than this times the usual transfers of a system.
    pub volume_factor: f64,
    /// A person looked up more often than this in a month by one system (見過ぎ).
    pub lookups_of_person_max: u64,
    /// An operator with more than this times the median of all operators.
    pub operator_factor: f64,
}

/// One witness.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Its submission prefix, e.g. `http://audit.city.example:8099`. What is sent has no personal data and is signed, so it needs no TLS.
    pub url: String,
    /// Its public key, as `atena witness` prints it.
    pub key: String,
}

/// Logs to stderr and, if an endpoint is set, traces and metrics by OTLP.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// How log lines look.
    pub format: LogFormat,
    /// OTLP/gRPC endpoint, e.g. `http://127.0.0.1:4317`; empty for none.
    pub otlp_endpoint: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person at a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Why settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind; the text names the line.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line and reason; never the line itself, which may hold a password.
        message: String,
    },
    /// Settings that can't work; each with its name and what it may be.
    #[error("{path} is refused:\n{}", problems.join("\n"))]
    Refused {
        /// The file.
        path: PathBuf,
        /// Every setting that can't work.
        problems: Vec<String>,
    },
    /// The path of the settings is not UTF-8.
    #[error("the path {path} is not UTF-8: move the home to a directory whose path is")]
    NotUtf8 {
        /// The directory.
        path: PathBuf,
    },
}

// === impl Config ===

impl Config {
    /// Loads a settings file.
    ///
    /// # Errors
    /// [`ConfigError`] when it can't be read or says something unknown.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, folder).map_err(|error| match error {
            ConfigError::Malformed { message, .. } => ConfigError::Malformed { path: path.to_owned(), message },
            ConfigError::Refused { problems, .. } => ConfigError::Refused { path: path.to_owned(), problems },
            other => other,
        })
    }

    /// Parses settings whose relative paths are below `folder`.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`], [`ConfigError::Refused`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| {
            let (line, problem) = atena_policy::toml_problem(text, &error);
            ConfigError::Malformed { path: folder.join("atena.toml"), message: format!("line {line}: {problem}") }
        })?;
        for path in [
            &mut config.policy_file,
            &mut config.keys_file,
            &mut config.tls.certificate,
            &mut config.tls.key,
            &mut config.tls.client_ca,
            &mut config.log.checkpoint_file,
            &mut config.log.admin_checkpoint_file,
        ] {
            *path = folder.join(&*path);
        }
        people::resolve(&mut config, folder);
        if let Some(token) = &mut config.token {
            token.module = folder.join(&token.module);
            token.pin_file = folder.join(&token.pin_file);
        }
        for list in &mut config.tls.client_crls {
            *list = folder.join(&*list);
        }
        if let Some(file) = config.database_url.strip_prefix("sqlite:")
            && !file.starts_with('/')
        {
            let file = folder.join(file);
            let file = file.to_str().ok_or_else(|| ConfigError::NotUtf8 { path: folder.to_owned() })?;
            config.database_url = StoreOptions::url_of_file(file);
        }
        let problems = check::problems(&config);
        let path = folder.join("atena.toml");
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Refused { path, problems }) }
    }

    /// Where the keys are.
    #[must_use]
    pub fn key_source(&self) -> KeySource {
        match &self.token {
            None => KeySource::File(self.keys_file.clone()),
            Some(token) => KeySource::Token(token.clone()),
        }
    }

    /// Where the keys are, for messages.
    pub(crate) fn keys_place(&self) -> String {
        match &self.token {
            None => self.keys_file.display().to_string(),
            Some(token) => format!("token {}", token.label),
        }
    }

    /// Whether the database is a file of this machine alone.
    pub(crate) fn has_database_file(&self) -> bool {
        self.store_options().sqlite_file().is_some()
    }

    /// Where the database is and how it is used.
    pub(crate) fn store_options(&self) -> StoreOptions {
        StoreOptions {
            url: self.database_url.clone(),
            replica_url: self.database_replica_url.clone(),
            connections_max: self.database_connections_max,
        }
    }

    /// The commented default settings: what `atena init` writes.
    #[must_use]
    pub fn default_text() -> &'static str {
        include_str!("../../../deploy/atena.toml")
    }
}

fn connections_default() -> u32 {
    16
}

fn client_crls_default() -> Vec<PathBuf> {
    vec![PathBuf::from("pki/ca.crl")]
}

// === impl LogConfig ===

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            checkpoint_file: PathBuf::from("log.checkpoint"),
            admin_checkpoint_file: PathBuf::from("admin.checkpoint"),
            checkpoint_interval_ms: 500,
            retention: RetentionConfig::default(),
            witness: Vec::new(),
        }
    }
}

impl LogConfig {
    /// Where the newest signed head of a log is kept beside the database.
    pub(crate) fn checkpoint_file_of(&self, log: Log) -> &Path {
        match log {
            Log::Transfers => &self.checkpoint_file,
            Log::Administration => &self.admin_checkpoint_file,
        }
    }

    pub(crate) fn checkpoint_interval(&self) -> Duration {
        Duration::from_millis(self.checkpoint_interval_ms)
    }
}

// === impl RetentionConfig ===

/// Seven years, leap days included.
const SEVEN_YEARS_DAYS: u32 = 2557;

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { transfers_days: SEVEN_YEARS_DAYS, refusals_days: SEVEN_YEARS_DAYS, audits_days: SEVEN_YEARS_DAYS }
    }
}

// === impl ErasureConfig ===

/// Five years, leap days included.
const FIVE_YEARS_DAYS: u32 = 1827;

impl Default for ErasureConfig {
    fn default() -> Self {
        Self { after_death_days: FIVE_YEARS_DAYS, after_moving_out_days: FIVE_YEARS_DAYS }
    }
}

// === impl FeedsConfig ===

impl Default for FeedsConfig {
    fn default() -> Self {
        Self { kept_days: 400 }
    }
}

// === impl ClockConfig ===

impl Default for ClockConfig {
    fn default() -> Self {
        Self { ahead_of_log_days_max: 40 }
    }
}

// === impl ReviewConfig ===

impl Default for ReviewConfig {
    fn default() -> Self {
        Self {
            office_from_hour: 8,
            office_to_hour: 19,
            volume_factor: 2.0,
            lookups_of_person_max: 20,
            operator_factor: 3.0,
        }
    }
}

// === impl WitnessConfig ===

impl WitnessConfig {
    /// HOST:PORT and the path before `/add-checkpoint`; `None` unless it is an `http://` address.
    pub(crate) fn place(&self) -> Option<(String, String)> {
        let rest = self.url.strip_prefix("http://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let path = path.trim_end_matches('/');
        Some((address, if path.is_empty() { String::new() } else { format!("/{path}") }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_file_states_the_defaults() {
        let config = Config::parse(Config::default_text(), Path::new("/x")).unwrap();
        assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
        assert_eq!(config.database_url, "sqlite:/x/atena.db");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = Config::default_text().replace("handshakes_max", "handshake_max");
        let error = Config::parse(&text, Path::new("/x")).unwrap_err().to_string();
        assert!(error.contains("line") && error.contains("handshake_max"), "{error}");
    }
}
