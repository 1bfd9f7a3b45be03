//! The command line. `--help` of each command says what it is for and shows an example.

mod acting;
mod auditor;
mod clock;
mod files;
mod keys;
mod operator;
mod people;
mod pki;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use acting::ActingArgs;
pub(crate) use auditor::{
    AuditCommand, AuditorArgs, DiscloseArgs, LogArg, LogCommand, ReceiptArgs, ReviewArgs, TransfersArgs, VerifyCommand,
    WitnessArgs,
};

pub(crate) use clock::ClockCommand;
pub(crate) use files::{BulkArgs, EncodingArg, FileFormat};
pub(crate) use keys::{KeyArg, KeysCommand, KeysRotateArgs};
pub(crate) use operator::{BackupArgs, EraseArgs, MigrateArgs, MunicipalityAddArgs, MunicipalityCommand, RestoreArgs};
pub(crate) use people::{CardCommand, ConsoleArgs, LoginArgs, PeopleCommand};
pub(crate) use pki::{PkiCommand, PkiIssueArgs, PkiRenewArgs, PkiRevokeArgs, ReasonArg};

use crate::init::DEFAULT_MUNICIPALITY;

/// Atena: address and linkage system of a municipality (宛名システム兼連携システム).
///
/// Business systems register their people under their own numbers (宛名番号), the pension system pushes its records, other systems
/// pull what law and ordinance allow them, and auditors see who got what.
///
/// Start with `atena demo`, or make a gateway of your own with `atena init` and `atena serve`.
///
/// Exit codes: 0 all went well, 1 the command failed, 2 items were refused or need a person to decide (the output lists them, and the
/// others went on), 3 there is no connection to the gateway or it refused the certificate, 4 it stopped in the middle (what is done
/// stays done; run it again).
#[derive(Parser)]
#[command(name = "atena", version)]
pub(crate) struct Cli {
    /// Write results as JSON Lines instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write results as CSV instead of tables.
    #[arg(long, global = true, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One command for each thing a person does.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show everything at work with made-up people, and check the guarantees (デモ).
    ///
    /// Makes a home, starts a gateway, registers people from ten systems, pushes pension records, pulls them as resident tax and as
    /// public assistance, shows who received which field, what was refused and what the auditor sees; then looks for every personal
    /// number where none may be. Ends non-zero if a guarantee is broken.
    #[command(after_help = "Example:\n  atena demo\n  atena demo --home ./demo --persons 5000")]
    Demo(DemoArgs),
    /// Make a home: settings, keys, certificates, release rules (初期設定).
    ///
    /// Writes atena.toml, policy.toml (移転のルールと接続システム台帳), keys.toml and a development certificate authority with one client
    /// certificate for each system of the policy. Never overwrites.
    #[command(after_help = "Example:\n  atena init --home /srv/atena --server-name atena.city.example")]
    Init(InitArgs),
    /// Run the gateway until SIGTERM or SIGINT (連携サーバーの起動).
    ///
    /// Prints `listening on ADDRESS` once it takes calls, for several municipalities a line each (`listening on ADDRESS for CODE`). When
    /// asked to stop it finishes the calls under way and exits with 0.
    ///
    /// A start says every few seconds what it waits for. After start_timeout_s (atena.toml) it gives up and exits with 1. Asked to stop
    /// during the start, it exits with 0 at once.
    #[command(after_help = "Example:\n  atena serve --home /srv/atena")]
    Serve(ServeArgs),
    /// Several municipalities on one installation (団体の追加).
    #[command(subcommand)]
    Municipality(MunicipalityCommand),
    /// Copy the database while gateways run (バックアップ).
    ///
    /// Writes content.db, person-keys.db and backup.toml into a new directory, whatever the engine; the copy is of one moment. Keep
    /// person-keys.db as briefly as possible: somebody who is erased can still be read with an old copy of it. The keys themselves
    /// (keys.toml) and log.checkpoint are not in it: keep them apart.
    #[command(after_help = "Example:\n  atena backup --home /srv/atena --out /backup/2026-11-24")]
    Backup(BackupArgs),
    /// Bring a backup back into an empty database (リストア).
    ///
    /// Before anything is written the backup is compared with its note, and its log with every signed head, log.checkpoint included: a
    /// backup that lacks transfers which were signed is refused unless the loss is accepted.
    #[command(after_help = "Example:\n  atena restore --home /srv/atena --from /backup/2026-11-24")]
    Restore(RestoreArgs),
    /// Move everything from one database to another, e.g. from SQLite to PostgreSQL (データベースの移行).
    ///
    /// Stop the gateways first. Every municipality of the one database is copied into the other, which must have nothing of it; each is
    /// there only if as many rows arrived as were sent and the log has the same root. Nothing is changed in the first one.
    #[command(
        after_help = "Example:\n  atena migrate --home /srv/atena --from sqlite:///srv/atena/atena.db --to postgres://atena@localhost/atena"
    )]
    Migrate(MigrateArgs),
    /// Erase people whose retention period has ended, or whom an order names (個人の消去). This can't be undone.
    ///
    /// Destroys the key with which everything about a person is sealed, and whatever could link the rest to them. The log keeps its leaves
    /// and proofs and gets one more, which does not tell of whom. Gateways may run. Old copies of person-keys.db are the one way back:
    /// keep none longer than your rules allow.
    ///
    /// First each person is shown: status (住民状態) and system, last use, and whether they would be erased. At a terminal it then asks; elsewhere
    /// --yes erases. Kept are residents (住登者), people whose systems contradict each other, whose status is unknown, or of whom no system
    /// registered the ground; only an order (--order) erases them. Exit code 2 where somebody is kept or not known. With --death and --moved-out
    /// nobody is erased while the clock is suspect (`atena clock status`; exit code 1).
    #[command(
        after_help = "Examples:\n  atena erase --home /srv/atena pension/000000000000019 --death 2020-03-31 --yes\n  atena erase --home /srv/atena --list erase.txt --order 8町市保第123号 --yes"
    )]
    Erase(EraseArgs),
    /// Register people under the calling system's own numbers (宛名の登録・付番).
    ///
    /// Reads people.csv (Japanese header row, UTF-8 or Shift_JIS) or JSON Lines. Each person gets a unified number (団体内統合宛名番号)
    /// or is linked to one known already. Bad rows are listed with their line; the others go on.
    ///
    /// A column that is not in the file leaves its field as it is (ファイルにない列の項目は変わりません); the columns
    /// that the file lacks are listed. An empty cell clears its field (空欄は消去). 支援措置対象者 and
    /// 他業務参照不可フラグ are the exception: an empty cell leaves them, and only 0 ends them. In JSON Lines
    /// an absent key stays, and a present, empty value clears. A key with `null` is an absent key
    /// (null は変更なし): to clear a field, give it an empty text.
    #[command(after_help = "Example:\n  atena register --home /srv/atena --as resident-tax people.csv")]
    Register(RegisterArgs),
    /// Push records of one dataset, as its owner (国民年金情報の登録).
    ///
    /// Datasets: qualification 資格, payment 納付, exemption 免除, benefit 給付, welfare_pension 福祉年金. Sending a file again changes
    /// nothing: what is stored already is UNCHANGED.
    ///
    /// A revision is a whole record: a column that is not in the file is an empty field in it
    /// (ファイルにない列は空欄になります). The columns that the file lacks are listed. In JSON Lines the same holds
    /// of absent keys, and of keys with `null`.
    #[command(after_help = "Example:\n  atena push --home /srv/atena --as pension --dataset payment payment.csv")]
    Push(PushArgs),
    /// Pull what the rules allow the calling system (移転の受領).
    ///
    /// Without a cursor file: everything, and files of an earlier pull are replaced once all of it
    /// is there. With one: everything since the last time, added to the same files. Affair (事務) and
    /// datasets default to what the system is entitled to.
    ///
    /// The cursor file also keeps the length and the SHA-256 of each file. A pull that stopped, was killed, or found a full disk goes
    /// on by the same command: what no cursor vouches for is cut off and pulled again, so no row is torn, lost or doubled. Files that
    /// were changed or shortened are refused. To take rows over and start new files, move all files
    /// of a complete pull away, or name an empty folder the next time.
    ///
    /// Without `--out` rows go to stdout: one dataset in CSV, or any number in JSON Lines. Where
    /// that is a file (`>>rows.csv`), a pull goes on in it as in a folder.
    ///
    /// Each CSV file begins with a byte order mark, once; a file of before that has none is left so.
    #[command(
        after_help = "Example:\n  atena pull --home /srv/atena --as resident-tax --out received --cursor-file tax.cursor"
    )]
    Pull(PullArgs),
    /// Show what the calling system may have, for which affair and on which legal basis (移転のルール).
    #[command(after_help = "Example:\n  atena entitlements --home /srv/atena --as public-assistance")]
    Entitlements(CallArgs),
    /// Look into the transfer log, as an auditor (情報提供等の記録).
    ///
    /// Filters are comparisons joined by AND: requested_time, system_id, direction, outcome, dataset, affair, rule_id, operator_id, reason,
    /// method, person.
    #[command(
        after_help = "Examples:\n  atena transfers --home /srv/atena --filter 'outcome = \"REFUSED\"'\n  atena transfers --home /srv/atena --summary\n  \
                            atena transfers --home /srv/atena --filter 'person = \"pension/000000000000019\"'"
    )]
    Transfers(TransfersArgs),
    /// Keep the receipt of a transfer: its leaf, and the proof that it is in the log (受領証).
    ///
    /// Writes ID.leaf and ID.tlog-proof. With the log's public key, `atena verify receipt` or any other tlog-proof verifier checks
    /// them offline, also years later.
    #[command(
        after_help = "Example:\n  atena receipt --home /srv/atena --as resident-tax --id 0199c2a4-0000-7000-8000-000000000001 --out receipts"
    )]
    Receipt(ReceiptArgs),
    /// Check receipts and copies of the log offline, with the public key alone (検証).
    #[command(subcommand)]
    Verify(VerifyCommand),
    /// Answer a disclosure request: who received what about one person, when and on which legal basis (開示請求).
    ///
    /// Writes disclosure.html, ready for print (and disclosure.pdf where Chromium is installed), and beside it the receipts that prove
    /// each entry with the log's public key.
    #[command(
        after_help = "Example:\n  atena disclose --home /srv/atena --person pension/000000000000019 --out ./disclosure"
    )]
    Disclose(DiscloseArgs),
    /// Review the transfer log (監査).
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Watch a transfer log and cosign what is consistent, on a machine of the audit office (監査の立会い).
    ///
    /// Speaks c2sp.org/tlog-witness. A head is cosigned only if the log's key signed it and it extends the last one; a rewound or forked
    /// log is refused, and what was seen last stays in the directory. Prints the key that verifies the cosignatures.
    #[command(
        after_help = "Example:\n  atena witness --dir /srv/witness --log-key log.vkey --listen 0.0.0.0:8099 --name audit.city.example/witness"
    )]
    Witness(WitnessArgs),
    /// Look after the transfer log at the machine: check it, copy it out, tell its public key (記録の点検).
    #[command(subcommand)]
    Log(LogCommand),
    /// Look at the clock, or confirm it after a long stop (時計の確認).
    ///
    /// Nothing is erased on the word of a clock that contradicts the newest leaf of the logs or the gateway's own certificate.
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Look after the keys (暗号鍵).
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Issue, revoke, renew and look at certificates (証明書).
    #[command(subcommand)]
    Pki(PkiCommand),
    /// Look at the accounts of people without a gateway (利用者登録簿の確認).
    #[command(subcommand)]
    People(PeopleCommand),
    /// Sign in at a console, in a browser at the provider of the municipality (サインイン).
    ///
    /// Prints the address to open and waits for the browser to come back. From then on commands with `--as CONSOLE` are yours, until the
    /// sign-in ends or you sign out. It is kept in DIR/sessions, for the owner of DIR alone.
    #[command(
        after_help = "Examples:\n  atena login --home ./audit\n  atena transfers --home ./audit --as console\n  atena login --home ./audit --again"
    )]
    Login(LoginArgs),
    /// Sign out at a console (サインアウト). The provider's own session is in the browser: end that there.
    #[command(after_help = "Example:\n  atena logout --home ./audit")]
    Logout(ConsoleArgs),
    /// Prepare an IC card, or another token, for signing in with it (ICカード).
    ///
    /// Where the card is says a file, best DIR/pki/people/ID.card.toml: `module` (the library of its maker), `token` (its label), `pin_file`
    /// (mode 0600), `key` (the label of its private key), and `certificate` (PEM) where that is not on the card. Commands with `--as
    /// person/ID` then use it.
    #[command(subcommand)]
    Card(CardCommand),
    /// Look at release rules without a gateway (移転のルールの確認).
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Prove that nobody can notice what the rules do not give them (非干渉の証明).
    ///
    /// Proves the rules by enumeration, then makes temporary towns with them whose secrets differ in one thing (personal numbers, or a
    /// field of records), lets every system ask both everything, and compares the answers byte for byte, and what a collector is told of it
    /// (traces, counters). Nothing of the home but policy.toml is used. Fails, and says who could tell what by which question, if anything differs for somebody who may not have it.
    #[command(after_help = "Examples:\n  atena prove --home /srv/atena\n  atena prove --policy policy.toml")]
    Prove(ProveArgs),
    /// Make sample files of made-up people and pension records (サンプルデータ).
    ///
    /// The same seed makes the same files, byte for byte. Nobody in them exists.
    #[command(after_help = "Example:\n  atena sample --persons 10000 --seed 7 --out ./sample")]
    Sample(SampleArgs),
}

