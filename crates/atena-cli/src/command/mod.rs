//! One file for each command.

mod acting;
mod audit;
mod backup;
mod card;
mod clock;
mod disclose;
mod entitlements;
mod erase;
mod init;
mod keys;
mod log;
mod login;
mod logout;
mod migrate;
mod municipality;
mod people;
mod pki;
pub(crate) mod policy;
pub(crate) mod pull;
mod push;
mod receipt;
mod register;
mod restore;
mod sample;
mod serve;
pub(crate) mod transfers;
mod verify;
mod witness;

use std::io::{self, Write as _};
use std::path::Path;

use atena_gateway::{Action, Actor, Config, Keeper};
use serde_json::json;

use crate::Finished;
use crate::cli::{ActingArgs, AuditorArgs, CallArgs, Command};
use crate::client::{Caller, Client};
use crate::csv_io::LineCount;
use crate::error::CliError;
use crate::home::Home;
use crate::output::{Form, Output};
use crate::tally::{LISTED_IN_TABLE_MAX, RowOutcome, Tally};

/// Runs one command to its end.
///
/// # Errors
/// Whatever stopped it.
pub(crate) async fn run(command: Command, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        Command::Demo(args) => crate::demo::run(&args, output).await,
        Command::Init(args) => init::run(&args, output),
        Command::Serve(args) => serve::run(&args, output).await,
        Command::Municipality(command) => municipality::run(&command, output).await,
        Command::Backup(args) => backup::run(&args, output).await,
        Command::Restore(args) => restore::run(&args, output).await,
        Command::Migrate(args) => migrate::run(&args, output).await,
        Command::Erase(args) => erase::run(&args, output).await,
        Command::Register(args) => register::run(&args, output).await,
        Command::Push(args) => push::run(&args, output).await,
        Command::Pull(args) => pull::run(&args, output).await,
        Command::Entitlements(args) => entitlements::run(&args, output).await,
        Command::Transfers(args) => transfers::run(&args, output).await,
        Command::Receipt(args) => receipt::run(&args, output).await,
        Command::Verify(command) => verify::run(&command, output),
        Command::Disclose(args) => disclose::run(&args, output).await,
        Command::Audit(crate::cli::AuditCommand::Review(args)) => audit::run(&args, output).await,
        Command::Witness(args) => witness::run(&args, output).await,
        Command::Clock(command) => clock::run(&command, output).await,
        Command::Log(command) => log::run(&command, output).await,
        Command::Keys(command) => keys::run(&command, output).await,
        Command::Pki(command) => pki::run(&command, output).await,
        Command::People(command) => people::run(&command, output),
        Command::Login(args) => login::run(&args, output).await,
        Command::Logout(args) => logout::run(&args, output),
        Command::Card(command) => card::run(&command, output),
        Command::Policy(command) => policy::run(&command, output),
        Command::Prove(args) => crate::prove::run(&args, output).await,
        Command::Sample(args) => sample::run(&args, output),
    }
}

/// The database and logs of a home, without its gateway, for what only reads; the keys have to be its own.
async fn keeper(home: &Path) -> Result<Keeper, CliError> {
    let keeper = checking_keeper(home).await?;
    keeper.check_keys().await?;
    Ok(keeper)
}

/// The same, for what says itself what is wrong.
async fn checking_keeper(home: &Path) -> Result<Keeper, CliError> {
    let home = Home::existing(home)?;
    Ok(Keeper::open(Config::load(&home.config())?, Actor::of_process()).await?)
}

/// The same, for who acts on it; the database has to be the newest one, and the keys its own.
async fn acting_keeper(home: &Path, acting: &ActingArgs) -> Result<Keeper, CliError> {
    let keeper = unchecked_keeper(home, acting).await?;
    keeper.check_fresh().await?;
    Ok(keeper)
}

