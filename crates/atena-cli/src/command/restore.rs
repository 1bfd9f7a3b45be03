//! `atena restore`.

use atena_gateway::Loss;
use serde_json::json;

use super::unchecked_keeper;
use crate::Finished;
use crate::cli::RestoreArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::table::counted;

/// Brings a backup back into the database of a home.
pub(super) async fn run(args: &RestoreArgs, output: &mut Output) -> Result<Finished, CliError> {
    let loss = if args.accept_loss { Loss::Accepted } else { Loss::Refused };
    let keeper = unchecked_keeper(&args.home, &args.acting).await?;
    let bar = progress::bar("リストア", Some(0));
    let done = keeper.restore(&args.from, loss, progress::steps(&bar)).await;
    bar.finish_and_clear();
    let vouched = keeper.check_fresh().await;
    keeper.close().await;
    let restored = done?;
    if output.is_json() {
        let (backup, lost, lost_admin) = (restored.backup, restored.lost, restored.lost_admin);
        output.json_line(&json!({ "made_at": backup.made_at, "rows": backup.rows, "person_keys": backup.person_keys, "log_size": backup.log_size, "log_root": backup.log_root, "lost": lost, "lost_admin": lost_admin, "head_accepted": vouched.is_ok() }))?;
        return Ok(Finished::Clean);
    }
    output.line(&format!(
        "Restored {} rows, the keys of {} people and a log of {} transfers, as they were at {}; the log is the one that was signed.",
        counted(restored.backup.rows),
        counted(restored.backup.person_keys),
        counted(restored.backup.log_size),
        restored.backup.made_at,
    ))?;
    if let Err(error) = vouched {
        output.line(&format!("Before it is served: {error}"))?;
    }
    if restored.lost_admin > 0 {
        output.line(&format!(
            "{} records of the admin log that were signed after the backup are not in it, and the log says so; the head that tells of them was \
             moved aside, next to admin.checkpoint.",
            counted(restored.lost_admin),
        ))?;
    }
    if restored.lost > 0 {
        output.line(&format!(
            "{} transfers that were signed later are lost. The head that tells of them was moved aside, next to log.checkpoint: keep \
             it for the auditors, and tell the witnesses, who will not cosign this log.",
            counted(restored.lost),
        ))?;
    }
    Ok(Finished::Clean)
}
