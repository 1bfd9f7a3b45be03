//! What a file of rules that can't be used takes away all the same.
//!
//! A revocation must not wait until everything else in the file is right. So of a changed file that is refused, what only takes away
//! is taken: the policy in force is cut down to what both it and the file permit. Nothing is added, and the result is proved like
//! every policy (invariant *deny-by-default*).

mod blocks;
mod reading;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::civil::Date;
use toml::Spanned;

pub(crate) use blocks::{Content, day_of, has_stray_entry, is_revoked, is_sound, listed, tables, text_of};
use reading::{Entries, Entry, Reading};

use crate::catalog::FieldCatalog;
use crate::compile::Strictness;
use crate::declaration::{Declaration, DeclaredDataset, DeclaredRegistration, DeclaredSystem};
use crate::policy::Policy;
use crate::problem::PolicyError;
use crate::system::Role;

/// A policy from which something was taken away.
#[derive(Debug)]
pub struct Restricted {
    /// What is left, proved.
    pub policy: Policy,
    /// What was taken away, one sentence each.
    pub taken: Vec<String>,
    /// Why only systems were revoked, where the file takes more away than that.
    pub untaken: Option<PolicyError>,
}

/// The ids of the systems that a file marks as revoked, as far as it can be read. Nothing else in it has to be right.
#[must_use]
pub fn revoked_systems(file: &[u8]) -> BTreeSet<String> {
    Reading::of(file, true).revoked
}

// === impl Policy ===

impl Policy {
    /// What is left of this policy when everything that `text` takes away is taken from it; `None` where that is nothing.
    ///
    /// `file` is a `policy.toml` that is refused as a whole. A system that it marks as revoked is
    /// always revoked, even where the rest is no TOML. What it narrows (a rule, a role, a date) is
    /// narrowed where that part can be read and names nothing unknown. What is absent from it is
    /// taken away only where `settled` says that the file is not being written just now, where it
    /// has its other parts, and where it can't be what is misspelt. A file of another municipality
    /// takes nothing away.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] where the rest can't be proved.
    pub fn restricted_by(
        &self,
        file: &[u8],
        settled: bool,
        catalog: &FieldCatalog,
        today: Date,
    ) -> Result<Option<Restricted>, PolicyError> {
        let mut reading = Reading::of(file, settled);
        if reading.municipality.as_ref().is_some_and(|code| *code != self.municipality_code) {
            return Ok(None);
        }
        let known = self.known_systems(&reading);
        if let Some(systems) = &mut reading.systems {
            // A system that is new may be the one that seems to be absent.
            let registered = |id| self.declared.systems.iter().any(|own| own.id.get_ref() == id);
            let none_is_new = systems.ids().all(registered);
            systems.complete &= none_is_new;
        }
        if let Some(rules) = &mut reading.rules {
            rules.leave_out_unknown(&known, catalog);
        }
        let (mut declared, mut taken) = (self.declared.clone(), Vec::new());
        revoke(&mut declared, &reading, &mut taken);
        let (revoked, only) = (declared.clone(), taken.clone());
        restrict(&mut declared, &reading, &known, &mut taken);
        if taken.is_empty() {
            return Ok(None);
        }
        // Places in the text that was compiled once are of no use any more.
        let compiled = |declared| Self::compile_declared(declared, "", catalog, today, Strictness::Remainder);
        match compiled(declared) {
            Ok(policy) => Ok(Some(Restricted { policy, taken, untaken: None })),
            Err(error) if only.is_empty() => Err(error),
            // A revocation must not wait for the rest of what is taken away either.
            Err(error) => Ok(Some(Restricted { policy: compiled(revoked)?, taken: only, untaken: Some(error) })),
        }
    }

    /// The systems of this policy and of the file.
    fn known_systems(&self, reading: &Reading) -> BTreeSet<String> {
        let own = self.declared.systems.iter().map(|system| system.id.get_ref().clone());
        own.chain(reading.systems.iter().flat_map(Entries::ids).map(str::to_owned)).collect()
    }
}

