//! Commands of those who run the machine: backups, moving, several municipalities.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ActingArgs;

/// `atena backup`.
#[derive(Args)]
pub(crate) struct BackupArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
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
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
    /// The directory of the backup.
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// Give up the transfers that were signed after the backup. Moves log.checkpoint aside; witnesses have to be told.
    #[arg(long)]
    pub(crate) accept_loss: bool,
}

/// `atena erase`.
#[derive(Args)]
pub(crate) struct EraseArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
    /// People, each as SYSTEM/LOCAL_NUMBER, e.g. pension/000000000000019.
    #[arg(value_name = "PERSON", required_unless_present = "list")]
    pub(crate) person: Vec<String>,
    /// A file with one person a line; `-` is stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "person")]
    pub(crate) list: Option<PathBuf>,
    /// They died on this day at the latest (死亡), YYYY-MM-DD.
    #[arg(long, value_name = "DATE", conflicts_with_all = ["moved_out", "order"], required_unless_present_any = ["moved_out", "order"])]
    pub(crate) death: Option<jiff::civil::Date>,
    /// They moved out on this day at the latest (転出), YYYY-MM-DD.
    #[arg(long, value_name = "DATE", conflicts_with = "order")]
    pub(crate) moved_out: Option<jiff::civil::Date>,
    /// Number of the order to erase (訂正・消去の決定); no period is waited for.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) order: Option<String>,
    /// Erase without asking. Without it nothing is changed unless it is confirmed at a terminal: each person is shown, and what would happen.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `atena migrate`.
#[derive(Args)]
pub(crate) struct MigrateArgs {
    /// The directory that `init` made, with the keys of every municipality in the database: the move is recorded in their admin logs.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
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
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
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
