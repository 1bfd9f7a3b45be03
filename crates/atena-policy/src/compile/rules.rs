//! Rules.

use std::sync::Arc;

use atena_domain::{Affair, Dataset, SystemId};
use toml::Spanned;

use super::Compiler;
use super::registry::Systems;
use crate::catalog::{CatalogField, Sensitivity};
use crate::declaration::DeclaredRule;
use crate::filter::FieldFilter;
use crate::legal_basis::Validity;
use crate::problem::Reason;
use crate::rule::{ReleasedDataset, Rule};
use crate::system::Role;

/// What must not be released twice at the same time.
struct Claim {
    consumer: SystemId,
    affair: Affair,
    dataset: Dataset,
    validity: Validity,
    place: String,
}

/// Characters of a rule id.
const RULE_ID_CHARACTERS_MAX: usize = 64;

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn rules(&mut self, declared: &[DeclaredRule], systems: &Systems) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::with_capacity(declared.len());
        let mut named = Vec::with_capacity(declared.len());
        let mut claims = Vec::new();
        for rule in declared {
            let place = format!("rule {:?}", rule.id.get_ref());
            let key = (rule.id.get_ref().as_str(), *rule.version.get_ref());
            if named.contains(&key) {
                let place = format!("{place} version {}", rule.version.get_ref());
                self.report(rule.id.span().start, Reason::Duplicate { place });
            }
            named.push(key);
            if let Some(compiled) = self.rule(&place, rule, systems) {
                self.claim(&place, rule, &compiled, &mut claims);
                rules.push(compiled);
            }
        }
        rules
    }

    fn rule(&mut self, place: &str, rule: &DeclaredRule, systems: &Systems) -> Option<Rule> {
        let offset = rule.id.span().start;
        self.rule_id(place, rule);
        let name = self.text(place, "name", &rule.name);
        let affair = self.affair(place, &rule.affair);
        let validity = self.validity(place, &rule.valid_from, rule.valid_to.as_ref());
        if let (Some(validity), Some(to)) = (validity, &rule.valid_to)
            && validity.ended(self.today)
        {
            self.report(to.span().start, Reason::RuleEnded { place: place.to_owned() });
        }
        let bases = self.needed_bases(place, offset, rule.basis.as_deref());
        let consumers = self.consumers(place, rule, systems);
        let releases = self.releases(place, rule, &consumers, systems);
        Some(Rule {
            id: rule.id.get_ref().clone(),
            name,
            version: *rule.version.get_ref(),
            consumers,
            affair: affair?,
            purpose: rule.purpose.clone(),
            validity: validity?,
            bases,
            releases,
        })
    }

    fn rule_id(&mut self, place: &str, rule: &DeclaredRule) {
        let id = rule.id.get_ref();
        let allowed = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-');
        if id.is_empty() || id.len() > RULE_ID_CHARACTERS_MAX || !id.chars().all(allowed) {
            let rule_text = "must be 1 to 64 of a-z 0-9 -";
            let reason = Reason::InvalidValue { place: place.to_owned(), key: "id", rule: rule_text };
            self.report(rule.id.span().start, reason);
        }
        if *rule.version.get_ref() == 0 {
            let reason = Reason::InvalidValue { place: place.to_owned(), key: "version", rule: "must be 1 or more" };
            self.report(rule.version.span().start, reason);
        }
    }

    fn consumers(&mut self, place: &str, rule: &DeclaredRule, systems: &Systems) -> Vec<SystemId> {
        if rule.consumers.get_ref().is_empty() {
            let reason = Reason::InvalidValue {
                place: place.to_owned(),
                key: "consumers",
                rule: "must name at least one system",
            };
            self.report(rule.consumers.span().start, reason);
        }
        let mut consumers = Vec::new();
        for declared in rule.consumers.get_ref() {
            let offset = declared.span().start;
            let (place, name) = (place.to_owned(), declared.get_ref().clone());
            let Some(system) = SystemId::parse(&name).ok().and_then(|id| systems.get(&id)) else {
                self.report(offset, Reason::UnknownSystem { place, system: name });
                continue;
            };
            if consumers.contains(&system.id) {
                self.report(offset, Reason::Duplicate { place: format!("{place}: consumer {name:?}") });
                continue;
            }
            consumers.push(system.id.clone());
            // Revocation counts at once, so it never waits until every rule is edited as well.
            if system.revoked {
                self.warn(offset, Reason::ReleaseToRevoked { place, system: name });
            } else if !system.has_role(Role::Consumer) {
                self.report(offset, Reason::MissingRole { place, system: name, role: Role::Consumer });
            }
        }
        consumers
    }

    fn releases(
        &mut self,
        place: &str,
        rule: &DeclaredRule,
        consumers: &[SystemId],
        systems: &Systems,
    ) -> Vec<ReleasedDataset> {
        if rule.release.is_empty() {
            self.report(rule.id.span().start, Reason::EmptyRelease { place: place.to_owned() });
        }
        let mut releases = Vec::with_capacity(rule.release.len());
        for (name, paths) in &rule.release {
            let Ok(dataset) = Dataset::parse(name.get_ref()) else {
                let (place, dataset) = (place.to_owned(), name.get_ref().clone());
                self.report(name.span().start, Reason::UnknownDataset { place, dataset });
                continue;
            };
            if paths.is_empty() {
                let place = format!("{place}: dataset {:?}", name.get_ref());
                self.report(name.span().start, Reason::EmptyRelease { place });
            }
            let fields = self.fields(place, dataset, paths);
            for (offset, field) in &fields {
                if field.sensitivity == Sensitivity::PersonalNumber {
                    self.personal_number_needs_basis(place, *offset, &field.path, consumers, systems);
                }
            }
            releases.push(self.compile_release(dataset, paths));
        }
        releases
    }

    fn fields(&mut self, place: &str, dataset: Dataset, paths: &[Spanned<String>]) -> Vec<(usize, CatalogField)> {
        let catalog = self.catalog;
        let mut fields: Vec<(usize, CatalogField)> = Vec::with_capacity(paths.len());
        for path in paths {
            let offset = path.span().start;
            let (place, name) = (place.to_owned(), path.get_ref().clone());
            match catalog.field(dataset, &name) {
                None => {
                    let dataset = dataset.as_str().to_owned();
                    self.report(offset, Reason::UnknownField { place, field: name, dataset });
                }
                Some(field) if fields.iter().any(|(_, known)| known == field) => {
                    let place = format!("{place}: field {name:?} of dataset {:?}", dataset.as_str());
                    self.report(offset, Reason::Duplicate { place });
                }
                Some(field) => fields.push((offset, field.clone())),
            }
        }
        fields
    }

    fn personal_number_needs_basis(
        &mut self,
        place: &str,
        offset: usize,
        field: &str,
        consumers: &[SystemId],
        systems: &Systems,
    ) {
        for system in consumers.iter().filter_map(|id| systems.get(id)) {
            if !system.revoked && !system.may_use_personal_number(self.today) {
                let reason = Reason::PersonalNumberWithoutBasis {
                    place: place.to_owned(),
                    system: system.id.as_str().to_owned(),
                    field: field.to_owned(),
                };
                self.report(offset, reason);
            }
        }
    }

    /// The filter for the named fields; names in the order of the contract.
    fn compile_release(&self, dataset: Dataset, paths: &[Spanned<String>]) -> ReleasedDataset {
        let named: Vec<_> = self
            .catalog
            .fields(dataset)
            .iter()
            .filter(|field| paths.iter().any(|path| *path.get_ref() == field.path))
            .collect();
        ReleasedDataset {
            dataset,
            field_names: named.iter().map(|field| field.path.clone()).collect(),
            filter: Arc::new(FieldFilter::allowing(named.iter().map(|field| field.numbers.as_slice()))),
            holds_personal_number: named.iter().any(|field| field.sensitivity == Sensitivity::PersonalNumber),
        }
    }

    fn claim(&mut self, place: &str, rule: &DeclaredRule, compiled: &Rule, claims: &mut Vec<Claim>) {
        for consumer in &compiled.consumers {
            for release in &compiled.releases {
                let claim = Claim {
                    consumer: consumer.clone(),
                    affair: compiled.affair.clone(),
                    dataset: release.dataset,
                    validity: compiled.validity,
                    place: format!("{place} version {}", compiled.version),
                };
                if let Some(earlier) = claims.iter().find(|earlier| claim.collides(earlier)) {
                    let reason = Reason::Overlap {
                        place: claim.place.clone(),
                        other: earlier.place.clone(),
                        system: consumer.as_str().to_owned(),
                        affair: compiled.affair.as_str().to_owned(),
                        dataset: release.dataset.as_str(),
                    };
                    self.report(rule.id.span().start, reason);
                }
                claims.push(claim);
            }
        }
    }
}

// === impl Claim ===

impl Claim {
    fn collides(&self, other: &Self) -> bool {
        self.consumer == other.consumer
            && self.affair == other.affair
            && self.dataset == other.dataset
            && self.validity.overlaps(other.validity)
    }
}
