//! Commands around certificates.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ActingArgs;
use crate::pki::CERTIFICATE_DAYS;

/// `atena pki`.
#[derive(Subcommand)]
pub(crate) enum PkiCommand {
    /// Issue a client certificate for a system of the registry, or for a person's account (証明書の発行).
    ///
    /// Writes ID.crt and ID.key (mode 0600). With --csr the key stays where it was made, at the vendor or on the card: only the certificate
    /// comes out, and of the request nothing but the key is taken. That of a person ends with the account at the latest.
    #[command(
        after_help = "Examples:\n  atena pki issue --home /srv/atena --system long-term-care\n  atena pki issue --home /srv/atena --system welfare --csr welfare.csr --out .\n  atena pki issue --home /srv/atena --person a1001 --csr a1001.csr"
    )]
    Issue(PkiIssueArgs),
    /// Revoke certificates (証明書の失効). Gateways cut off open connections within a second.
    #[command(
        after_help = "Examples:\n  atena pki revoke --home /srv/atena --system welfare --reason key-compromise\n  atena pki revoke --home /srv/atena --serial 5f0e…"
    )]
    Revoke(PkiRevokeArgs),
    /// Renew the revocation list, and every certificate that ends within 30 days (証明書の更新).
    ///
    /// A gateway lets nobody in on a revocation list that has run out (35 days), so run this daily by a timer; deploy/systemd has one.
    /// Gateways take the new files without a restart. Systems need their new SYSTEM.crt and SYSTEM.key; the old ones stay valid until
    /// they end. Those of people are renewed only where --person names them. Without --system, --person and --server it needs no operator who
    /// signs in, whatever atena.toml says.
    #[command(after_help = "Example:\n  atena pki renew --home /srv/atena")]
    Renew(PkiRenewArgs),
    /// Show every certificate and revocation list that the settings name, and what the built-in authority issued (証明書の状態).
    ///
    /// Works as well with the authority of the municipality. Exits with 2 when something has run out or ends soon (certificates 30 days,
    /// lists 7).
    #[command(after_help = "Example:\n  atena pki status --home /srv/atena")]
    Status {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
    },
}

/// `atena pki issue`.
#[derive(Args)]
pub(crate) struct PkiIssueArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
    /// For whom.
    #[command(flatten)]
    pub(crate) holder: HolderArgs,
    /// A certificate signing request (PKCS #10, PEM).
    #[arg(long, value_name = "FILE")]
    pub(crate) csr: Option<PathBuf>,
    /// Days that it is valid.
    #[arg(long, value_name = "N", default_value_t = CERTIFICATE_DAYS, value_parser = clap::value_parser!(u16).range(1..=825))]
    pub(crate) days: u16,
    /// Directory for the files (default: pki/systems or pki/people of the home).
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Whose certificate.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct HolderArgs {
    /// The system, as policy.toml calls it.
    #[arg(long, value_name = "ID")]
    pub(crate) system: Option<String>,
    /// The person's account, as people.toml calls it (操作者ID).
    #[arg(long, value_name = "ID")]
    pub(crate) person: Option<String>,
}

/// `atena pki revoke`.
#[derive(Args)]
pub(crate) struct PkiRevokeArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
    /// Every valid certificate of this system.
    #[arg(long, value_name = "ID", required_unless_present_any = ["serial", "person"], conflicts_with_all = ["serial", "person"])]
    pub(crate) system: Option<String>,
    /// Every valid certificate of this person.
    #[arg(long, value_name = "ID", conflicts_with = "serial")]
    pub(crate) person: Option<String>,
    /// The certificate with this serial number (hexadecimal, as `atena pki status` shows it).
    #[arg(long, value_name = "HEX")]
    pub(crate) serial: Option<String>,
    /// Why.
    #[arg(long, default_value = "unspecified")]
    pub(crate) reason: ReasonArg,
}

/// Why a certificate is revoked (RFC 5280 §5.3.1).
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReasonArg {
    /// Not told.
    Unspecified,
    /// Somebody else may have the key (鍵の漏えい).
    KeyCompromise,
    /// There is a newer one.
    Superseded,
    /// The system is used no more (利用終了).
    CessationOfOperation,
}

/// `atena pki renew`.
#[derive(Args)]
pub(crate) struct PkiRenewArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
    /// Renew the certificates of these systems, however long they are still valid.
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub(crate) system: Vec<String>,
    /// Renew the certificates of these people.
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub(crate) person: Vec<String>,
    /// Renew the server's certificate, however long it is still valid.
    #[arg(long)]
    pub(crate) server: bool,
}
