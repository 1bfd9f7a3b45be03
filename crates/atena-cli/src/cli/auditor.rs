//! The commands of those who audit, verify and watch.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ActingArgs, CallArgs, ReachArgs};

/// What every question of an auditor needs.
#[derive(Args)]
pub(crate) struct AuditorArgs {
    /// The directory that `init` made (certificates and settings).
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who audits: a system, the console where an auditor signed in, or person/ID, who has a certificate or card here.
    #[arg(long = "as", value_name = "SYSTEM", default_value = "auditor")]
    pub(crate) system: String,
    /// How to reach the gateway.
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// `atena transfers`.
#[derive(Args)]
pub(crate) struct TransfersArgs {
    /// Who asks.
    #[command(flatten)]
    pub(crate) auditor: AuditorArgs,
    /// Which transfers, e.g. 'system_id = "resident-tax" AND outcome = "RELEASED"'.
    #[arg(long, default_value = "")]
    pub(crate) filter: String,
    /// At most so many, newest first.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Counts by day, system, dataset and outcome instead (月次点検).
    #[arg(long, conflicts_with = "id")]
    pub(crate) summary: bool,
    /// Everything about one person, as a system names them: SYSTEM/NUMBER (開示請求).
    #[arg(long, value_name = "SYSTEM/NUMBER", conflicts_with_all = ["filter", "summary", "id"])]
    pub(crate) person: Option<String>,
    /// One transfer, whole.
    #[arg(long, value_name = "UUID", conflicts_with = "filter")]
    pub(crate) id: Option<String>,
    /// With --id: write the exact bytes that were sent or stored to this file (needs `reconstruct_transfers`, or role auditor-with-content; 復元).
    #[arg(long, value_name = "FILE", requires = "id")]
    pub(crate) reconstruct: Option<PathBuf>,
}

/// `atena receipt`.
#[derive(Args)]
pub(crate) struct ReceiptArgs {
    /// Who calls whom.
    #[command(flatten)]
    pub(crate) call: CallArgs,
    /// The transfer, as it came with the delivery or the result.
    #[arg(long, value_name = "UUID")]
    pub(crate) id: String,
    /// Directory for the two files.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
}

/// `atena verify`.
#[derive(Subcommand)]
pub(crate) enum VerifyCommand {
    /// Check that a leaf is in the log that the key belongs to.
    #[command(after_help = "Example:\n  atena verify receipt --key log.vkey --leaf ID.leaf --receipt ID.tlog-proof")]
    Receipt {
        /// The log's public key, or a file that holds it (several, one a line, where it was changed).
        #[arg(long, value_name = "KEY")]
        key: String,
        /// The leaf.
        #[arg(long, value_name = "FILE")]
        leaf: PathBuf,
        /// The receipt.
        #[arg(long, value_name = "FILE")]
        receipt: PathBuf,
    },
    /// Recompute a whole copy of the log (`atena log export`, or fetched from the gateway) and compare it with its signed head.
    #[command(
        after_help = "Example:\n  atena verify export --key log.vkey ./copy\n  atena verify export --key log.vkey --extends last-year.checkpoint ./copy"
    )]
    Export {
        /// The log's public key, or a file that holds it (several, one a line, where it was changed).
        #[arg(long, value_name = "KEY")]
        key: String,
        /// A signed head kept from earlier: the copy has to extend it.
        #[arg(long, value_name = "FILE")]
        extends: Vec<PathBuf>,
        /// The copy.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// `atena disclose`.
#[derive(Args)]
pub(crate) struct DiscloseArgs {
    /// Who asks.
    #[command(flatten)]
    pub(crate) auditor: AuditorArgs,
    /// The person, as a system names them: SYSTEM/NUMBER.
    #[arg(long, value_name = "SYSTEM/NUMBER")]
    pub(crate) person: String,
    /// Directory for the report and the receipts.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// `atena audit`.
#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// The monthly review: volumes against the usual, calls out of hours, refusals, people looked up often (見過ぎ), operators (月次点検).
    ///
    /// What counts as unusual is set under `review` in atena.toml.
    #[command(after_help = "Example:\n  atena audit review --home /srv/atena --month 2026-11 --out review.html")]
    Review(ReviewArgs),
}

/// `atena audit review`.
#[derive(Args)]
pub(crate) struct ReviewArgs {
    /// Who asks.
    #[command(flatten)]
    pub(crate) auditor: AuditorArgs,
    /// The month, YYYY-MM.
    #[arg(long, value_name = "YYYY-MM")]
    pub(crate) month: String,
    /// The report.
    #[arg(long, value_name = "FILE", default_value = "review.html")]
    pub(crate) out: PathBuf,
}

/// `atena witness`.
#[derive(Args)]
pub(crate) struct WitnessArgs {
    /// Where the witness keeps its key and the last head it cosigned.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The public key of the log to watch (`atena log key`), or a file that holds it; several, one a line, where the key was changed. A key
    /// that takes the place of a known one is learned from the heads that both signed.
    #[arg(long, value_name = "KEY")]
    pub(crate) log_key: String,
    /// Take submissions here; port 0 takes any free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8099")]
    pub(crate) listen: SocketAddr,
    /// The witness's name in its cosignatures.
    #[arg(long, value_name = "NAME", default_value = "atena-witness.local")]
    pub(crate) name: String,
}

/// `atena log`.
#[derive(Subcommand)]
pub(crate) enum LogCommand {
    /// Recompute everything of both logs and name what differs from what was signed.
    ///
    /// Recomputes every leaf from its parts, opens and compares the sealed details, rebuilds the tree and compares it with every
    /// signed head, in the database and beside it. Exit code 2 where anything differs.
    #[command(after_help = "Example:\n  atena log fsck --home /srv/atena")]
    Fsck {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
    },
    /// Accept the signed head of the database, where log.checkpoint or admin.checkpoint is lost, damaged or old.
    ///
    /// Without these files an old copy of the database can't be told from the newest one, so it is not served. First look for the newest file: in
    /// the place where it is kept apart, or in copies of this home. Accept only where you answer for it that this database is the newest one.
    /// The admin log records who did. Logs that are not what was signed are not accepted.
    #[command(after_help = "Example:\n  atena log accept-head --home /srv/atena")]
    AcceptHead {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// Who acts.
        #[command(flatten)]
        acting: ActingArgs,
    },
    /// Copy the log out in the layout that standard tools read (c2sp.org/tlog-tiles).
    ///
    /// A second run adds what is new. The copy holds no personal data.
    #[command(after_help = "Example:\n  atena log export --home /srv/atena --out ./copy")]
    Export {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// Who acts.
        #[command(flatten)]
        acting: ActingArgs,
        /// Directory for the copy.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Which log.
        #[arg(long, default_value = "transfers")]
        log: LogArg,
    },
    /// Print the log's public key, for those who verify (c2sp.org/signed-note).
    ///
    /// Where the key was changed: every one that signs or signed, the newest last, below the time in which it does. Such a file can be given
    /// to `atena verify` and `atena witness` as it is.
    #[command(
        after_help = "Examples:\n  atena log key --home /srv/atena > log.vkey\n  atena log key --home /srv/atena --log admin > admin.vkey"
    )]
    Key {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// Which log.
        #[arg(long, default_value = "transfers")]
        log: LogArg,
    },
    /// Show what those did who run the system (管理操作の記録), oldest first.
    ///
    /// Each action is there twice: when it began, and how it ended. Shown is only what the signed head of the admin log vouches for; if the
    /// leaves do not give it, nothing is shown.
    #[command(
        after_help = "Examples:\n  atena log admin --home /srv/atena\n  atena log admin --home /srv/atena --action Keys/Rotate --json"
    )]
    Admin {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// Only this action.
        #[arg(long, value_name = "NAME")]
        action: Option<String>,
    },
}

/// A log of a municipality.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogArg {
    /// The transfer log (情報提供等の記録).
    Transfers,
    /// The admin log (管理操作の記録).
    Admin,
}
