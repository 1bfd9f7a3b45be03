//! The proof: every decision there is, asked of the compiled policy and compared with the rules as written.

use std::collections::BTreeSet;
use std::fmt;

use atena_domain::{Affair, Dataset, SystemId};
use jiff::civil::Date;

use crate::catalog::{CatalogField, FieldCatalog, Sensitivity};
use crate::declaration::{Declaration, DeclaredBasis, DeclaredRule, DeclaredSystem, day};
use crate::policy::Policy;
use crate::probe::Probe;
use crate::system::Role;

#[cfg(test)]
mod tests;

/// What was proved: on one day, for every system, affair, dataset and field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Combinations of system, affair, dataset and field.
    pub cases: u64,
    /// Those of them that are released.
    pub released: u64,
    /// The policy's hash.
    pub hash: [u8; 32],
}

/// A combination for which the compiled policy does not do what the rules say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Counterexample {
    /// The invariant that does not hold.
    pub invariant: Invariant,
    /// The system that asks.
    pub system: SystemId,
    /// The affair it asks for.
    pub affair: Affair,
    /// The dataset.
    pub dataset: Dataset,
    /// Path of the field; empty for a field that is in no catalogue.
    pub field: String,
    /// The day.
    pub day: Date,
}

/// What is proved of each combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// A field leaves if and only if a rule in force names it.
    DenyByDefault,
    /// No personal number leaves to a system without a legal basis in force.
    NumberConfinement,
}

/// One question to the policy.
struct Question<'a> {
    system: &'a SystemId,
    affair: &'a Affair,
    dataset: Dataset,
    day: Date,
}

// === impl Policy ===

impl Policy {
    /// Proves, by trying every combination on an encoded message with every field set, that the compiled decisions release exactly
    /// what the rules as written release on `today`, and no personal number to a system without a legal basis for it.
    ///
    /// [`Policy::compile`] does it already, with the catalogue it is given.
    ///
    /// # Errors
    ///
    /// The first combination that breaks an invariant.
    pub fn prove(&self, catalog: &FieldCatalog, today: Date) -> Result<Proof, Counterexample> {
        let mut proof = Proof { cases: 0, released: 0, hash: self.hash };
        // Datasets that the contract lacks are asked for as well: nothing may come of it.
        let datasets: BTreeSet<_> = catalog.datasets().chain(Dataset::ALL.iter().copied()).collect();
        for dataset in datasets {
            let fields = catalog.fields(dataset);
            let probe = Probe::of(fields);
            for system in self.systems.keys() {
                for affair in &self.affairs {
                    let question = Question { system, affair, dataset, day: today };
                    proof.cases += fields.len() as u64;
                    proof.released += self.prove_one(&question, fields, &probe)?;
                }
            }
        }
        Ok(proof)
    }

    /// `today` and every later day on which a rule or a legal basis begins or has ended.
    pub(crate) fn days_of_change(&self, today: Date) -> BTreeSet<Date> {
        let rules =
            self.rules.iter().flat_map(|rule| rule.bases.iter().map(|basis| basis.validity()).chain([rule.validity]));
        let systems =
            self.systems.values().flat_map(|system| system.personal_number_bases.iter().map(|basis| basis.validity()));
        rules
            .chain(systems)
            .flat_map(|validity| [Some(validity.from), validity.to.and_then(|last| last.tomorrow().ok())])
            .flatten()
            .filter(|day| *day > today)
            .chain([today])
            .collect()
    }

