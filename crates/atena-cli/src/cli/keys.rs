//! Commands around keys.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ActingArgs;

/// `atena keys`.
#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// Make the keys of a municipality in the token that atena.toml names (鍵の生成).
    ///
    /// They are made inside the token (PKCS #11) and can't be taken out of it. Keys that are there already are never overwritten. Do this
    /// before the first start: what was sealed with the keys of a file does not open with those of a token.
    #[command(after_help = "Example:\n  atena keys generate --home /srv/atena")]
    Generate {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// Who acts.
        #[command(flatten)]
        acting: ActingArgs,
    },
    /// Put a new key in the place of the one in use, while gateways run (鍵の更新).
    ///
    /// Makes the new key, brings everything under it in the background of whatever else happens, and destroys the old one. Stopped at any
    /// point, the next call goes on. Gateways on other machines need the new keys_file: bring it to them first with --prepare.
    ///
    /// The key that signs the logs changes in two steps, because others know it. The first puts a newer one beside it, and both sign. Give
    /// the newer one to all who verify (`atena log key`; a witness learns it by itself), then end the older one with --end-old. What it signed
    /// stays verifiable with its public half, which is kept.
    ///
    /// A backup from before opens only with the keys from before: keep their copy as long as the backup, and no longer.
    #[command(
        after_help = "Examples:\n  atena keys rotate --home /srv/atena --key wrapping\n  atena keys rotate --home /srv/atena --key blind-index\n  atena keys rotate --home /srv/atena --key log\n  atena keys rotate --home /srv/atena --key log --end-old"
    )]
    Rotate(KeysRotateArgs),
    /// Show every key and what is still under it (鍵の状態).
    ///
    /// Exits with 2 while a rotation has not ended, or when something is under a key that is not there.
    #[command(after_help = "Example:\n  atena keys status --home /srv/atena")]
    Status {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
    },
}

/// `atena keys rotate`.
#[derive(Args)]
pub(crate) struct KeysRotateArgs {
    /// The directory that `init` made.
    #[arg(long, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who acts.
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
    /// The key.
    #[arg(long)]
    pub(crate) key: KeyArg,
    /// Only make the new key; nothing uses it until the next call without this.
    #[arg(long)]
    pub(crate) prepare: bool,
    /// With --key log: end the older key, which signs beside the newer one until then.
    #[arg(long, conflicts_with = "prepare")]
    pub(crate) end_old: bool,
}

/// A key of which there are versions.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyArg {
    /// Wraps the data keys of people.
    Wrapping,
    /// Indexes personal numbers.
    BlindIndex,
    /// Signs the heads of the transfer log and of the admin log.
    Log,
}
