//! Why a command failed, in words that say what to do. No error holds personal data.

use std::path::PathBuf;

use atena_gateway::telemetry::TelemetryError;
use atena_gateway::{
    AcceptHeadError, AdminError, AdminLogError, BackupError, ClockError, ConfigError, ConfirmClockError, EraseError,
    ExportError, GatewayError, MigrateError, OperatorError, RotateError,
};
use atena_oidc::{ProviderError, SignInError};
use atena_policy::{AccountsError, PolicyError};
use atena_vault::VaultError;

use crate::client::LinkFailure;
use crate::csv_io::FileFault;
use crate::received::PullError;
use crate::sample::SampleError;
use crate::status::CallFailure;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// `init` never overwrites.
    #[error("{} is not empty; init never overwrites: name a new directory, or move this one away yourself", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// An installation has each municipality once.
    #[error("municipality {code} is there already: {}", home.display())]
    MunicipalityThere {
        /// Its code.
        code: String,
        /// Its home.
        home: PathBuf,
    },
    /// Of several municipalities none could be served; each reason stands above.
    #[error("no municipality can be served")]
    NoneServed,
    /// The admin log can't be written, or can't be believed.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Who acts is not proved, or may not.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// No sign-in is kept for a console.
    #[error(
        "nobody is signed in at `{console}`, so nothing was done; sign in: atena login --as {console}. With a certificate: --as person/ID"
    )]
    NobodySignedIn {
        /// The console.
        console: String,
    },
    /// The admin log can't be read.
    #[error(transparent)]
    AdminLog(#[from] AdminLogError),
    /// A log was not copied out.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A backup was not made or not restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Keys were not rotated.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// Nobody was erased.
    #[error(transparent)]
    Erase(#[from] EraseError),
    /// The clock is not compared.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The clock was not confirmed.
    #[error(transparent)]
    ConfirmClock(#[from] ConfirmClockError),
    /// No head was accepted.
    #[error(transparent)]
    AcceptHead(#[from] AcceptHeadError),
    /// A start took too long.
    #[error(
        "the start took longer than {seconds} s (start_timeout_s in atena.toml) and was given up; it was waiting for {step}"
    )]
    StartTimeout {
        /// The setting.
        seconds: u64,
        /// What it was waiting for.
        step: String,
    },
    /// Something was not moved.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A file or directory can't be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: "read", "write", …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The directory was not made by `init`.
    #[error("{} holds no atena.toml; make it first: atena init --home {}", home.display(), home.display())]
    NoHome {
        /// The directory.
        home: PathBuf,
    },
    /// Nobody of this name has a client certificate here.
    #[error("no client certificate for `{holder}` in {}; there is one for: {known}", folder.display())]
    NoCertificate {
        /// As given to `--as`.
        holder: String,
        /// Where certificates lie.
        folder: PathBuf,
        /// Those that have one.
        known: String,
    },
    /// `ID.card.toml`.
    #[error("{}: {reason}", path.display())]
    CardSettings {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        reason: String,
    },
    /// A card without a certificate, and no file with one.
    #[error("the card has no certificate beside the key `{key}`; name a file with it: certificate = \"…\"")]
    NoCardCertificate {
        /// Label of the key.
        key: String,
    },
    /// The settings name no provider.
    #[error("{} names no provider of sign-ins ([oidc])", settings.display())]
    NoProvider {
        /// The settings.
        settings: PathBuf,
    },
    /// The provider can't be used.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Nobody signed in.
    #[error("nobody is signed in: {0}")]
    SignIn(#[from] SignInError),
    /// The browser did not come back.
    #[error("nobody signed in within {minutes} minutes")]
    SignInTimeout {
        /// How long it was waited for.
        minutes: u64,
    },
    /// A session that others can read.
    #[error("{} can be read by others (mode {mode:o}): whoever read it can be you until it ends; sign out and in again: atena logout, atena login", path.display())]
    SessionMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// An identifier on the command line is malformed.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// Which argument.
        what: &'static str,
        /// The rule that it breaks.
        reason: String,
    },
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The release rules.
    #[error(
        "{} is refused:\n{source}\nA running gateway keeps the rules it has, less what this file only takes away{revoked}", path.display()
    )]
    Policy {
        /// The file.
        path: PathBuf,
        /// Every problem, with its line.
        source: PolicyError,
        /// The systems that it revokes all the same, in a line of its own.
        revoked: String,
    },
    /// The keys.
    #[error(transparent)]
    Keys(#[from] VaultError),
    /// Logs and traces.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// A certificate can't be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The settings name no token.
    #[error("{} names no token ([token]); the keys are in keys_file, which `atena init` made", settings.display())]
    NoToken {
        /// The settings.
        settings: PathBuf,
    },
    /// No built-in authority.
    #[error("{} is not there: this home has no built-in authority; have certificates and revocation lists made by the authority of the municipality", path.display())]
    NoAuthority {
        /// Where its key would be.
        path: PathBuf,
    },
    /// A system that the registry does not know.
    #[error("policy.toml has no system `{system}`; it has: {known}")]
    NotRegistered {
        /// As given to `--system`.
        system: String,
        /// Those that it has.
        known: String,
    },
    /// No account that signs in with a certificate.
    #[error("people.toml has no account `{account}` with certificate = true that has not ended; it has: {known}")]
    NoAccount {
        /// As given to `--person`.
        account: String,
        /// Those that it has.
        known: String,
    },
    /// A file of accounts that is refused.
    #[error("{} is refused:\n{source}", path.display())]
    Accounts {
        /// The file.
        path: PathBuf,
        /// Every problem, with its line.
        source: AccountsError,
    },
    /// It has a certificate already.
    #[error("{} is there already; `atena pki renew --{kind} {id}` issues the next one", path.display())]
    HasCertificate {
        /// "system" or "person".
        kind: &'static str,
        /// Its id.
        id: String,
        /// Its certificate.
        path: PathBuf,
    },
    /// Nothing that could be revoked.
    #[error("the built-in authority issued no valid certificate for {what}; `atena pki status` lists what it issued")]
    NothingToRevoke {
        /// As asked for.
        what: String,
    },
    /// The system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
    /// Not what its name says.
    #[error("{} holds no well-formed {what}", path.display())]
    NotX509 {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A PEM file holds nothing of the kind.
    #[error("{} is not a PEM file of the kind expected: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key don't fit each other.
    #[error("the client certificate can't be used: {0}")]
    Tls(#[from] rustls::Error),
    /// No connection, or no longer.
    #[error(transparent)]
    Link(Box<LinkFailure>),
    /// An upload stopped in the middle.
    #[error("{cause}\n  {progress}")]
    HalfSent {
        /// Why.
        cause: Box<CliError>,
        /// How far it came, and what to do.
        progress: String,
        /// Rows that were answered.
        rows: u64,
        /// The line of the last one.
        line: u64,
    },
    /// The gateway refused the call or could not answer it.
    #[error("{0}")]
    Call(#[from] CallFailure),
    /// The gateway's answer breaks the contract.
    #[error("the gateway's answer breaks the contract: {0}")]
    Answer(&'static str),
    /// What was read from a file can't be written or what was received can't be read.
    #[error("{0}")]
    Rows(String),
    /// A pull can't write, can't go on, or stopped.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// A file that is no file of rows.
    #[error("{}: {fault}", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
        /// What it is instead, and what to do.
        fault: FileFault,
    },
    /// A row of the file is in no count.
    #[error(
        "of {lines} lines with content {read} were read and {refused} were refused: rows are missing from the counts; \
         send the file again, and report this fault"
    )]
    RowsMissing {
        /// Lines with content.
        lines: u64,
        /// Rows that went through.
        read: u64,
        /// Rows that came back.
        refused: u64,
    },
    /// Sample data can't be made.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// stdout is closed or full.
    #[error("cannot write the result: {0}")]
    Output(#[source] std::io::Error),
    /// The program can't start its threads.
    #[error("cannot start: {0}")]
    Runtime(#[source] std::io::Error),
    /// The gateway that `demo` started did not come up, or ended badly.
    #[error("the gateway {problem}; its log is {}", log.display())]
    Child {
        /// What happened.
        problem: String,
        /// Its log.
        log: PathBuf,
    },
    /// `prove` found that something can be told apart.
    #[error("the rules do not keep apart what they should:\n{found}")]
    Interference {
        /// Who can tell what by which question, one a line.
        found: String,
    },
    /// `demo` found a guarantee broken.
    #[error("{broken} of the guarantees above do not hold")]
    Guarantees {
        /// How many.
        broken: usize,
    },
}

impl CliError {
    /// For `map_err`: what could not be done with which file.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

impl From<LinkFailure> for CliError {
    fn from(failure: LinkFailure) -> Self {
        Self::Link(Box::new(failure))
    }
}

impl From<tonic::Status> for CliError {
    fn from(status: tonic::Status) -> Self {
        let source = std::error::Error::source(&status);
        if let Some(failure) = source.and_then(|source| source.downcast_ref::<LinkFailure>()) {
            return failure.clone().into();
        }
        Self::Call(CallFailure::from(&status))
    }
}
