//! `atena log`: the transfer log, looked after at the machine.

use std::path::Path;

use atena_gateway::{Config, LogKeeper};
use serde_json::json;

use crate::Finished;
use crate::cli::LogCommand;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;
use crate::progress;
use crate::table::{Table, grouped};

/// Checks the log, copies it out, or tells its key.
pub(super) async fn run(command: &LogCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        LogCommand::Fsck { home } => fsck(&keeper(home).await?, output).await,
        LogCommand::Export { home, out } => export(&keeper(home).await?, out, output).await,
        LogCommand::Key { home } => {
            let keeper = keeper(home).await?;
            output.line(&keeper.key().to_string())?;
            keeper.close().await;
            Ok(Finished::Clean)
        }
    }
}

async fn keeper(home: &Path) -> Result<LogKeeper, CliError> {
    let home = Home::existing(home)?;
    Ok(LogKeeper::open(Config::load(&home.config())?).await?)
}

async fn fsck(keeper: &LogKeeper, output: &mut Output) -> Result<Finished, CliError> {
    let bar = progress::bar("点検", Some(0));
    let checked = keeper
        .fsck(|done, all| {
            bar.set_length(all);
            bar.set_position(done);
        })
        .await
        .map_err(|error| CliError::Rows(error.to_string()))?;
    bar.finish_and_clear();
    if output.is_json() {
        let findings: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
        output
            .json_line(&json!({ "leaves": checked.size, "checkpoints": checked.checkpoints, "findings": findings }))?;
    } else if checked.findings.is_empty() {
        let (leaves, heads) = (count(checked.size), count(checked.checkpoints));
        output.line(&format!("the log is sound: {leaves} leaves recomputed, {heads} signed heads compared"))?;
    } else {
        let mut table = Table::new(&[("finding", "相違 / what differs")]);
        for finding in &checked.findings {
            table.row([finding.to_string().into()]);
        }
        output.table(&table)?;
    }
    Ok(if checked.findings.is_empty() { Finished::Clean } else { Finished::SomeItemsFailed })
}

async fn export(keeper: &LogKeeper, out: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let bar = progress::bar("書出し", Some(0));
    let size = keeper
        .export(out, |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        })
        .await
        .map_err(|error| CliError::Rows(error.to_string()))?;
    bar.finish_and_clear();
    output.note(&format!(
        "{} leaves are in {}; check them with: atena verify export --key KEY {}",
        count(size),
        out.display(),
        out.display()
    ))?;
    Ok(Finished::Clean)
}

fn count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}
