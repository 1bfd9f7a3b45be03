//! `atena keys`.

use atena_gateway::{Config, GatewayError, Keeper, RowKey, is_used, municipality_of};
use atena_vault::{KeyKind, KeySource, TokenKeys};
use std::path::Path;

use serde_json::json;

use super::{acting, acting_keeper, keeper};
use crate::Finished;
use crate::cli::{ActingArgs, KeyArg, KeysCommand, KeysRotateArgs};
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;
use crate::progress;
use crate::table::{Table, counted};

/// Looks after the keys.
pub(super) async fn run(command: &KeysCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        KeysCommand::Generate { home, acting } => generate(&Home::existing(home)?, acting, output).await,
        KeysCommand::Rotate(args) => rotate(args, output).await,
        KeysCommand::Status { home } => status(home, output).await,
    }
}

async fn generate(home: &Home, acting: &ActingArgs, output: &mut Output) -> Result<Finished, CliError> {
    let config = Config::load(&home.config())?;
    let KeySource::Token(place) = config.key_source() else {
        return Err(CliError::NoToken { settings: home.config() });
    };
    let municipality = municipality_of(&config)?;
    acting::actor(home, &config, acting).await?;
    if is_used(&config, &municipality).await? {
        return Err(GatewayError::KeysElsewhere(municipality).into());
    }
    // There is no log to record it in before the first start.
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
    if args.end_old && args.key != KeyArg::Log {
        return Err(CliError::Malformed { what: "--end-old", reason: "is for --key log alone".to_owned() });
    }
    let keeper = acting_keeper(&args.home, &args.acting).await?;
    if args.prepare {
        let kind = match args.key {
            KeyArg::Wrapping => KeyKind::Wrapping,
            KeyArg::BlindIndex => KeyKind::BlindIndex,
            KeyArg::Log => KeyKind::Log,
        };
        let done = keeper.prepare_key(kind).await;
        keeper.close().await;
        done?;
        output.line("The new key is made and not in use yet. Bring the keys to every gateway, then rotate.")?;
        return Ok(Finished::Clean);
    }
    let kind = match args.key {
        KeyArg::Wrapping => RowKey::Wrapping,
        KeyArg::BlindIndex => RowKey::BlindIndex,
        KeyArg::Log => {
            let done =
                if args.end_old { end_log_key(&keeper, output).await } else { add_log_key(&keeper, output).await };
            keeper.close().await;
            return done;
        }
    };
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

async fn add_log_key(keeper: &Keeper, output: &mut Output) -> Result<Finished, CliError> {
    let key = keeper.add_log_key().await?;
    if output.is_json() {
        output.json_line(&json!({ "key": key.to_string() }))?;
    } else {
        output.line(&format!("Every head of the log is signed by the older key and by this one now:\n{key}"))?;
        output.line(
            "Give it to all who verify (atena log key), then end the older one: atena keys rotate --key log --end-old",
        )?;
    }
    Ok(Finished::Clean)
}

async fn end_log_key(keeper: &Keeper, output: &mut Output) -> Result<Finished, CliError> {
    let ended = keeper.end_older_log_keys().await?;
    for key in &ended {
        if output.is_json() {
            output.json_line(&json!({ "ended": key.to_string() }))?;
        } else {
            output.line(&format!("This key signs no more; what it signed is still verified with it:\n{key}"))?;
        }
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
            KeyKind::Log => "log",
        };
        let state = match (key.there, key.in_use) {
            (false, _) => "not there",
            (true, true) => "in use",
            (true, false) if key.ending => "signs as well, until it is ended",
            (true, false) => "not in use",
        };
        well &= key.in_use && key.there;
        table.row([json!(kind), json!(key.key), json!(key.rows), json!(state)]);
    }
    output.table(&table)?;
    Ok(if well { Finished::Clean } else { Finished::SomeItemsFailed })
}
