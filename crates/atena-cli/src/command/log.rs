//! `atena log`: the logs, looked after at the machine.

use std::path::Path;

use atena_gateway::{Keeper, Log};
use jiff::Timestamp;
use serde_json::json;

use super::{acting_keeper, checking_keeper, keeper, unchecked_keeper};
use crate::Finished;
use crate::cli::{LogArg, LogCommand};
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::table::{Table, counted};

/// Checks the logs, copies one out, tells its keys, or shows what was done.
pub(super) async fn run(command: &LogCommand, output: &mut Output) -> Result<Finished, CliError> {
    let home = match command {
        LogCommand::Fsck { home }
        | LogCommand::Export { home, .. }
        | LogCommand::Key { home, .. }
        | LogCommand::AcceptHead { home, .. }
        | LogCommand::Admin { home, .. } => home,
    };
    let keeper = match command {
        LogCommand::Export { acting, .. } => acting_keeper(home, acting).await?,
        LogCommand::AcceptHead { acting, .. } => unchecked_keeper(home, acting).await?,
        LogCommand::Fsck { .. } => checking_keeper(home).await?,
        LogCommand::Key { .. } | LogCommand::Admin { .. } => keeper(home).await?,
    };
    let done = match command {
        LogCommand::Fsck { .. } => fsck(&keeper, output).await,
        LogCommand::AcceptHead { .. } => accept_head(&keeper, output).await,
        LogCommand::Export { out, log, .. } => export(&keeper, log.which(), out, output).await,
        LogCommand::Key { log, .. } => keys(&keeper, log.which(), output).await,
        LogCommand::Admin { action, .. } => admin(&keeper, action.as_deref(), output).await,
    };
    keeper.close().await;
    done
}

// === impl LogArg ===

impl LogArg {
    fn which(self) -> Log {
        match self {
            Self::Transfers => Log::Transfers,
            Self::Admin => Log::Administration,
        }
    }
}

async fn fsck(keeper: &Keeper, output: &mut Output) -> Result<Finished, CliError> {
    let mut table = Table::new(&[("log", "記録 / log"), ("finding", "相違 / what differs")]);
    let mut sound = true;
    for (log, id, name) in [(Log::Transfers, "transfers", "the log"), (Log::Administration, "admin", "the admin log")] {
        let bar = progress::bar("点検", Some(0));
        let checked = keeper.fsck(log, progress::steps(&bar)).await?;
        bar.finish_and_clear();
        sound &= checked.findings.is_empty();
        if output.is_json() {
            let findings: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
            output.json_line(&json!({ "log": id, "leaves": checked.size, "checkpoints": checked.checkpoints, "keys_gone": checked.keys_gone, "findings": findings }))?;
        } else if checked.findings.is_empty() {
            let (leaves, heads) = (counted(checked.size), counted(checked.checkpoints));
            output.line(&format!("{name} is sound: {leaves} leaves recomputed, {heads} signed heads compared"))?;
        }
        for finding in &checked.findings {
            table.row([id.into(), finding.to_string().into()]);
        }
        if checked.keys_gone > 0 {
            output.note(&format!(
                "the keys of {} people are gone, and their details with them, though the log tells of no erasure (atena erase): find out why",
                counted(checked.keys_gone)
            ))?;
        }
    }
    // The log may be sound, and still be an old one, or of other keys.
    if let Err(error) = keeper.check_fresh().await {
        sound = false;
        if output.is_json() {
            output.json_line(&json!({ "log": "both", "findings": [error.to_string()] }))?;
        }
        table.row(["both".into(), error.to_string().into()]);
    }
    if !sound && !output.is_json() {
        output.table(&table)?;
    }
    Ok(if sound { Finished::Clean } else { Finished::SomeItemsFailed })
}

async fn accept_head(keeper: &Keeper, output: &mut Output) -> Result<Finished, CliError> {
    let accepted = keeper.accept_heads().await?;
    if accepted.is_empty() {
        output.note("The files beside the database vouch for it: there is nothing to accept.")?;
    }
    for head in accepted {
        let log = match head.log {
            Log::Transfers => "transfers",
            Log::Administration => "admin",
        };
        if output.is_json() {
            let (fault, aside) = (head.fault.to_string(), head.aside.map(|path| path.display().to_string()));
            output.json_line(&json!({ "log": log, "size": head.size, "fault": fault, "aside": aside }))?;
            continue;
        }
        output.line(&format!("Accepted: the signed head of {} leaves ({log}). {}.", counted(head.size), head.fault))?;
        if let Some(aside) = head.aside {
            output.line(&format!("The file that was there is kept: {}", aside.display()))?;
        }
    }
    Ok(Finished::Clean)
}

async fn export(keeper: &Keeper, log: Log, out: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let bar = progress::bar("書出し", Some(0));
    let done = keeper.export(log, out, progress::steps(&bar)).await;
    bar.finish_and_clear();
    output.note(&format!(
        "{} leaves are in {}; check them with: atena verify export --key KEY {}",
        counted(done?),
        out.display(),
        out.display()
    ))?;
    Ok(Finished::Clean)
}

async fn keys(keeper: &Keeper, log: Log, output: &mut Output) -> Result<Finished, CliError> {
    let keys = keeper.published_keys(log).await?;
    let since = |at: Timestamp| if at == Timestamp::UNIX_EPOCH { "the beginning".to_owned() } else { at.to_string() };
    for key in &keys {
        if output.is_json() {
            let until = key.until.map(|at| at.to_string());
            output.json_line(&json!({ "key": key.key.to_string(), "since": since(key.since), "until": until }))?;
            continue;
        }
        if keys.len() > 1 {
            let until = key.until.map_or_else(|| "it signs now".to_owned(), |at| format!("until {at}"));
            output.line(&format!("# since {}, {until}", since(key.since)))?;
        }
        output.line(&key.key.to_string())?;
    }
    Ok(Finished::Clean)
}

async fn admin(keeper: &Keeper, action: Option<&str>, output: &mut Output) -> Result<Finished, CliError> {
    let mut table = Table::new(&[
        ("index", "番号"),
        ("time", "日時"),
        ("actor", "操作者"),
        ("proof", "確認"),
        ("action", "操作"),
        ("outcome", "結果"),
        ("records", "件数"),
        ("fields", "対象"),
        ("note", "備考"),
    ]);
    for record in keeper.admin_records().await? {
        if action.is_some_and(|action| action != record.action) {
            continue;
        }
        table.row([
            json!(record.index),
            json!(record.at.to_string()),
            json!(record.actor),
            json!(record.proof),
            json!(record.action),
            json!(record.outcome),
            json!(record.records),
            json!(record.fields.join(" ")),
            json!(record.note),
        ]);
    }
    output.table(&table)?;
    Ok(Finished::Clean)
}
