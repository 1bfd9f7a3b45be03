//! `atena keys`.

use atena_gateway::{Config, municipality_of};
use atena_vault::{KeyKind, KeySource, TokenKeys};
use std::path::Path;

use serde_json::json;

use super::keeper;
use crate::Finished;
use crate::cli::{KeyArg, KeysCommand, KeysRotateArgs};
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;
use crate::progress;
use crate::table::{Table, counted};

/// Looks after the keys.
pub(super) async fn run(command: &KeysCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        KeysCommand::Generate { home } => generate(&Home::existing(home)?, output),
        KeysCommand::Rotate(args) => rotate(args, output).await,
        KeysCommand::Status { home } => status(home, output).await,
    }
}

fn generate(home: &Home, output: &mut Output) -> Result<Finished, CliError> {
    let config = Config::load(&home.config())?;
    let KeySource::Token(place) = config.key_source() else {
        return Err(CliError::NoToken { settings: home.config() });
    };
    let municipality = municipality_of(&config)?;
    TokenKeys::generate(&place, &municipality)?;
    if output.is_json() {
        output.json_line(&json!({ "token": place.label, "municipality_code": municipality.as_str() }))?;
    } else {
        let code = municipality.as_str();
        output.line(&format!("The token {} has keys for municipality {code} now.", place.label))?;
        output
            .line("Its own backup is the only one: have it made as its maker says, before anything is registered.")?;
    }
    Ok(Finished::Clean)
}

async fn rotate(args: &KeysRotateArgs, output: &mut Output) -> Result<Finished, CliError> {
    let kind = match args.key {
        KeyArg::Wrapping => KeyKind::Wrapping,
        KeyArg::BlindIndex => KeyKind::BlindIndex,
    };
    if args.prepare {
        let config = Config::load(&Home::existing(&args.home)?.config())?;
        config.key_source().add(&municipality_of(&config)?, kind)?;
        output.line("The new key is made and not in use yet. Bring the keys to every gateway, then rotate.")?;
        return Ok(Finished::Clean);
    }
    let keeper = keeper(&args.home).await?;
    let bar = progress::bar("鍵の更新", Some(0));
    let done = keeper.rotate(kind, progress::steps(&bar)).await;
    bar.finish_and_clear();
    keeper.close().await;
    let rotated = done?;
    if output.is_json() {
        output.json_line(&json!({ "rows": rotated.rows, "key": rotated.key }))?;
    } else {
        let rows = counted(rotated.rows);
        output.line(&format!("{rows} rows were brought under {}; the older key is destroyed.", rotated.key))?;
    }
    Ok(Finished::Clean)
}

async fn status(home: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let keeper = keeper(home).await?;
    let found = keeper.key_status().await;
    keeper.close().await;
    let mut table = Table::new(&[("kind", "種別"), ("key", "鍵"), ("rows", "件数"), ("state", "状態")]);
    let mut well = true;
    for key in found? {
        let kind = match key.kind {
            KeyKind::Wrapping => "wrapping",
            KeyKind::BlindIndex => "blind-index",
        };
        let state = match (key.there, key.in_use) {
            (false, _) => "not there",
            (true, true) => "in use",
            (true, false) => "not in use",
        };
        well &= key.in_use && key.there;
        table.row([json!(kind), json!(key.key), json!(key.rows), json!(state)]);
    }
    output.table(&table)?;
    Ok(if well { Finished::Clean } else { Finished::SomeItemsFailed })
}
