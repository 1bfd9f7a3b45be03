//! Commands of those who run the machine: backups, moving, several municipalities.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `atena backup`.
#[derive(Args)]
pub(crate) struct BackupArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// A new directory for the backup.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// `atena restore`.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The directory that `init` made, with the keys; its database_url is where the backup goes.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// The directory of the backup.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// Give up the transfers that were signed after the backup. Moves log.checkpoint aside; witnesses have to be told.
    #[arg(long)]
    pub(crate) accept_loss: bool,
}

/// `atena migrate`.
#[derive(Args)]
pub(crate) struct MigrateArgs {
    /// The database to copy: sqlite:FILE or postgres://….
    #[arg(long, value_name = "URL")]
    pub(crate) from: String,
    /// The database to copy into.
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
}

/// `atena municipality`.
#[derive(Subcommand)]
pub(crate) enum MunicipalityCommand {
    /// Prepare a further municipality: keys, rules, certificates, log and address of its own, in the same database.
    ///
    /// Makes a home below DIR/municipalities/CODE. From its next start on `atena serve --home DIR` serves it as well; every other
    /// command takes its home. A certificate of one municipality opens no door of another.
    #[command(after_help = "Example:\n  atena municipality add --home /srv/atena --municipality 131016")]
    Add(MunicipalityAddArgs),
    /// List the municipalities of an installation, with their homes and addresses.
    #[command(after_help = "Example:\n  atena municipality list --home /srv/atena")]
    List {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
    },
}

/// `atena municipality add`.
#[derive(Args)]
pub(crate) struct MunicipalityAddArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// 全国地方公共団体コード: 6 digits with check digit.
    #[arg(long, value_name = "CODE")]
    pub(crate) municipality: String,
    /// Where its systems call (default: the next port after those in use).
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Names or addresses under which its systems reach the gateway, beside localhost.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) server_name: Vec<String>,
}