/// `atena demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Keep everything in this new directory (default: a temporary one, removed at the end).
    #[arg(long, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// People to make up.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) persons: u32,
}

/// `atena init`.
#[derive(Args)]
pub(crate) struct InitArgs {
    /// The new directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// 全国地方公共団体コード: 6 digits with check digit.
    #[arg(long, value_name = "CODE", default_value = DEFAULT_MUNICIPALITY)]
    pub(crate) municipality: String,
    /// Names or addresses under which systems reach the gateway, beside localhost.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub(crate) server_name: Vec<String>,
}

/// `atena serve`.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Take calls here instead of the `listen` of atena.toml; port 0 takes any free port.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
}

/// What every call needs.
#[derive(Args)]
pub(crate) struct CallArgs {
    /// The directory that `init` made (certificates and settings).
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// The calling system, e.g. pension, resident-tax; or person/ID, who has a certificate or card here.
    #[arg(long = "as", value_name = "SYSTEM")]
    pub(crate) system: String,
    /// How to reach the gateway.
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
}

/// How to reach the gateway, and for whom.
#[derive(Args)]
pub(crate) struct ReachArgs {
    /// HOST:PORT of the gateway (default: the `listen` of atena.toml).
    #[arg(long, value_name = "ADDR")]
    pub(crate) server: Option<String>,
    /// The person at the keyboard (操作者ID), as a system tells it; recorded in the transfer log. Whoever signed in is known.
    #[arg(long, value_name = "ID")]
    pub(crate) operator: Option<String>,
}