/// The same, for what brings a database or the file beside it back.
async fn unchecked_keeper(home: &Path, acting: &ActingArgs) -> Result<Keeper, CliError> {
    let home = Home::existing(home)?;
    let config = Config::load(&home.config())?;
    let actor = acting::actor(&home, &config, acting).await?;
    Ok(Keeper::open(config, actor).await?)
}

/// Does something to other things of a home than its database, between its records in the admin log. A home whose database was never used
/// has no log to record it in.
async fn recorded<T>(
    home: &Home,
    actor: Actor,
    action: Action,
    work: impl FnOnce() -> Result<T, CliError>,
    count: impl FnOnce(&T) -> u64,
) -> Result<T, CliError> {
    match Keeper::open_if_used(Config::load(&home.config())?, actor).await? {
        None => work(),
        Some(keeper) => {
            let done = keeper.admin().during(action, async { work() }, count).await;
            keeper.close().await;
            done
        }
    }
}

/// A connection of somebody who audits.
async fn connect_auditor(home: &Home, auditor: &AuditorArgs) -> Result<Client, CliError> {
    let (server, operator) = (auditor.reach.server.as_deref(), auditor.reach.operator.as_deref());
    Client::connect(&Caller { home, system: &auditor.system, server, operator, tape: None }).await
}

async fn connect(args: &CallArgs) -> Result<Client, CliError> {
    let home = Home::existing(&args.home)?;
    let (server, operator) = (args.reach.server.as_deref(), args.reach.operator.as_deref());
    Client::connect(&Caller { home: &home, system: &args.system, server, operator, tape: None }).await
}

/// Writes to stderr which columns of the contract a file lacks, and what that means.
fn say_missing(missing: &[String], meaning: &str) -> Result<(), CliError> {
    if missing.is_empty() {
        return Ok(());
    }
    writeln!(io::stderr(), "このファイルにない列: {}\n{meaning}", missing.join("、")).map_err(CliError::Output)
}

/// What to do with each row of an upload: count it, move the bar, and list it at once where programs read.
fn counting<'a>(
    tally: &'a mut Tally,
    bar: &'a indicatif::ProgressBar,
    output: &'a mut Output,
) -> impl FnMut(RowOutcome) -> Result<(), CliError> + Send + use<'a> {
    move |outcome| {
        bar.inc(1);
        if output.is_json() {
            match &outcome {
                RowOutcome::Done(_) => {}
                RowOutcome::ToDecide(row) => output.json_line(&row.to_json())?,
                RowOutcome::Bad(row) => output.json_line(&row.to_json())?,
            }
        }
        tally.count(outcome);
        Ok(())
    }
}

/// Counts for an upload, with a list as long as its readers take it.
fn tally(output: &Output) -> Tally {
    Tally::new(match output.form() {
        // Listed at once.
        Form::Json => 0,
        Form::Csv => usize::MAX,
        Form::Table => LISTED_IN_TABLE_MAX,
    })
}

/// The end of an upload: the rows that a person has to look at, and counts. `called` is how the call ended.
fn report(
    tally: &Tally,
    lines: &LineCount,
    called: Result<(), CliError>,
    output: &mut Output,
) -> Result<Finished, CliError> {
    if tally.needs_person() && !output.is_json() {
        output.table(&tally.listed_table())?;
        if tally.not_listed() > 0 {
            let more = tally.not_listed();
            output.note(&format!(
                "ほかに{more}件あります（--csv か --json で全件） / {more} more; --csv or --json lists all"
            ))?;
        }
    }
    output.table(&tally.table())?;
    if let Err(cause) = called {
        // Lines were read ahead of the answers, so their number says nothing now.
        if let (CliError::HalfSent { rows, line, .. }, true) = (&cause, output.is_json()) {
            output.json_line(&json!({ "stopped": true, "rows_answered": rows, "last_line_answered": line }))?;
        }
        return Err(cause);
    }
    output.table(&tally.lines_table(lines.get()))?;
    tally.complete(lines.get())?;
    Ok(if tally.needs_person() { Finished::SomeItemsFailed } else { Finished::Clean })
}
