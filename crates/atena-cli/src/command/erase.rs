//! `atena erase`.

use std::io::Read as _;
use std::path::Path;

use atena_domain::{LocalAddressNumber, SystemId};
use atena_gateway::Ground;
use serde_json::json;

use super::acting_keeper;
use crate::Finished;
use crate::cli::EraseArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::table::counted;

/// Erases people, or tells what would be erased.
pub(super) async fn run(args: &EraseArgs, output: &mut Output) -> Result<Finished, CliError> {
    let ground = match (args.death, args.moved_out, &args.order) {
        (Some(day), ..) => Ground::Death(day),
        (None, Some(day), _) => Ground::MovedOut(day),
        (None, None, order) => Ground::Order(order.clone().unwrap_or_default()),
    };
    let named = match &args.list {
        Some(list) => lines(list)?,
        None => args.person.clone(),
    };
    let people = named.iter().map(|name| person(name)).collect::<Result<Vec<_>, _>>()?;
    let keeper = acting_keeper(&args.home, &args.acting).await?;
    let bar = progress::bar("消去", Some(0));
    let done = match args.yes {
        true => keeper.erase(&people, &ground, progress::steps(&bar)).await,
        false => keeper.known_people(&people, &ground).await,
    };
    bar.finish_and_clear();
    keeper.close().await;
    let erased = done?;
    let unknown: Vec<_> = erased.unknown.iter().map(|(system, local)| format!("{system}/{local}")).collect();
    if output.is_json() {
        output.json_line(&json!({ "erased": args.yes, "people": erased.people, "unknown": unknown }))?;
    } else {
        let people = counted(erased.people);
        output.line(&match args.yes {
            true => format!("{people} people are erased. Destroy the copies of person-keys.db from before as well."),
            false => format!("{people} people would be erased, for ever; nothing was changed. Say --yes to do it."),
        })?;
        for name in &unknown {
            output.line(&format!("not known (any more): {name}"))?;
        }
    }
    Ok(if unknown.is_empty() { Finished::Clean } else { Finished::SomeItemsFailed })
}

fn lines(path: &Path) -> Result<Vec<String>, CliError> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(CliError::file("read", path))?;
    } else {
        text = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
    }
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn person(name: &str) -> Result<(SystemId, LocalAddressNumber), CliError> {
    let malformed = |reason: String| CliError::Malformed { what: "a person", reason };
    let (system, local) = name
        .split_once('/')
        .ok_or_else(|| malformed("write SYSTEM/LOCAL_NUMBER, e.g. pension/000000000000019".to_owned()))?;
    let system = SystemId::parse(system).map_err(|error| malformed(error.to_string()))?;
    let local = LocalAddressNumber::parse(local).map_err(|error| malformed(error.to_string()))?;
    Ok((system, local))
}