/// `atena register`.
#[derive(Args)]
pub(crate) struct RegisterArgs {
    /// Who calls whom.
    #[command(flatten)]
    pub(crate) call: CallArgs,
    /// The people.
    #[command(flatten)]
    pub(crate) bulk: BulkArgs,
}

/// The datasets of the pension system.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum DatasetArg {
    /// 資格.
    Qualification,
    /// 納付.
    Payment,
    /// 免除.
    Exemption,
    /// 給付.
    Benefit,
    /// 福祉年金.
    WelfarePension,
}

/// `atena push`.
#[derive(Args)]
pub(crate) struct PushArgs {
    /// Who calls whom.
    #[command(flatten)]
    pub(crate) call: CallArgs,
    /// The dataset that the file holds.
    #[arg(long)]
    pub(crate) dataset: DatasetArg,
    /// The records.
    #[command(flatten)]
    pub(crate) bulk: BulkArgs,
}

/// `atena pull`.
#[derive(Args)]
pub(crate) struct PullArgs {
    /// Who calls whom.
    #[command(flatten)]
    pub(crate) call: CallArgs,
    /// 事務 for which the records are needed (default: the only one that the system is entitled to).
    #[arg(long)]
    pub(crate) affair: Option<String>,
    /// Datasets (default: all that the system is entitled to for the affair).
    #[arg(long, num_args = 1..)]
    pub(crate) dataset: Vec<DatasetArg>,
    /// Go on from here, and keep the place for the next time.
    #[arg(long, value_name = "FILE")]
    pub(crate) cursor_file: Option<PathBuf>,
    /// Directory for one file a dataset; `-` is stdout.
    #[arg(long, value_name = "DIR", default_value = "-")]
    pub(crate) out: PathBuf,
    /// How records are written down.
    #[arg(long, default_value = "csv")]
    pub(crate) format: FileFormat,
}

/// `atena policy`.
#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// Show which system receives which field for which affair (権限表).
    #[command(after_help = "Example:\n  atena policy matrix --home /srv/atena")]
    Matrix {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
    },
    /// Check a policy file as `serve` would: every problem with its line.
    #[command(after_help = "Example:\n  atena policy check policy.toml")]
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// `atena prove`.
#[derive(Args)]
pub(crate) struct ProveArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR", required_unless_present = "policy")]
    pub(crate) home: Option<PathBuf>,
    /// Rules that are in no home yet.
    #[arg(long, value_name = "FILE", conflicts_with = "home")]
    pub(crate) policy: Option<PathBuf>,
}

/// `atena sample`.
#[derive(Args)]
pub(crate) struct SampleArgs {
    /// People to make up.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) persons: u32,
    /// The same seed makes the same files.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Directory for the files.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands().filter(|command| !command.has_subcommands()) {
            assert!(command.get_after_help().is_some(), "{}", command.get_name());
        }
    }
}
