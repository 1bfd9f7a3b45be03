//! `atena prove`: what the rules forbid can't be noticed (non-interference).
//!
//! The rules are proved by enumeration, as at every start. Then two towns are made with them whose secrets differ in one thing, and every system
//! asks both everything it can. Whoever may not have that thing must be told the same, byte for byte: answers, refusals, sizes, numbers of pages,
//! counts. Whoever may have it must see the difference; otherwise the comparison would prove nothing.
//!
//! A collector must not be able to tell the towns apart either: the traces of calls (names, attributes,
//! structure) and the counters have to be the same. A trace has every statement of a call and how many
//! rows it read, so that the work is compared as well: what is hidden must not cost time. A town that
//! lacks one record shows that traces and counters would differ if something were another.
//!
//! When all have pulled, more is pushed: changes of the secret alone, and in one town many changes that
//! are hidden from all. Then every pull goes on.
//!
//! Left out: random ids and the content of cursors (their lengths are compared), what auditors see of
//! times, and time itself (docs/performance.md says how it was measured).

mod questions;
mod telemetry;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use atena_domain::{Dataset, SystemId};
use atena_gateway::field_catalog;
use atena_policy::{Policy, Verdict};
use serde_json::json;

use self::questions::Answers;
use self::telemetry::{Counter, Told};
use self::world::{CONTROL, SECRETS, Secret, World};
use crate::Finished;
use crate::cli::ProveArgs;
use crate::command::policy::compile;
use crate::error::CliError;
use crate::hexadecimal::hexadecimal;
use crate::home::Home;
use crate::init::japanese_day;
use crate::output::Output;
use crate::progress;
use crate::table::Table;

/// The metric that counts commits of the transfer log.
const COMMITS: &str = "atena.transfer_log.commit";

/// Proves the rules of a home.
pub(crate) async fn run(args: &ProveArgs, output: &mut Output) -> Result<Finished, CliError> {
    let path = match (&args.policy, &args.home) {
        (Some(policy), _) => policy.clone(),
        (None, home) => Home::existing(home.as_deref().unwrap_or(std::path::Path::new(".")))?.policy(),
    };
    let (catalog, today) = (field_catalog(), japanese_day());
    let policy = compile(&path)?;
    let proof = policy.prove(&catalog, today).map_err(|found| CliError::Rows(found.to_string()))?;
    let hash = hexadecimal(&policy.hash());
    output.note(&format!(
        "1. {} cases of system, affair, dataset and field, {} of them released: the rules do exactly what they say (全件の証明)\n   policy {hash}",
        proof.cases, proof.released,
    ))?;

    let mut released: BTreeMap<SystemId, Vec<(Dataset, String)>> = BTreeMap::new();
    for row in policy.matrix(&catalog, today).rows() {
        if matches!(row.verdict, Verdict::Released { .. }) {
            released.entry(row.system.clone()).or_default().push((row.dataset, row.field.clone()));
        }
    }
    output.note("2. Towns whose secrets differ, asked everything by every system (非干渉の証明)")?;
    let folder = tempfile::tempdir().map_err(CliError::file("create a directory in", std::env::temp_dir()))?;
    let bar = progress::bar("非干渉の証明", u64::try_from(SECRETS.len()).ok());
    let base = World::make(&folder.path().join("base"), &path, &policy, None, None, today).await?;
    let systems: Vec<_> =
        policy.systems().filter(|system| !system.revoked()).map(|system| system.id().clone()).collect();
    let expected = ask(&base, &policy, &systems, None).await?;
    let keys = base.keys();
    let base = base.end().await?;
    let mut table = Table::new(&[
        ("differs", "差異のある項目"),
        ("same", "区別できない系"),
        ("answers", "比較した応答"),
        ("bytes", "バイト"),
        ("traces", "比較したトレース"),
        ("counters", "比較した計数"),
        ("seen", "受け取れる系(差異を検出)"),
    ]);
    let mut found = Vec::new();
    for (number, secret) in SECRETS.into_iter().enumerate() {
        let root = folder.path().join(format!("other-{number}"));
        let other = World::make(&root, &path, &policy, Some(&keys), Some(secret), today).await?;
        let (mut same, mut seen, mut answers, mut bytes) = (0_u64, 0_u64, 0, 0);
        for (system, told) in &ask(&other, &policy, &systems, Some(secret)).await? {
            let Some(before) = expected.get(system) else { continue };
            let may = secret.is_for(&policy, system, released.get(system).map_or(&[], Vec::as_slice));
            match (before.difference(told), may) {
                (None, false) => {
                    same += 1;
                    answers += told.answers.len();
                    bytes += told.bytes();
                }
                (Some(_), true) => seen += 1,
                // A system may be entitled to what it has no records of, and an owner need not ask for what it pushed.
                (None, true) => (),
                (Some(question), false) => {
                    found.push(format!("{} can tell {} by {question}", system.as_str(), secret.name()))
                }
            }
        }
        let may = |system: &str| {
            let known = systems.iter().find(|known| known.as_str() == system);
            known.is_some_and(|known| secret.is_for(&policy, known, released.get(known).map_or(&[], Vec::as_slice)))
        };
        let compared = base.compare(&other.end().await?, may);
        found.extend(compared.found.iter().map(|by| format!("a collector can tell {} by {by}", secret.name())));
        let (traces, counters) = (json!(compared.traces), json!(compared.counters));
        table.row([json!(secret.name()), json!(same), json!(answers), json!(bytes), traces, counters, json!(seen)]);
        bar.inc(1);
        let somebody_may = released.values().any(|fields| secret.is_among(fields));
        if seen == 0 && somebody_may {
            found.push(format!(
                "nobody sees that {} differs, also who may have it: the comparison proves nothing",
                secret.name()
            ));
        }
    }
    let control =
        World::make(&folder.path().join("control"), &path, &policy, Some(&keys), Some(CONTROL), today).await?;
    ask(&control, &policy, &systems, Some(CONTROL)).await?;
    let compared = base.compare(&control.end().await?, |_| false);
    for what in ["the trace of", "the counter"] {
        if !compared.found.iter().any(|by| by.starts_with(what)) {
            found
                .push(format!("{what} anything does not show that a record is missing: the comparison proves nothing"));
        }
    }
    bar.finish_and_clear();
    output.table(&table)?;
    match found.is_empty() {
        true => output.note("Nobody can tell anything that the rules do not give them.").map(|()| Finished::Clean),
        false => Err(CliError::Interference { found: found.join("\n") }),
    }
}

