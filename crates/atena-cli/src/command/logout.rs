//! `atena logout`.

use crate::Finished;
use crate::cli::ConsoleArgs;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;
use crate::session;

/// Forgets the sign-in at a console.
pub(super) fn run(args: &ConsoleArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.home)?;
    let told = match session::forget(&home, &args.console)? {
        true => "Signed out.",
        false => "Nobody was signed in.",
    };
    output.note(told)?;
    Ok(Finished::Clean)
}
