//! `atena backup`.

use serde_json::json;

use super::acting_keeper;
use crate::Finished;
use crate::cli::BackupArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::table::counted;

/// Copies the database while gateways run.
pub(super) async fn run(args: &BackupArgs, output: &mut Output) -> Result<Finished, CliError> {
    let keeper = acting_keeper(&args.home, &args.acting).await?;
    let bar = progress::bar("バックアップ", Some(0));
    let made = keeper.backup(&args.out, progress::steps(&bar)).await;
    bar.finish_and_clear();
    keeper.close().await;
    let backup = made?;
    if output.is_json() {
        output.json_line(&json!({ "rows": backup.rows, "person_keys": backup.person_keys, "log_size": backup.log_size, "log_root": backup.log_root }))?;
    } else {
        output.line(&format!(
            "{} holds {} rows, the keys of {} people and a log of {} transfers.\n\
             Keep person-keys.db as briefly as you can, and keys.toml and log.checkpoint apart from both.",
            args.out.display(),
            counted(backup.rows),
            counted(backup.person_keys),
            counted(backup.log_size),
        ))?;
    }
    Ok(Finished::Clean)
}
