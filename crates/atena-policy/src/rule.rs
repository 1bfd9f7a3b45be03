//! Release rules (移転のルール), compiled.

use std::sync::Arc;

use atena_domain::{Affair, Dataset, SystemId};
use jiff::civil::Date;

use crate::filter::FieldFilter;
use crate::legal_basis::{LegalBasis, Validity, citations_in_force};

/// One rule: these consumers may have these fields for this affair.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) consumers: Vec<SystemId>,
    pub(crate) affair: Affair,
    pub(crate) purpose: Option<String>,
    pub(crate) validity: Validity,
    pub(crate) bases: Vec<LegalBasis>,
    pub(crate) releases: Vec<ReleasedDataset>,
}

/// What a rule releases of one dataset.
#[derive(Debug, Clone)]
pub struct ReleasedDataset {
    pub(crate) dataset: Dataset,
    pub(crate) field_names: Arc<[String]>,
    pub(crate) filter: Arc<FieldFilter>,
    pub(crate) holds_personal_number: bool,
}

// === impl Rule ===

impl Rule {
    /// The id, e.g. `transfer-1`; unique together with the version.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name, e.g. 移転先1.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version, from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Who may have it.
    #[must_use]
    pub fn consumers(&self) -> &[SystemId] {
        &self.consumers
    }

    /// The affair (事務) it is for.
    #[must_use]
    pub fn affair(&self) -> &Affair {
        &self.affair
    }

    /// What for, in words (利用目的); for readers only.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.purpose.as_deref()
    }

    /// First day of validity.
    #[must_use]
    pub fn valid_from(&self) -> Date {
        self.validity.from
    }

    /// Last day of validity; `None` while it has none.
    #[must_use]
    pub fn valid_to(&self) -> Option<Date> {
        self.validity.to
    }

    /// The citations, whether in force or not.
    #[must_use]
    pub fn bases(&self) -> &[LegalBasis] {
        &self.bases
    }

    /// What it releases, by dataset.
    #[must_use]
    pub fn releases(&self) -> &[ReleasedDataset] {
        &self.releases
    }

    /// The citations in force, joined; `None` where the rule itself or all of its bases are not in force, so that nothing leaves.
    pub(crate) fn basis_in_force(&self, today: Date) -> Option<String> {
        if !self.validity.contains(today) {
            return None;
        }
        citations_in_force(&self.bases, today)
    }
}

// === impl ReleasedDataset ===

impl ReleasedDataset {
    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        self.dataset
    }

    /// Paths of the released fields in the order of the contract.
    #[must_use]
    pub fn field_names(&self) -> &[String] {
        &self.field_names
    }
}
