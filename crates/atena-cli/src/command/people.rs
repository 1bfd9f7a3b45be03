//! `atena people`: accounts without a gateway.

use std::fs;
use std::path::Path;

use atena_gateway::{Config, accounts_of, people_matrix};
use atena_policy::{Account, Accounts};
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::Finished;
use crate::cli::PeopleCommand;
use crate::error::CliError;
use crate::home::Home;
use crate::init::japanese_day;
use crate::output::Output;
use crate::table::Table;

/// Shows or checks accounts.
pub(super) fn run(command: &PeopleCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        PeopleCommand::List { home } => list(&Home::existing(home)?, output),
        PeopleCommand::Check { file } => check(file, output),
        PeopleCommand::Roles => roles(output),
    }
}

fn list(home: &Home, output: &mut Output) -> Result<Finished, CliError> {
    let (accounts, today) = (accounts_of(&Config::load(&home.config())?)?, japanese_day());
    let mut table = Table::new(&[
        ("id", "操作者ID"),
        ("division", "部署"),
        ("roles", "役割"),
        ("signs_in", "サインイン"),
        ("valid_from", "開始日"),
        ("expires", "終了日"),
        ("state", "状態"),
    ]);
    for account in accounts.iter() {
        table.row(row(account, today));
    }
    if table.is_empty() {
        output.note("Nobody has an account.")?
    } else {
        output.table(&table)?
    }
    Ok(Finished::Clean)
}

fn row(account: &Account, today: Date) -> [Value; 7] {
    let ways = [(account.signs_in_with_certificate(), "certificate"), (account.signs_in_with_provider(), "provider")];
    let ways: Vec<_> = ways.into_iter().filter_map(|(has, way)| has.then_some(way)).collect();
    let state = match account.in_force(today) {
        true => "valid",
        false if account.valid_from() > today => "not begun",
        false => "ended",
    };
    [
        account.id().as_str().into(),
        account.division().into(),
        account.roles().iter().map(|role| role.as_str()).collect::<Vec<_>>().into(),
        ways.into(),
        account.valid_from().to_string().into(),
        account.expires().to_string().into(),
        state.into(),
    ]
}

fn check(file: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let text = fs::read_to_string(file).map_err(CliError::file("read", file))?;
    let accounts = Accounts::read(&text).map_err(|source| CliError::Accounts { path: file.to_owned(), source })?;
    let (all, today) = (accounts.iter().count(), japanese_day());
    let valid = accounts.iter().filter(|account| account.in_force(today)).count();
    if output.is_json() {
        output.json_line(&json!({ "file": file, "accounts": all, "valid": valid }))?;
    } else {
        output.line(&format!("{} is sound: {all} accounts, {valid} of them valid today", file.display()))?;
    }
    Ok(Finished::Clean)
}

fn roles(output: &mut Output) -> Result<Finished, CliError> {
    let matrix = people_matrix();
    if !output.is_json() {
        output.line(matrix.trim_end())?;
        return Ok(Finished::Clean);
    }
    for line in matrix.lines() {
        if let [role, method, may] = line.split(" | ").collect::<Vec<_>>().as_slice() {
            output.json_line(&json!({ "role": role, "method": method, "may": *may == "may" }))?;
        }
    }
    Ok(Finished::Clean)
}
