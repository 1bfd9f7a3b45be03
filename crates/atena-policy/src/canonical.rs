//! The hash of a policy: over its compiled content in a form of its own, so that comments and layout don't count.

use std::collections::BTreeMap;

use atena_domain::{Dataset, MunicipalityCode, SystemId};
use sha2::{Digest, Sha256};

use crate::catalog::FieldCatalog;
use crate::legal_basis::{LegalBasis, Validity};
use crate::policy::{OwnedDataset, Registration};
use crate::rule::Rule;
use crate::system::System;

/// Writes values so that no two sequences of values give the same bytes: texts and lists begin with their length.
struct Writer(Sha256);

/// Names the form. A change of the form below must change it.
const DOMAIN: &str = "atena/v1/policy";

/// SHA-256 of the canonical form.
pub(crate) fn hash(
    municipality_code: &MunicipalityCode,
    systems: &BTreeMap<SystemId, System>,
    datasets: &BTreeMap<Dataset, OwnedDataset>,
    registration: &Registration,
    rules: &[Rule],
    catalog: &FieldCatalog,
) -> [u8; 32] {
    let mut writer = Writer(Sha256::new());
    writer.text(DOMAIN);
    writer.text(municipality_code.as_str());
    writer.length(systems.len());
    systems.values().for_each(|system| writer.system(system));
    writer.length(datasets.len());
    for (dataset, owned) in datasets {
        writer.text(dataset.as_str());
        writer.text(owned.owner.as_str());
        writer.text(owned.affair.as_str());
        writer.bases(&owned.bases);
    }
    writer.text(registration.affair.as_str());
    writer.bases(&registration.bases);
    let mut sorted: Vec<_> = rules.iter().collect();
    sorted.sort_by_key(|rule| (rule.id.as_str(), rule.version));
    writer.length(sorted.len());
    sorted.into_iter().for_each(|rule| writer.rule(rule, catalog));
    writer.0.finalize().into()
}

// === impl Writer ===

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text);
    }

    fn flag(&mut self, flag: bool) {
        self.number(u64::from(flag));
    }

    fn validity(&mut self, validity: Validity) {
        self.text(&validity.from.to_string());
        self.text(&validity.to.map(|day| day.to_string()).unwrap_or_default());
    }

    /// In the order of the file: the log joins citations in that order.
    fn bases(&mut self, bases: &[LegalBasis]) {
        self.length(bases.len());
        for basis in bases {
            self.text(&basis.citation);
            self.validity(basis.validity());
        }
    }

    fn system(&mut self, system: &System) {
        self.text(system.id.as_str());
        self.text(&system.name);
        self.text(&system.division);
        self.length(system.roles.len());
        system.roles.iter().for_each(|role| self.text(role.as_str()));
        self.flag(system.unified_address_number);
        self.flag(system.protected_address);
        self.flag(system.reconstruct_transfers);
        self.flag(system.revoked);
        self.bases(&system.personal_number_bases);
    }

    fn rule(&mut self, rule: &Rule, catalog: &FieldCatalog) {
        self.text(&rule.id);
        self.number(u64::from(rule.version));
        self.text(&rule.name);
        self.text(rule.affair.as_str());
        self.text(rule.purpose.as_deref().unwrap_or_default());
        self.validity(rule.validity);
        self.bases(&rule.bases);
        let mut consumers: Vec<_> = rule.consumers.iter().collect();
        consumers.sort();
        self.length(consumers.len());
        consumers.into_iter().for_each(|consumer| self.text(consumer.as_str()));
        let mut releases: Vec<_> = rule.releases.iter().collect();
        releases.sort_by_key(|release| release.dataset);
        self.length(releases.len());
        for release in releases {
            self.text(release.dataset.as_str());
            self.length(release.field_names.len());
            // Where a field is on the wire counts as well: the filter goes by it.
            for field in release.field_names.iter().filter_map(|path| catalog.field(release.dataset, path)) {
                self.text(&field.path);
                self.text(field.sensitivity.as_str());
                self.length(field.numbers.len());
                field.numbers.iter().for_each(|number| self.number(u64::from(*number)));
            }
        }
    }
}
