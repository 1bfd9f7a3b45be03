//! Commands of and around people: accounts, signing in, cards.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `atena people`.
#[derive(Subcommand)]
pub(crate) enum PeopleCommand {
    /// Show who has an account, with which roles, how they sign in and until when (利用者登録簿).
    #[command(after_help = "Example:\n  atena people list --home /srv/atena")]
    List {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
    },
    /// Check a file of accounts as `serve` would: every problem with its line.
    #[command(after_help = "Example:\n  atena people check people.toml")]
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Show which role of people may make which call (役割の権限表).
    #[command(after_help = "Example:\n  atena people roles")]
    Roles,
}

/// `atena login` and `atena logout`.
#[derive(Args)]
pub(crate) struct ConsoleArgs {
    /// The directory that `init` made (certificates and settings).
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// The console, a system with role console.
    #[arg(long = "as", value_name = "CONSOLE", default_value = "console")]
    pub(crate) console: String,
}

/// `atena login`.
#[derive(Args)]
pub(crate) struct LoginArgs {
    /// Where.
    #[command(flatten)]
    pub(crate) console: ConsoleArgs,
    /// Show who you are again, whatever session the provider has: needed shortly before content is shown.
    #[arg(long)]
    pub(crate) again: bool,
}

/// `atena card`.
#[derive(Subcommand)]
pub(crate) enum CardCommand {
    /// Make a key (ECDSA P-256) on a card, from which it can't be taken out, and a signing request for it (PKCS #10).
    #[command(
        after_help = "Example:\n  atena card request --card pki/people/a1001.card.toml --out a1001.csr\n  atena pki issue --home /srv/atena --person a1001 --csr a1001.csr --out .\n  atena card store --card pki/people/a1001.card.toml a1001.crt"
    )]
    Request {
        /// Where the card is, and what its key is called.
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
        /// The request.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Keep the certificate on the card, beside its key.
    #[command(after_help = "Example:\n  atena card store --card pki/people/a1001.card.toml a1001.crt")]
    Store {
        /// Where the card is, and what its key is called.
        #[arg(long, value_name = "FILE")]
        card: PathBuf,
        /// The certificate, PEM.
        certificate: PathBuf,
    },
}
