//! Commands around keys.

use std::path::PathBuf;

use clap::Subcommand;

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
    },
}
