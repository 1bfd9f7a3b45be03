//! `atena policy matrix` and `atena policy check`: the rules without a gateway.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use atena_gateway::field_catalog;
use atena_policy::{Policy, Verdict, revoked_systems};
use serde_json::json;

use crate::Finished;
use crate::cli::PolicyCommand;
use crate::error::CliError;
use crate::hexadecimal::hexadecimal;
use crate::home::Home;
use crate::init::japanese_day;
use crate::output::Output;

/// Shows or checks rules.
pub(super) fn run(command: &PolicyCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        PolicyCommand::Matrix { home } => matrix(&Home::existing(home)?, output),
        PolicyCommand::Check { file } => check(file, output),
    }
}

fn matrix(home: &Home, output: &mut Output) -> Result<Finished, CliError> {
    let (catalog, today) = (field_catalog(), japanese_day());
    let policy = compile(&home.policy())?;
    let matrix = policy.matrix(&catalog, today);
    // Not in the matrix itself, which is compared line by line.
    for warning in policy.warnings() {
        // Nowhere else to report to, should stderr be closed.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    if !output.is_json() {
        output.line(matrix.to_text().trim_end())?;
        return Ok(Finished::Clean);
    }
    for row in matrix.rows() {
        let rule = match &row.verdict {
            Verdict::Released { rule_id, rule_version } => Some(json!({ "id": rule_id, "version": rule_version })),
            Verdict::Denied => None,
        };
        output.json_line(&json!({
            "system": row.system.as_str(),
            "affair": row.affair.as_str(),
            "dataset": row.dataset.as_str(),
            "field": row.field,
            "released": rule.is_some(),
            "rule": rule,
        }))?;
    }
    Ok(Finished::Clean)
}

fn check(file: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let policy = compile(file)?;
    let proof = policy.prove(&field_catalog(), japanese_day()).map_err(|found| CliError::Rows(found.to_string()))?;
    let hash = hexadecimal(&policy.hash());
    if output.is_json() {
        output.json_line(&json!({
            "file": file, "cases": proof.cases, "released": proof.released, "policy_hash": hash,
            "warnings": policy.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
        }))?;
    } else {
        for warning in policy.warnings() {
            output.line(&format!("warning: {warning}"))?;
        }
        output.line(&format!(
            "{} is sound: {} systems, {} cases proved, {} of them released\npolicy {hash}",
            file.display(),
            policy.systems().count(),
            proof.cases,
            proof.released,
        ))?;
    }
    Ok(Finished::Clean)
}

pub(crate) fn compile(file: &Path) -> Result<Policy, CliError> {
    let text = fs::read_to_string(file).map_err(CliError::file("read", file))?;
    Policy::compile(&text, &field_catalog(), japanese_day()).map_err(|source| {
        let revoked = revoked_systems(text.as_bytes()).into_iter().collect::<Vec<_>>().join(", ");
        let revoked = match revoked.is_empty() {
            true => String::new(),
            false => format!("\nA running gateway cuts these revoked systems off all the same: {revoked}"),
        };
        CliError::Policy { path: file.to_owned(), source, revoked }
    })
}
