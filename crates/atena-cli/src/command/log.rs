//! `atena log`: the transfer log, looked after at the machine.

use std::path::Path;

use atena_gateway::Keeper;
use serde_json::json;

use super::keeper;
use crate::Finished;
use crate::cli::LogCommand;
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::table::{Table, counted};

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

async fn fsck(keeper: &Keeper, output: &mut Output) -> Result<Finished, CliError> {
    let bar = progress::bar("点検", Some(0));
    let checked = keeper.fsck(progress::steps(&bar)).await.map_err(|error| CliError::Rows(error.to_string()))?;
    bar.finish_and_clear();
    if output.is_json() {
        let findings: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
        output
            .json_line(&json!({ "leaves": checked.size, "checkpoints": checked.checkpoints, "keys_gone": checked.keys_gone, "findings": findings }))?;
    } else if checked.findings.is_empty() {
        let (leaves, heads) = (counted(checked.size), counted(checked.checkpoints));
        output.line(&format!("the log is sound: {leaves} leaves recomputed, {heads} signed heads compared"))?;
    } else {
        let mut table = Table::new(&[("finding", "相違 / what differs")]);
        for finding in &checked.findings {
            table.row([finding.to_string().into()]);
        }
        output.table(&table)?;
    }
    if checked.keys_gone > 0 {
        output.note(&format!(
            "the keys of {} people are gone, and their details with them, though the log tells of no erasure (atena erase): find out why",
            counted(checked.keys_gone)
        ))?;
    }
    Ok(if checked.findings.is_empty() { Finished::Clean } else { Finished::SomeItemsFailed })
}

async fn export(keeper: &Keeper, out: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let bar = progress::bar("書出し", Some(0));
    let size = keeper.export(out, progress::steps(&bar)).await.map_err(|error| CliError::Rows(error.to_string()))?;
    bar.finish_and_clear();
    output.note(&format!(
        "{} leaves are in {}; check them with: atena verify export --key KEY {}",
        counted(size),
        out.display(),
        out.display()
    ))?;
    Ok(Finished::Clean)
}
