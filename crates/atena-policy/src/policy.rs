//! The compiled policy and what can be read from it. The decisions are in `authorize.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use atena_domain::{Affair, Dataset, MunicipalityCode, SystemId};
use jiff::civil::Date;

use crate::declaration::Declaration;
use crate::legal_basis::LegalBasis;
use crate::permit::RulesPermit;
use crate::problem::Problem;
use crate::rule::{ReleasedDataset, Rule};
use crate::system::System;

/// The registry of systems and the release rules of one municipality, checked, compiled and proved.
#[derive(Debug)]
pub struct Policy {
    pub(crate) municipality_code: MunicipalityCode,
    pub(crate) systems: BTreeMap<SystemId, System>,
    pub(crate) datasets: BTreeMap<Dataset, OwnedDataset>,
    pub(crate) registration: Registration,
    pub(crate) rules: Vec<Arc<Rule>>,
    /// The rules by who may profit from them.
    pub(crate) grants: HashMap<SystemId, Vec<Grant>>,
    pub(crate) affairs: BTreeSet<Affair>,
    pub(crate) hash: [u8; 32],
    /// The rules as written: the proof reads these, the decisions never do.
    pub(crate) declared: Declaration,
    pub(crate) warnings: Vec<Problem>,
}

/// What a consumer may have now: one rule in force and one dataset (ListEntitlements).
#[derive(Debug, Clone)]
pub struct Entitlement {
    /// Rule id, e.g. `transfer-1`.
    pub rule_id: String,
    /// Name of the rule, e.g. 移転先1.
    pub rule_name: String,
    /// Version of the rule, from 1.
    pub rule_version: u32,
    /// The affair (事務).
    pub affair: Affair,
    /// The dataset.
    pub dataset: Dataset,
    /// Paths of the fields in the order of the contract.
    pub fields: Arc<[String]>,
    /// The citations in force.
    pub bases: Vec<LegalBasis>,
    /// First day of the rule.
    pub valid_from: Date,
    /// Last day of the rule; `None` while it has none.
    pub valid_to: Option<Date>,
}

/// Who owns a dataset, and why.
#[derive(Debug)]
pub(crate) struct OwnedDataset {
    pub(crate) owner: SystemId,
    pub(crate) affair: Affair,
    pub(crate) bases: Vec<LegalBasis>,
}

/// What is recorded with registrations.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) affair: Affair,
    pub(crate) bases: Vec<LegalBasis>,
}

/// One dataset of one rule.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) rule: Arc<Rule>,
    pub(crate) release: ReleasedDataset,
}

// === impl Policy ===

impl Policy {
    pub(crate) fn assemble(
        declared: Declaration,
        municipality_code: MunicipalityCode,
        systems: BTreeMap<SystemId, System>,
        datasets: BTreeMap<Dataset, OwnedDataset>,
        registration: Registration,
        rules: Vec<Rule>,
        hash: [u8; 32],
    ) -> Self {
        let rules: Vec<_> = rules.into_iter().map(Arc::new).collect();
        let mut grants: HashMap<SystemId, Vec<Grant>> = HashMap::new();
        for rule in &rules {
            for consumer in &rule.consumers {
                let granted =
                    rule.releases.iter().map(|release| Grant { rule: Arc::clone(rule), release: release.clone() });
                grants.entry(consumer.clone()).or_default().extend(granted);
            }
        }
        let affairs = rules
            .iter()
            .map(|rule| &rule.affair)
            .chain(datasets.values().map(|dataset| &dataset.affair))
            .chain([&registration.affair])
            .cloned()
            .collect();
        Self {
            municipality_code,
            systems,
            datasets,
            registration,
            rules,
            grants,
            affairs,
            hash,
            declared,
            warnings: Vec::new(),
        }
    }

    /// The municipality (全国地方公共団体コード) whose policy this is.
    #[must_use]
    pub fn municipality_code(&self) -> &MunicipalityCode {
        &self.municipality_code
    }

    /// The registry entry of a system, revoked or not.
    #[must_use]
    pub fn system(&self, id: &SystemId) -> Option<&System> {
        self.systems.get(id)
    }

    /// Every registered system, by id.
    pub fn systems(&self) -> impl Iterator<Item = &System> {
        self.systems.values()
    }

    /// The system that owns a dataset; `None` for dataset `person`, of which every system registers its own view.
    #[must_use]
    pub fn owner(&self, dataset: Dataset) -> Option<&SystemId> {
        self.datasets.get(&dataset).map(|owned| &owned.owner)
    }

    /// What releases less than the file may seem to say, in the order of the file: a rule that names a revoked system. None of it keeps
    /// the policy from being used.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Every rule, in the order of the file, in force or not.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(AsRef::as_ref)
    }

    /// Whether a rule, a dataset or the registration names this affair (事務).
    #[must_use]
    pub fn knows_affair(&self, affair: &Affair) -> bool {
        self.affairs.contains(affair)
    }

    /// SHA-256 of what was compiled, in a canonical form: comments, order and layout of the file do not change it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// What a system may have today, as [`Policy::authorize_release`] decides; empty for an unknown or revoked one.
    #[must_use]
    pub fn entitlements(&self, caller: &SystemId, today: Date) -> Vec<Entitlement> {
        let granted = self.grants.get(caller).map(Vec::as_slice).unwrap_or_default();
        granted
            .iter()
            .filter(|grant| grant.rule.validity.contains(today))
            .filter(|grant| {
                self.authorize_release(caller, &grant.rule.affair, grant.release.dataset, today)
                    .is_ok_and(|permit| permit.rule_id == grant.rule.id && permit.rule_version == grant.rule.version)
            })
            .map(|grant| Entitlement {
                rule_id: grant.rule.id.clone(),
                rule_name: grant.rule.name.clone(),
                rule_version: grant.rule.version,
                affair: grant.rule.affair.clone(),
                dataset: grant.release.dataset,
                fields: Arc::clone(&grant.release.field_names),
                bases: grant.rule.bases.iter().filter(|basis| basis.in_force(today)).cloned().collect(),
                valid_from: grant.rule.validity.from,
                valid_to: grant.rule.validity.to,
            })
            .collect()
    }
    /// What every system may have today, by system: for those who answer for the rules.
    #[must_use]
    pub fn rules_in_force(&self, _permit: &RulesPermit, today: Date) -> Vec<(SystemId, Entitlement)> {
        let of =
            |system: &SystemId| self.entitlements(system, today).into_iter().map(|it| (system.clone(), it)).collect();
        self.systems.keys().flat_map(|system| -> Vec<_> { of(system) }).collect()
    }
}