fn revoke(declared: &mut Declaration, reading: &Reading, taken: &mut Vec<String>) {
    for system in declared.systems.iter_mut().filter(|system| !system.revoked) {
        if reading.revoked.contains(system.id.get_ref()) {
            system.revoked = true;
            taken.push(format!("system {:?} is revoked", system.id.get_ref()));
        }
    }
}

fn restrict(declared: &mut Declaration, reading: &Reading, known: &BTreeSet<String>, taken: &mut Vec<String>) {
    if let Some(systems) = &reading.systems {
        declared.systems.iter_mut().for_each(|system| restrict_system(system, systems, taken));
    }
    if let Some(datasets) = &reading.datasets {
        declared.datasets.iter_mut().for_each(|dataset| restrict_dataset(dataset, datasets, known, taken));
    }
    if let Some(entry) = &reading.registration {
        restrict_registration(&mut declared.registration, entry, taken);
    }
    if let Some(remaining) = &reading.rules {
        declared.rules = rules::restricted(&declared.rules, remaining, taken);
    }
}

fn restrict_system(system: &mut DeclaredSystem, systems: &Entries, taken: &mut Vec<String>) {
    let id = system.id.get_ref().clone();
    let place = format!("system {id:?}");
    if system.revoked {
        return;
    }
    if systems.complete && systems.ids().all(|there| there != id) {
        // It stays in the registry for the log's sake, and may do nothing.
        system.revoked = true;
        taken.push(format!("{place} is no longer registered, so it is treated as revoked"));
    }
    let Some(entry) = systems.get(&id) else { return };
    let roles = listed(&entry.table, "roles").or(entry.says_absent("roles").then(Vec::new));
    // A role that does not exist is another one, misspelt.
    if let Some(roles) = roles.filter(|roles| roles.iter().all(|role| Role::parse(role).is_some())) {
        system.roles.retain(|role| {
            let stays = roles.contains(&role.get_ref().as_str());
            if !stays {
                taken.push(format!("{place} no longer has role {}", role.get_ref()));
            }
            stays
        });
    }
    let flags = [
        ("unified_address_number", &mut system.unified_address_number),
        ("protected_address", &mut system.protected_address),
        ("reconstruct_transfers", &mut system.reconstruct_transfers),
    ];
    for (key, flag) in flags {
        let off = entry.table.get(key).map_or(entry.says_absent(key), |value| value.as_bool() == Some(false));
        if *flag && off {
            *flag = false;
            taken.push(format!("{place} no longer has {key}"));
        }
    }
    if let Some(left) = rules::left_of(&system.personal_number_basis, entry, "personal_number_basis") {
        system.personal_number_basis = left;
        taken.push(format!("{place} has less of a legal basis for personal numbers"));
    }
}

fn restrict_dataset(
    dataset: &mut DeclaredDataset,
    datasets: &Entries,
    known: &BTreeSet<String>,
    taken: &mut Vec<String>,
) {
    let (id, owner) = (dataset.id.get_ref().clone(), dataset.owner.get_ref().clone());
    let bases = dataset.basis.clone().unwrap_or_default();
    let absent = datasets.complete && datasets.ids().all(|there| there != id);
    let entry = datasets.get(&id);
    // An owner that does not exist is the same one, misspelt.
    let changed = entry.and_then(|entry| text_of(&entry.table, "owner"));
    let changed = changed.is_some_and(|named| named != owner && known.contains(named));
    let left = match entry {
        _ if absent || changed => Some(Vec::new()).filter(|_| !bases.is_empty()),
        Some(entry) => rules::left_of(&bases, entry, "basis"),
        None => None,
    };
    let Some(left) = left else { return };
    taken.push(match left.is_empty() {
        true => format!("system {owner:?} may no longer push dataset {id:?}"),
        false => format!("dataset {id:?} has less of a legal basis"),
    });
    dataset.basis = Some(left);
}

fn restrict_registration(registration: &mut DeclaredRegistration, entry: &Entry, taken: &mut Vec<String>) {
    let bases = registration.basis.clone().unwrap_or_default();
    if let Some(left) = rules::left_of(&bases, entry, "basis") {
        taken.push("registration has less of a legal basis".to_owned());
        registration.basis = Some(left);
    }
}

/// A value that has no place in a text.
fn placed<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
