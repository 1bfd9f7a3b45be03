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

pub(crate) use blocks::{blocks_of, day_of, listed, text_of};
use reading::{Datasets, Reading};

use crate::catalog::FieldCatalog;
use crate::compile::Strictness;
use crate::declaration::{DeclaredDataset, DeclaredSystem};
use crate::policy::Policy;
use crate::problem::PolicyError;

/// A policy from which something was taken away.
#[derive(Debug)]
pub struct Restricted {
    /// What is left, proved.
    pub policy: Policy,
    /// What was taken away, one sentence each.
    pub taken: Vec<String>,
}

/// The ids of the systems that a file marks as revoked, as far as it can be read. Nothing else in it has to be right.
#[must_use]
pub fn revoked_systems(text: &str) -> BTreeSet<String> {
    Reading::of(text, false).revoked
}

// === impl Policy ===

impl Policy {
    /// What is left of this policy when everything that `text` takes away is taken from it; `None` where that is nothing.
    ///
    /// `text` is a `policy.toml` that is refused as a whole. A system that it marks as revoked is always revoked, even where the rest
    /// is no TOML. What it narrows (a rule, a role, a date) is narrowed where that part can be read. What is absent from it is taken away
    /// only where `settled` says that the file is not being written just now, and where it has its other parts. A file of another
    /// municipality takes nothing away.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] where the rest can't be proved.
    pub fn restricted_by(
        &self,
        text: &str,
        settled: bool,
        catalog: &FieldCatalog,
        today: Date,
    ) -> Result<Option<Restricted>, PolicyError> {
        let reading = Reading::of(text, settled);
        if reading.municipality.as_ref().is_some_and(|code| *code != self.municipality_code) {
            return Ok(None);
        }
        let mut declared = self.declared.clone();
        let mut taken = Vec::new();
        for system in &mut declared.systems {
            restrict_system(system, &reading, &mut taken);
        }
        if let Some(datasets) = &reading.datasets {
            declared.datasets.iter_mut().for_each(|dataset| restrict_dataset(dataset, datasets, &mut taken));
        }
        if let Some(remaining) = &reading.rules {
            declared.rules = rules::restricted(&declared.rules, remaining, &mut taken);
        }
        if taken.is_empty() {
            return Ok(None);
        }
        // Places in the text that was compiled once are of no use any more.
        let policy = Self::compile_declared(declared, "", catalog, today, Strictness::Remainder)?;
        Ok(Some(Restricted { policy, taken }))
    }
}

fn restrict_system(system: &mut DeclaredSystem, reading: &Reading, taken: &mut Vec<String>) {
    let id = system.id.get_ref().clone();
    let place = format!("system {id:?}");
    if system.revoked {
        return;
    }
    if reading.revoked.contains(&id) {
        system.revoked = true;
        taken.push(format!("{place} is revoked"));
        return;
    }
    let Some(systems) = &reading.systems else { return };
    let entries: Vec<_> = systems.entries.iter().filter(|entry| text_of(entry, "id") == Some(id.as_str())).collect();
    if entries.is_empty() && systems.complete {
        // It stays in the registry for the log's sake, and may do nothing.
        system.revoked = true;
        taken.push(format!("{place} is no longer registered, so it is treated as revoked"));
    }
    for entry in entries {
        if let Some(roles) = listed(entry, "roles") {
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
            if *flag && entry.get(key).is_none_or(|value| value.as_bool() == Some(false)) {
                *flag = false;
                taken.push(format!("{place} no longer has {key}"));
            }
        }
        if let Some(bases) = rules::bases_of(entry, "personal_number_basis") {
            let left = rules::narrowed_bases(&system.personal_number_basis, &bases);
            if !rules::same_bases(&left, &system.personal_number_basis) {
                system.personal_number_basis = left;
                taken.push(format!("{place} has less of a legal basis for personal numbers"));
            }
        }
    }
}

fn restrict_dataset(dataset: &mut DeclaredDataset, datasets: &Datasets, taken: &mut Vec<String>) {
    let (id, owner) = (dataset.id.get_ref().clone(), dataset.owner.get_ref().clone());
    let bases = dataset.basis.clone().unwrap_or_default();
    let mut entries = datasets.entries.iter().filter(|entry| text_of(entry, "id") == Some(id.as_str())).peekable();
    let absent = entries.peek().is_none() && datasets.complete;
    let mut left = if absent { Vec::new() } else { bases.clone() };
    for entry in entries {
        if text_of(entry, "owner").is_some_and(|named| named != owner) {
            left.clear();
        } else if let Some(bases) = rules::bases_of(entry, "basis") {
            left = rules::narrowed_bases(&left, &bases);
        }
    }
    if !rules::same_bases(&left, &bases) {
        taken.push(match left.is_empty() {
            true => format!("system {owner:?} may no longer push dataset {id:?}"),
            false => format!("dataset {id:?} has less of a legal basis"),
        });
        dataset.basis = Some(left);
    }
}

/// A value that has no place in a text.
fn placed<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
