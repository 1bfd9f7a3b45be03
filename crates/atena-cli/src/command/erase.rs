//! `atena erase`.

use std::collections::HashSet;
use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use atena_domain::{LocalAddressNumber, SystemId};
use atena_gateway::{ErasurePlan, Ground};
use serde_json::json;

use super::acting_keeper;
use crate::Finished;
use crate::cli::EraseArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::table::{Table, counted};

/// What is typed at a terminal to erase.
const ANSWER: &str = "erase";

/// Shows who would be erased, and erases them where that is confirmed.
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
    let plan = keeper.plan_erasure(&people, &ground).await?;
    show(&plan, output)?;
    let to_erase: Vec<_> =
        plan.cases.iter().filter(|case| case.kept.is_none()).map(|case| case.named.clone()).collect();
    let erased = if args.yes || confirmed(args, to_erase.len(), output)? {
        let bar = progress::bar("消去", Some(0));
        let done = keeper.erase(&to_erase, &ground, progress::steps(&bar)).await;
        bar.finish_and_clear();
        Some(done?)
    } else {
        None
    };
    keeper.close().await;
    let mut kept: Vec<_> = plan.cases.iter().filter(|case| case.kept.is_some()).map(|case| name(&case.named)).collect();
    kept.extend(erased.iter().flat_map(|erased| erased.kept.iter().chain(&erased.unknown).map(name)));
    let unknown: Vec<_> = plan.unknown.iter().map(name).collect();
    // One person has one row, by whichever number comes first.
    let distinct: HashSet<_> = people.iter().collect();
    let named_again = distinct.len().saturating_sub(plan.cases.len() + unknown.len());
    let all_well = kept.is_empty() && unknown.is_empty();
    let people = erased.as_ref().map_or_else(|| u64::try_from(to_erase.len()).unwrap_or(u64::MAX), |done| done.people);
    if output.is_json() {
        let (erased, kept) = (erased.is_some(), kept.len());
        output.json_line(&json!({
            "erased": erased, "people": people, "kept": kept, "unknown": unknown, "named_again": named_again,
        }))?;
    } else {
        if named_again > 0 {
            let again = counted(u64::try_from(named_again).unwrap_or(u64::MAX));
            output.note(&format!("{again} of the numbers are of people who are shown above by another number"))?;
        }
        let people = counted(people);
        output.note(&match erased {
            Some(_) => format!("{people} people are erased. Destroy the copies of person-keys.db from before as well."),
            None => format!("{people} people would be erased, for ever; nothing was changed. Say --yes to do it."),
        })?;
        if !kept.is_empty() {
            let kept = counted(u64::try_from(kept.len()).unwrap_or(u64::MAX));
            output.note(&format!("{kept} people are kept, as shown above; an order erases them: --order NUMBER"))?;
        }
        for name in &unknown {
            output.note(&format!("not known (any more): {name}"))?;
        }
    }
    Ok(if all_well { Finished::Clean } else { Finished::SomeItemsFailed })
}

/// One line for each person: what the systems registered, and what would happen. No name, no personal number.
fn show(plan: &ErasurePlan, output: &mut Output) -> Result<(), CliError> {
    let mut table = Table::new(&[
        ("person", "宛名番号 / person"),
        ("status", "住民状態 / status"),
        ("last_use", "最終利用 / last use"),
        ("decision", "判定 / decision"),
        ("reason", "理由 / reason"),
    ]);
    let json = output.is_json();
    for case in &plan.cases {
        let status = case.known_by.iter().map(|known| {
            let status = if json { known.status.as_str() } else { known.status.japanese() };
            format!("{}: {status}", known.system_id)
        });
        let reason = case.kept.map(|kept| if json { kept.as_str().to_owned() } else { kept.to_string() });
        table.row([
            json!(name(&case.named)),
            json!(status.collect::<Vec<_>>()),
            json!(case.last_use.map(|at| at.to_string())),
            json!(if case.kept.is_none() { "ERASE" } else { "KEEP" }),
            json!(reason),
        ]);
    }
    if table.is_empty() { Ok(()) } else { output.table(&table) }
}

/// Whether somebody at a terminal says so.
fn confirmed(args: &EraseArgs, people: usize, output: &Output) -> Result<bool, CliError> {
    let stdin = std::io::stdin();
    let read_from = args.list.as_deref() == Some(Path::new("-"));
    if people == 0 || read_from || output.is_json() || !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    let mut asked = std::io::stderr();
    write!(asked, "{people} 人を消去します。元に戻せません。/ Erase {people} people for ever? Type `{ANSWER}`: ")
        .and_then(|()| asked.flush())
        .map_err(CliError::Output)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(CliError::file("read", "stdin"))?;
    Ok(answer.trim() == ANSWER)
}

fn name((system, local): &(SystemId, LocalAddressNumber)) -> String {
    format!("{system}/{local}")
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
