//! A file of rules that is refused, read as far as it goes.

use std::collections::BTreeSet;

use atena_domain::{Dataset, MunicipalityCode, SystemId};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::blocks::{Content, NEVER_REVOKED, declared, has_stray_entry, is_revoked, is_sound, tables, text_of};
use super::rules::Remaining;
use crate::declaration::{DeclaredDataset, DeclaredRegistration, DeclaredRule, DeclaredSystem};

/// What of the file could be read.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) municipality: Option<MunicipalityCode>,
    /// Ids of systems that it marks as revoked.
    pub(super) revoked: BTreeSet<String>,
    pub(super) systems: Option<Entries>,
    pub(super) datasets: Option<Entries>,
    pub(super) registration: Option<Entry>,
    pub(super) rules: Option<Remaining>,
}

/// The entries of one kind.
pub(super) struct Entries {
    entries: Vec<Entry>,
    /// Whether one that is not there was taken out.
    pub(super) complete: bool,
}

/// One entry.
pub(super) struct Entry {
    pub(super) table: Table,
    /// Whether nothing is writing the file just now.
    pub(super) settled: bool,
    /// Whether a key that is absent was taken out, rather than misspelt or not written yet.
    pub(super) whole: bool,
}

/// Keys of the file that hold entries.
const ENTRIES: [&str; 3] = ["system", "dataset", "rule"];

// === impl Reading ===

impl Reading {
    /// Reads a file. `settled`: nothing is writing it just now, so what is absent from it was taken
    /// out.
    pub(super) fn of(file: &[u8], settled: bool) -> Self {
        let table = match Content::of(file, settled) {
            Content::Whole(table) => table,
            Content::Pieces(pieces) => {
                let mut revoked = BTreeSet::new();
                pieces.iter().for_each(|piece| mark_revoked(piece, None, &mut revoked));
                let mut codes = pieces.iter().filter_map(|piece| text_of(piece, "municipality_code"));
                let municipality = codes.find_map(|code| MunicipalityCode::parse(code).ok());
                return Self { municipality, revoked, ..Self::default() };
            }
        };
        let municipality = text_of(&table, "municipality_code").and_then(|code| MunicipalityCode::parse(code).ok());
        let systems = tables(&table, "system").filter(|systems| !systems.is_empty());
        let registration = table.get("registration").and_then(Value::as_table);
        // A file without its other parts is half of one.
        let whole = settled && municipality.is_some() && registration.is_some() && systems.is_some();
        let complete = whole && !has_stray_entry(&table, &ENTRIES);
        // An entry without a proper id may be the one that seems to be absent.
        let is_system = |id: &str| SystemId::parse(id).is_ok();
        let is_dataset = |id: &str| Dataset::parse(id).is_ok();
        let entry = |table: &Table| Entry {
            settled,
            whole: whole && is_sound::<DeclaredRegistration>(table),
            table: table.clone(),
        };
        Self {
            municipality,
            revoked: revoked(&table),
            registration: registration.map(entry),
            datasets: tables(&table, "dataset")
                .map(|found| Entries::of::<DeclaredDataset>(found, settled, whole, complete, is_dataset)),
            systems: systems.map(|found| Entries::of::<DeclaredSystem>(found, settled, whole, complete, is_system)),
            rules: if whole { tables(&table, "rule").and_then(|rules| remaining(rules, complete)) } else { None },
        }
    }
}

// === impl Entries ===

impl Entries {
    fn of<T: DeserializeOwned>(
        found: Vec<Table>,
        settled: bool,
        whole: bool,
        complete: bool,
        is_id: impl Fn(&str) -> bool,
    ) -> Self {
        let mut ids = BTreeSet::new();
        let named = |entry: &Table| text_of(entry, "id").is_some_and(|id| is_id(id) && ids.insert(id.to_owned()));
        let complete = complete && !found.is_empty() && found.iter().all(named);
        let entry = |table| Entry { settled, whole: whole && is_sound::<T>(&table), table };
        Self { entries: found.into_iter().map(entry).collect(), complete }
    }

    /// Their ids, where they have one.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| text_of(&entry.table, "id"))
    }

    /// The entry with this id. None where there are several: one of them may be meant for another
    /// id.
    pub(super) fn get(&self, id: &str) -> Option<&Entry> {
        let mut of_id = self.entries.iter().filter(|entry| text_of(&entry.table, "id") == Some(id));
        of_id.next().filter(|_| of_id.next().is_none())
    }
}

// === impl Entry ===

impl Entry {
    /// Whether it says what is under this key, or that there is nothing.
    pub(super) fn says(&self, key: &str) -> bool {
        self.whole || self.table.contains_key(key)
    }

    /// Whether it says that there is nothing under this key, by not having it.
    pub(super) fn says_absent(&self, key: &str) -> bool {
        self.whole && !self.table.contains_key(key)
    }
}

/// Ids of those that are marked as revoked, wherever their entry is.
fn revoked(file: &Table) -> BTreeSet<String> {
    let mut revoked = BTreeSet::new();
    for (key, value) in file {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for entry in items.iter().filter_map(Value::as_table) {
            if NEVER_REVOKED.contains(&key.as_str()) {
                // Their own ids are no systems; one below them is of a system whose header is
                // missing.
                entry.values().for_each(|value| mark_below(value, None, &mut revoked));
            } else {
                mark_revoked(entry, None, &mut revoked);
            }
        }
    }
    revoked
}

/// `id`: of the entry to which a table below it belongs.
fn mark_revoked(table: &Table, id: Option<&str>, revoked: &mut BTreeSet<String>) {
    let id = text_of(table, "id").or(id);
    if is_revoked(table) {
        revoked.extend(id.map(str::to_owned));
    }
    table.values().for_each(|value| mark_below(value, id, revoked));
}

fn mark_below(value: &Value, id: Option<&str>, revoked: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => mark_revoked(table, id, revoked),
        Value::Array(items) => items.iter().for_each(|item| mark_below(item, id, revoked)),
        _ => {}
    }
}

/// The rules; `None` where there is one of which not even the id can be read, because it may be any.
fn remaining(entries: Vec<Table>, complete: bool) -> Option<Remaining> {
    let mut remaining = Remaining { complete, ..Remaining::default() };
    for entry in entries {
        let id = text_of(&entry, "id")?.to_owned();
        match declared::<DeclaredRule>(&entry).filter(super::rules::is_dated) {
            Some(rule) => remaining.rules.push(rule),
            None => {
                remaining.unreadable.insert(id);
            }
        }
    }
    Some(remaining)
}