    fn prove_one(
        &self,
        question: &Question<'_>,
        fields: &[CatalogField],
        probe: &Probe,
    ) -> Result<u64, Counterexample> {
        let released = match self.authorize_release(question.system, question.affair, question.dataset, question.day) {
            Err(_) => BTreeSet::new(),
            Ok(permit) => {
                let outcome = probe
                    .through(permit.filter())
                    .ok()
                    .filter(|outcome| !outcome.unknown_released)
                    .ok_or_else(|| question.broken(Invariant::DenyByDefault, ""))?;
                outcome.released
            }
        };
        let written = question.written(&self.declared, fields);
        let may_use_number = question.may_use_number(&self.declared);
        for (position, field) in fields.iter().enumerate() {
            let comes_out = released.contains(&position);
            if comes_out && field.sensitivity == Sensitivity::PersonalNumber && !may_use_number {
                return Err(question.broken(Invariant::NumberConfinement, &field.path));
            }
            if comes_out != written.contains(field.path.as_str()) {
                return Err(question.broken(Invariant::DenyByDefault, &field.path));
            }
        }
        Ok(released.len() as u64)
    }
}

// === impl Question: an independent reading of the rules as written ===

impl Question<'_> {
    /// The paths that the written rules release.
    fn written<'a>(&self, declared: &'a Declaration, fields: &[CatalogField]) -> BTreeSet<&'a str> {
        let consumes = |system: &DeclaredSystem| {
            let role = Role::Consumer.as_str();
            !system.revoked && system.roles.iter().any(|named| named.get_ref() == role)
        };
        if !declared.systems.iter().any(|system| self.names(system.id.get_ref()) && consumes(system)) {
            return BTreeSet::new();
        }
        let number_fields: BTreeSet<_> = fields
            .iter()
            .filter(|field| field.sensitivity == Sensitivity::PersonalNumber)
            .map(|field| field.path.as_str())
            .collect();
        let mut paths = BTreeSet::new();
        for rule in declared.rules.iter().filter(|rule| self.applies(rule)) {
            let named: BTreeSet<_> = rule
                .release
                .iter()
                .filter(|(dataset, _)| dataset.get_ref() == self.dataset.as_str())
                .flat_map(|(_, paths)| paths.iter().map(|path| path.get_ref().as_str()))
                .collect();
            // A rule with a personal number in it is a whole: without a basis for the number nothing of it leaves.
            if named.is_disjoint(&number_fields) || self.may_use_number(declared) {
                paths.extend(named);
            }
        }
        paths
    }

    fn may_use_number(&self, declared: &Declaration) -> bool {
        declared
            .systems
            .iter()
            .filter(|system| self.names(system.id.get_ref()))
            .flat_map(|system| &system.personal_number_basis)
            .any(|basis| self.in_force(basis))
    }

    fn names(&self, system: &str) -> bool {
        system == self.system.as_str()
    }

    fn applies(&self, rule: &DeclaredRule) -> bool {
        let begun = day(rule.valid_from.get_ref()).is_some_and(|first| first <= self.day);
        let going_on =
            rule.valid_to.as_ref().is_none_or(|last| day(last.get_ref()).is_some_and(|last| self.day <= last));
        rule.affair.get_ref() == self.affair.as_str()
            && rule.consumers.get_ref().iter().any(|consumer| self.names(consumer.get_ref()))
            && begun
            && going_on
            && rule.basis.iter().flatten().any(|basis| self.in_force(basis))
    }

    fn in_force(&self, basis: &DeclaredBasis) -> bool {
        day(basis.valid_from.get_ref()).is_some_and(|first| first <= self.day)
            && basis.valid_to.as_ref().is_none_or(|last| day(last.get_ref()).is_some_and(|last| self.day <= last))
    }

    fn broken(&self, invariant: Invariant, field: &str) -> Counterexample {
        Counterexample {
            invariant,
            system: self.system.clone(),
            affair: self.affair.clone(),
            dataset: self.dataset,
            field: field.to_owned(),
            day: self.day,
        }
    }
}

// === impl Counterexample ===

impl fmt::Display for Counterexample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "(a field of no catalogue)" } else { &self.field };
        write!(
            formatter,
            "{} does not hold on {}: system {}, affair {}, dataset {}, field {field}",
            self.invariant,
            self.day,
            self.system.as_str(),
            self.affair.as_str(),
            self.dataset.as_str(),
        )
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::DenyByDefault => "deny-by-default",
            Self::NumberConfinement => "number-confinement",
        })
    }
}
