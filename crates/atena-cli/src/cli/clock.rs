//! `atena clock`.

use std::path::PathBuf;

use clap::Subcommand;

use super::ActingArgs;

/// Looks at the clock.
#[derive(Subcommand)]
pub(crate) enum ClockCommand {
    /// Compare the clock with the newest leaf of the logs and with the gateway's own certificate. Exits with 2 while it is suspect.
    #[command(after_help = "Example:\n  atena clock status --home /srv/atena")]
    Status {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
    },
    /// Confirm that the clock is right, though the log says otherwise.
    ///
    /// For a gateway that stood still longer than ahead_of_log_days_max (atena.toml), and after a wrong clock wrote leaves. Read today's date
    /// elsewhere and give it: it has to be that of this machine in Japan. The admin log records who confirmed what. A gateway that runs goes on
    /// erasing within seconds. A certificate that has ended is renewed instead (atena pki renew). Exits with 2 where it goes on contradicting.
    #[command(after_help = "Example:\n  atena clock confirm --home /srv/atena --date 2027-11-26")]
    Confirm {
        /// The directory that `init` made.
        #[arg(long, value_name = "DIR")]
        home: PathBuf,
        /// Who acts.
        #[command(flatten)]
        acting: ActingArgs,
        /// Today's date in Japan, YYYY-MM-DD.
        #[arg(long, value_name = "DATE")]
        date: jiff::civil::Date,
    },
}