/// Asks a town everything as every system; then more is pushed, and every pull goes on.
async fn ask(
    world: &World,
    policy: &Policy,
    systems: &[SystemId],
    secret: Option<Secret>,
) -> Result<BTreeMap<SystemId, Answers>, CliError> {
    let mut told = BTreeMap::new();
    for system in systems {
        told.insert(system.clone(), Answers::of(world, policy, system.as_str()).await?);
    }
    world.go_on(policy, secret).await?;
    for (system, answers) in &mut told {
        answers.go_on(world, system.as_str()).await?;
    }
    Ok(told)
}

// === impl Secret ===

impl Secret {
    fn name(self) -> String {
        match self {
            Self::PersonalNumbers => "personal numbers (個人番号)".to_owned(),
            Self::Field(dataset, field) => format!("{}.{field}", dataset.as_str()),
            Self::Changes => "how often remarks change".to_owned(),
            Self::Missing(dataset) => format!("a record of {}", dataset.as_str()),
        }
    }
}

/// What was compared of what two collectors were told.
struct Compared {
    traces: u64,
    counters: u64,
    /// By what they can be told apart.
    found: Vec<String>,
}

// === impl Told ===

impl Told {
    /// Compares with another town, but for the calls of those who `may` have what differs.
    fn compare(&self, other: &Self, may: impl Fn(&str) -> bool) -> Compared {
        let mut compared = Compared { traces: 0, counters: 0, found: Vec::new() };
        let systems: BTreeSet<_> = self.calls.keys().chain(other.calls.keys()).collect();
        for system in systems.into_iter().filter(|system| !may(system)) {
            let calls = |of: &Self| of.calls.get(system).cloned().unwrap_or_default();
            let (calls, others) = (calls(self), calls(other));
            compared.traces += u64::try_from(calls.len()).unwrap_or(u64::MAX);
            let differs = calls.iter().zip(&others).find(|(one, another)| one != another);
            if let Some((call, _)) = differs {
                compared.found.push(format!("the trace of {} for {system}", call.method()));
            } else if calls.len() != others.len() {
                compared.found.push(format!(
                    "the trace of {} instead of {} calls for {system}",
                    others.len(),
                    calls.len()
                ));
            }
        }
        let counters: BTreeSet<_> = self.counters.keys().chain(other.counters.keys()).collect();
        // Commits of all systems are counted together, and one that may see a change logs one more chunk.
        let somebody_may = self.calls.keys().any(|system| may(system));
        let is_left_out = |counter: &Counter| match counter.system.as_deref() {
            Some(system) => may(system),
            None => somebody_may && counter.name == COMMITS,
        };
        for counter in counters.into_iter().filter(|counter| !is_left_out(counter)) {
            compared.counters += 1;
            if self.counters.get(counter) != other.counters.get(counter) {
                compared.found.push(format!("the counter {}", counter.name));
            }
        }
        compared
    }
}
