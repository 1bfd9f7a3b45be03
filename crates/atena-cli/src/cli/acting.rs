//! Who acts on the system at the machine.

use clap::Args;

/// The operator who acts. The admin log names them as proved.
#[derive(Args)]
pub(crate) struct ActingArgs {
    /// The operator (運用担当者) who acts: person/ID, who has a certificate or card here, or the console at which they signed in. Without it the
    /// admin log names the user of the operating system; atena.toml may forbid that (operators_sign_in).
    #[arg(long = "as", value_name = "WHO")]
    pub(crate) who: Option<String>,
}
