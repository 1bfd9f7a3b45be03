//! `atena keys`.

use atena_gateway::{Config, municipality_of};
use atena_vault::{KeySource, TokenKeys};
use serde_json::json;

use crate::Finished;
use crate::cli::KeysCommand;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;

/// Looks after the keys.
pub(super) fn run(command: &KeysCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        KeysCommand::Generate { home } => generate(&Home::existing(home)?, output),
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
        output.json_line(&json!({ "token": place.token, "municipality_code": municipality.as_str() }))?;
    } else {
        let code = municipality.as_str();
        output.line(&format!("The token {} has keys for municipality {code} now.", place.token))?;
        output
            .line("Its own backup is the only one: have it made as its maker says, before anything is registered.")?;
    }
    Ok(Finished::Clean)
}
