//! A file of rules that is refused, read as far as it goes.

use std::collections::BTreeSet;

use atena_domain::{MunicipalityCode, SystemId};
use toml::{Table, Value};

use super::blocks::{blocks_of, text_of};
use super::rules::Remaining;
use crate::declaration::DeclaredRule;

/// What of the file could be read.
pub(super) struct Reading {
    pub(super) municipality: Option<MunicipalityCode>,
    /// Ids of systems that it marks as revoked.
    pub(super) revoked: BTreeSet<String>,
    pub(super) systems: Option<Systems>,
    pub(super) datasets: Option<Datasets>,
    pub(super) rules: Option<Remaining>,
}

/// The registry of the file.
pub(super) struct Systems {
    pub(super) entries: Vec<Table>,
    /// Whether a system that is not in it was taken out.
    pub(super) complete: bool,
}

/// The datasets of the file.
pub(super) struct Datasets {
    pub(super) entries: Vec<Table>,
    /// Whether a dataset that is not in it was taken out.
    pub(super) complete: bool,
}

// === impl Reading ===

impl Reading {
    /// Reads `text`. `settled`: nothing is writing it just now, so what is absent from it was taken out.
    pub(super) fn of(text: &str, settled: bool) -> Self {
        let Ok(table) = toml::from_str::<Table>(text) else {
            let revoked = revoked(&blocks_of(text, "system"));
            return Self { municipality: None, revoked, systems: None, datasets: None, rules: None };
        };
        let municipality = text_of(&table, "municipality_code").and_then(|code| MunicipalityCode::parse(code).ok());
        // A file without its other parts is half of one.
        let whole = settled && municipality.is_some() && table.get("registration").is_some_and(Value::is_table);
        let systems = tables(&table, "system").filter(|systems| !systems.is_empty());
        // An entry without a proper id may be the one that seems to be absent.
        let named = |entry: &Table| text_of(entry, "id").is_some_and(|id| SystemId::parse(id).is_ok());
        let whole = whole && systems.is_some();
        let complete = whole && systems.as_ref().is_some_and(|systems| systems.iter().all(named));
        Self {
            municipality,
            revoked: revoked(systems.as_deref().unwrap_or_default()),
            systems: systems.map(|entries| Systems { entries, complete }),
            datasets: tables(&table, "dataset")
                .map(|entries| Datasets { complete: whole && !entries.is_empty(), entries }),
            rules: if whole { tables(&table, "rule").and_then(remaining) } else { None },
        }
    }
}

/// Ids of those of whom `revoked` says anything but `false`: what else may it mean?
fn revoked(entries: &[Table]) -> BTreeSet<String> {
    let marked = |entry: &&Table| entry.get("revoked").is_some_and(|value| value.as_bool() != Some(false));
    entries.iter().filter(marked).filter_map(|entry| text_of(entry, "id")).map(str::to_owned).collect()
}

/// The tables `[[name]]`; none where there is no such key, `None` where it is something else.
fn tables(table: &Table, name: &str) -> Option<Vec<Table>> {
    match table.get(name) {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_table().cloned()).collect(),
        Some(_) => None,
    }
}

/// The rules; `None` where there is one of which not even the id can be read, because it may be any.
fn remaining(entries: Vec<Table>) -> Option<Remaining> {
    let mut remaining = Remaining::default();
    for entry in entries {
        let id = text_of(&entry, "id")?.to_owned();
        let rule = toml::to_string(&entry).ok().and_then(|text| toml::from_str::<DeclaredRule>(&text).ok());
        match rule.filter(super::rules::is_dated) {
            Some(rule) => remaining.rules.push(rule),
            None => {
                remaining.unreadable.insert(id);
            }
        }
    }
    Some(remaining)
}
