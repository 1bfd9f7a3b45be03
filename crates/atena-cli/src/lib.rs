//! The program `atena` as a library, so that its readers of files can be fuzzed: everything a person does with Atena (宛名システム兼連携システム), one command for each thing.
//!
//! A municipality starts with `atena init` (settings, keys, certificates, release rules) and `atena serve` (the gateway). Business
//! systems use `register`, `push`, `pull` and `entitlements`; auditors use `transfers`; everyone may look at the rules with
//! `policy`. `atena demo` shows all of it at work with made-up people in half a minute.
//!
//! Deliberately absent: decisions. What may be released is decided in the gateway by the rules; this program only calls it, over TLS
//! 1.3 with a client certificate, like any other system of the town hall. Results go to stdout, progress and errors to stderr.

mod arguments;
mod card;
mod cli;
mod client;
mod command;
mod confine;
mod contract;
mod credential;
mod csv_io;
mod demo;
mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod hexadecimal;
mod holder;
mod home;
mod init;
mod output;
mod pki;
mod progress;
mod prove;
mod received;
mod report;
mod rows;
mod sample;
mod session;
mod status;
mod table;
mod tally;
mod terms;
mod upload;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli::Cli;
use crate::error::CliError;
use crate::output::{Destination, Form, Output};
use crate::received::PullError;

/// The call failed, or the command could not be understood.
const EXIT_FAILED: u8 = 1;
/// The call went through, but some items of it came back with errors.
const EXIT_SOME_ITEMS_FAILED: u8 = 2;

/// There is no connection to the gateway, or it refused the certificate.
const EXIT_NO_CONNECTION: u8 = 3;
/// It stopped in the middle. What is done stays done; the same command goes on, or does again what is harmless.
const EXIT_STOPPED: u8 = 4;

/// How long the end of the program waits for its threads.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// What a command that ran to its end leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    /// All of it went well.
    Clean,
    /// Some items came back with errors or need a person to decide; the others went on.
    SomeItemsFailed,
}

/// The program: reads its arguments, runs one command, and tells how it ended.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything is read: files, answers and keys hold what nobody else is to see.
    confine::confine();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            arguments::print(&error);
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_FAILED),
            };
        }
    };
    match run(cli) {
        Ok(Finished::Clean) => ExitCode::SUCCESS,
        Ok(Finished::SomeItemsFailed) => ExitCode::from(EXIT_SOME_ITEMS_FAILED),
        // Whoever read the result had enough of it (`| head`).
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            arguments::print_failure(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &CliError) -> u8 {
    match error {
        CliError::Link(_) => EXIT_NO_CONNECTION,
        CliError::HalfSent { .. } | CliError::Pull(PullError::Stopped { .. }) => EXIT_STOPPED,
        _ => EXIT_FAILED,
    }
}

fn run(cli: Cli) -> Result<Finished, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CliError::Runtime)?;
    let form = match (cli.json, cli.csv) {
        (true, _) => Form::Json,
        (false, true) => Form::Csv,
        (false, false) => Form::Table,
    };
    let mut output = Output::new(Box::new(std::io::stdout()), form, Destination::of_stdout());
    let finished = runtime.block_on(command::run(cli.command, &mut output));
    // The library of a token is torn down at the end of the process, so nobody may still be in it; but a thread that still reads stdin must not
    // hold up the end for ever.
    runtime.shutdown_timeout(END_WAIT_MAX);
    finished
}
