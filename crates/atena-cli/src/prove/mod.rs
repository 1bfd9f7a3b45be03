//! `atena prove`: what the rules forbid can't be noticed (non-interference).
//!
//! The rules are proved by enumeration, as at every start. Then two towns are made with them whose
//! secrets differ in one thing, or in all that no rule releases. Every system asks both everything it
//! can. A system that may not have that thing must get the same bytes: answers, refusals, sizes,
//! numbers of pages, counts. One that may have it must see the difference; otherwise the comparison
//! would prove nothing.
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
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atena_domain::{Dataset, SystemId};
use atena_gateway::field_catalog;
use atena_policy::{Policy, Verdict};
use jiff::civil::Date;
use serde_json::{Value, json};

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

/// Towns that are made and asked at the same time.
const TOWNS_AT_ONCE: usize = 4;

/// The metric that counts commits of the transfer log.
const COMMITS: &str = "atena.transfer_log.commit";

/// Proves the rules of a home.
pub(crate) async fn run(args: &ProveArgs, output: &mut Output) -> Result<Finished, CliError> {
    let path = match (&args.policy, &args.home) {
        (Some(policy), _) => policy.clone(),
        (None, home) => Home::existing(home.as_deref().unwrap_or(Path::new(".")))?.policy(),
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
    let baseline = Arc::new(Baseline::make(folder.path(), path, policy, released, today).await?);
    let groups = baseline.groups();
    let bar = progress::bar("非干渉の証明", u64::try_from(groups.len()).ok());
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
    // Towns wait for their disks most of the time, so several are made and asked at once.
    for groups in groups.chunks(TOWNS_AT_ONCE) {
        let towns: Vec<_> = groups
            .iter()
            .map(|group| tokio::spawn(Arc::clone(&baseline).compare(folder.path().to_owned(), group.clone())))
            .collect();
        for town in towns {
            let (row, differences) =
                town.await.map_err(|_| CliError::Rows("a comparison ended early".to_owned()))??;
            table.row(row);
            found.extend(differences);
            bar.inc(1);
        }
    }
    found.extend(baseline.control(folder.path()).await?);
    bar.finish_and_clear();
    output.table(&table)?;
    match found.is_empty() {
        true => output.note("Nobody can tell anything that the rules do not give them.").map(|()| Finished::Clean),
        false => Err(CliError::Interference { found: found.join("\n") }),
    }
}

/// A row of the table, and what somebody could notice.
type Comparison = ([Value; 7], Vec<String>);

/// The town that every other one is compared with.
struct Baseline {
    path: PathBuf,
    policy: Policy,
    released: BTreeMap<SystemId, Vec<(Dataset, String)>>,
    today: Date,
    systems: Vec<SystemId>,
    /// What its systems were answered.
    answers: BTreeMap<SystemId, Answers>,
    /// What its collector got.
    collected: Told,
    keys: PathBuf,
}

// === impl Baseline ===

impl Baseline {
    async fn make(
        folder: &Path,
        path: PathBuf,
        policy: Policy,
        released: BTreeMap<SystemId, Vec<(Dataset, String)>>,
        today: Date,
    ) -> Result<Self, CliError> {
        let town = World::make(&folder.join("base"), &path, &policy, None, &[], today).await?;
        let systems: Vec<_> =
            policy.systems().filter(|system| !system.revoked()).map(|system| system.id().clone()).collect();
        let answers = ask(&town, &policy, &systems, &[]).await?;
        let keys = town.keys();
        let collected = town.end().await?;
        Ok(Self { path, policy, released, today, systems, answers, collected, keys })
    }

    /// The secrets by town. Those that no rule releases differ together in one: no consumer may notice
    /// any of them. Each of the others has to be noticed by itself.
    fn groups(&self) -> Vec<Vec<Secret>> {
        let is_hidden = |secret: &Secret| *secret != Secret::Changes && !self.is_released(*secret);
        let (hidden, others): (Vec<_>, Vec<_>) = SECRETS.into_iter().partition(is_hidden);
        let alone = others.into_iter().map(|secret| vec![secret]);
        alone.chain((!hidden.is_empty()).then_some(hidden)).collect()
    }

    /// Whether any system is released the secret.
    fn is_released(&self, secret: Secret) -> bool {
        self.released.values().any(|fields| secret.is_among(fields))
    }

    /// A town in which secrets differ, asked everything.
    async fn other(&self, root: &Path, secrets: &[Secret]) -> Result<(BTreeMap<SystemId, Answers>, Told), CliError> {
        let town = World::make(root, &self.path, &self.policy, Some(&self.keys), secrets, self.today).await?;
        let answers = ask(&town, &self.policy, &self.systems, secrets).await?;
        Ok((answers, town.end().await?))
    }

    /// Whether a system may have any of the secrets.
    fn may(&self, secrets: &[Secret], system: &SystemId) -> bool {
        let released = self.released.get(system).map_or(&[][..], Vec::as_slice);
        secrets.iter().any(|secret| secret.is_for(&self.policy, system, released))
    }

    async fn compare(self: Arc<Self>, folder: PathBuf, secrets: Vec<Secret>) -> Result<Comparison, CliError> {
        let names = secrets.iter().map(|secret| secret.name()).collect::<Vec<_>>().join(", ");
        let root =
            tempfile::tempdir_in(folder).map_err(CliError::file("create a directory in", std::env::temp_dir()))?;
        let (answers, collected) = self.other(&root.path().join("home"), &secrets).await?;
        let mut found = Vec::new();
        let (mut same, mut seen, mut compared_answers, mut bytes) = (0_u64, 0_u64, 0, 0);
        for (system, told) in &answers {
            let Some(before) = self.answers.get(system) else { continue };
            match (before.difference(told), self.may(&secrets, system)) {
                (None, false) => {
                    same += 1;
                    compared_answers += told.answers.len();
                    bytes += told.bytes();
                }
                (Some(_), true) => seen += 1,
                // A system may be entitled to what it has no records of, and an owner need not ask for what it pushed.
                (None, true) => (),
                (Some(question), false) => found.push(format!("{} can tell {names} by {question}", system.as_str())),
            }
        }
        let may = |system: &str| {
            let known = self.systems.iter().find(|known| known.as_str() == system);
            known.is_some_and(|known| self.may(&secrets, known))
        };
        let compared = self.collected.compare(&collected, may);
        found.extend(compared.found.iter().map(|by| format!("a collector can tell {names} by {by}")));
        if seen == 0 && secrets.iter().any(|secret| self.is_released(*secret)) {
            found.push(format!(
                "no system sees that {names} differs, not even one that may: the comparison proves nothing"
            ));
        }
        let row = [
            json!(names),
            json!(same),
            json!(compared_answers),
            json!(bytes),
            json!(compared.traces),
            json!(compared.counters),
            json!(seen),
        ];
        Ok((row, found))
    }

    /// A town that lacks a record: traces and counters have to show it, or else their comparison proves nothing.
    async fn control(&self, folder: &Path) -> Result<Vec<String>, CliError> {
        let (_, collected) = self.other(&folder.join("control"), &[CONTROL]).await?;
        let compared = self.collected.compare(&collected, |_| false);
        let blind = |what: &&str| !compared.found.iter().any(|by| by.starts_with(*what));
        let silent = ["the trace of", "the counter"].into_iter().filter(blind);
        let problem =
            |what| format!("{what} anything does not show that a record is missing: the comparison proves nothing");
        Ok(silent.map(problem).collect())
    }
}

async fn ask(
    world: &World,
    policy: &Policy,
    systems: &[SystemId],
    secrets: &[Secret],
) -> Result<BTreeMap<SystemId, Answers>, CliError> {
    let mut told = BTreeMap::new();
    for system in systems {
        told.insert(system.clone(), Answers::of(world, policy, system.as_str()).await?);
    }
    world.go_on(policy, secrets).await?;
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
