//! `atena clock`.

use atena_gateway::ClockStatus;
use serde_json::json;

use super::{acting_keeper, keeper};
use crate::Finished;
use crate::cli::ClockCommand;
use crate::error::CliError;
use crate::output::Output;
use crate::table::Table;

/// Shows what the clock is compared with, or confirms the clock.
pub(super) async fn run(command: &ClockCommand, output: &mut Output) -> Result<Finished, CliError> {
    let status = match command {
        ClockCommand::Status { home } => {
            let keeper = keeper(home).await?;
            let status = keeper.clock_status().await;
            keeper.close().await;
            status?
        }
        ClockCommand::Confirm { home, acting, date } => {
            let keeper = acting_keeper(home, acting).await?;
            let status = keeper.confirm_clock(*date).await;
            keeper.close().await;
            let status = status?;
            output.note("The clock is confirmed, and the admin log says so.")?;
            status
        }
    };
    show(&status, output)
}

fn show(status: &ClockStatus, output: &mut Output) -> Result<Finished, CliError> {
    let (from, until) = status.certificate;
    let leaf = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
    let kind = status.suspect.as_ref().map(|suspect| suspect.kind());
    let mut table = Table::new(&[
        ("now", "時計 / clock"),
        ("newest_leaf", "最新の記録 / newest leaf"),
        ("not_believed", "誤った時計の記録 / leaf of a wrong clock"),
        ("certificate_from", "証明書の開始 / certificate from"),
        ("certificate_until", "証明書の終了 / certificate until"),
        ("suspect", "矛盾 / contradiction"),
    ]);
    table.row([
        json!(status.now.to_string()),
        json!(leaf(status.newest_leaf)),
        json!(leaf(status.not_believed)),
        json!(from.to_string()),
        json!(until.to_string()),
        json!(kind),
    ]);
    output.table(&table)?;
    match &status.suspect {
        None => {
            output.note("The clock is believed.")?;
            Ok(Finished::Clean)
        }
        Some(suspect) => {
            output.note(&format!("CLOCK_SUSPECT: {suspect}. Nothing is erased. {}", suspect.remedy()))?;
            Ok(Finished::SomeItemsFailed)
        }
    }
}
