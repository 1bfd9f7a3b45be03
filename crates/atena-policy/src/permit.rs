//! Decisions as types. Holding one is the proof that the policy said yes; nothing outside this crate can make one.

use std::sync::Arc;

use atena_domain::{Affair, Dataset, OperatorId, SystemId};

use crate::catalog::FieldCatalog;
use crate::filter::FieldFilter;

/// Permission to release records of one dataset to one system for one affair (移転の許可).
///
/// It carries exactly what it was given for. It is made by [`Policy::authorize_release`](crate::Policy::authorize_release) for one
/// day and is meant to live as long as one call, so it is not `Clone`.
#[derive(Debug)]
pub struct ReleasePermit {
    pub(crate) caller: SystemId,
    pub(crate) division: String,
    pub(crate) affair: Affair,
    pub(crate) dataset: Dataset,
    pub(crate) rule_id: String,
    pub(crate) rule_version: u32,
    pub(crate) basis: String,
    pub(crate) filter: Arc<FieldFilter>,
    pub(crate) field_names: Arc<[String]>,
    pub(crate) policy_hash: [u8; 32],
    pub(crate) personal_number_basis: Option<String>,
}

/// Permission to store records of one dataset: the caller is its owner (所管).
#[derive(Debug)]
pub struct PushPermit {
    pub(crate) owner: SystemId,
    pub(crate) division: String,
    pub(crate) dataset: Dataset,
    pub(crate) affair: Affair,
    pub(crate) basis: String,
}

/// Permission to register people and to update the caller's own view of them (宛名登録).
#[derive(Debug)]
pub struct RegistrationPermit {
    pub(crate) caller: SystemId,
    pub(crate) division: String,
    pub(crate) affair: Affair,
    pub(crate) basis: String,
    pub(crate) personal_number_basis: Option<String>,
}

/// Permission to use personal numbers (個人番号利用事務, 番号法第9条): what the vault demands before it opens or looks one up.
///
/// Obtained only from a [`ReleasePermit`] or a [`RegistrationPermit`] of a system with a legal basis in force
/// (invariant *number-confinement*).
#[derive(Debug)]
pub struct PersonalNumberPermit {
    caller: SystemId,
    basis: String,
}

/// Permission to convert between the caller's own numbers and unified address numbers (団体内統合宛名番号).
#[derive(Debug)]
pub struct ResolvePermit {
    pub(crate) caller: SystemId,
}

/// Permission to read the transfer log (監査). It opens no pension data and no personal number.
#[derive(Debug)]
pub struct AuditPermit {
    pub(crate) auditor: Auditor,
}

/// Permission to be shown the exact content of a transfer again (監査; 復元). Each use is itself recorded.
#[derive(Debug)]
pub struct ReconstructPermit {
    pub(crate) auditor: Auditor,
}

/// Who audits: a system that was registered for it, or a person who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auditor {
    /// A system with role `auditor`.
    System(SystemId),
    /// A person whose account has such a role.
    Person(OperatorId),
}

/// Permission to read the release rules of every system (情報管理者). It opens no data of anybody.
#[derive(Debug)]
pub struct RulesPermit {
    pub(crate) reader: OperatorId,
}

/// Permission to act on the system at the machine (運用担当者). It opens no data of anybody, and no call of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorPermit {
    pub(crate) operator: OperatorId,
}

/// Permission to merge people and to decide review cases (名寄せ; 宛名管理者).
#[derive(Debug)]
pub struct AddressAdminPermit {
    pub(crate) caller: SystemId,
}

// === impl ReleasePermit ===

impl ReleasePermit {
    /// The system that may be told.
    #[must_use]
    pub fn caller(&self) -> &SystemId {
        &self.caller
    }

    /// The caller's division (部署).
    #[must_use]
    pub fn division(&self) -> &str {
        &self.division
    }

    /// The affair (事務) it may be told for.
    #[must_use]
    pub fn affair(&self) -> &Affair {
        &self.affair
    }

    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        self.dataset
    }

    /// The rule that allows it, e.g. `transfer-1`.
    #[must_use]
    pub fn rule_id(&self) -> &str {
        &self.rule_id
    }

    /// The version of that rule, from 1.
    #[must_use]
    pub fn rule_version(&self) -> u32 {
        self.rule_version
    }

    /// The citations in force on the day of the decision, joined by `; ` (法令上の根拠).
    #[must_use]
    pub fn basis(&self) -> &str {
        &self.basis
    }

    /// Lets the allowed fields through and nothing else.
    #[must_use]
    pub fn filter(&self) -> &FieldFilter {
        &self.filter
    }

    /// Paths of the allowed fields in the order of the contract, e.g. `months.status`.
    #[must_use]
    pub fn field_names(&self) -> Arc<[String]> {
        Arc::clone(&self.field_names)
    }

    /// SHA-256 of the policy that decided; see [`Policy::hash`](crate::Policy::hash).
    #[must_use]
    pub fn policy_hash(&self) -> [u8; 32] {
        self.policy_hash
    }

    /// Whether another decision allows exactly the same, on the same rule and bases; the rest of the policy may differ.
    #[must_use]
    pub fn allows_the_same_as(&self, other: &Self) -> bool {
        let Self {
            caller,
            division,
            affair,
            dataset,
            rule_id,
            rule_version,
            basis,
            filter: _,
            field_names,
            policy_hash: _,
            personal_number_basis,
        } = self;
        // The filter is made from the field names.
        (caller, division, affair, dataset) == (&other.caller, &other.division, &other.affair, &other.dataset)
            && (rule_id, rule_version, basis) == (&other.rule_id, &other.rule_version, &other.basis)
            && (field_names, personal_number_basis) == (&other.field_names, &other.personal_number_basis)
    }

    /// Permission to open the person's number: only where this permit releases the personal number of dataset `person` and the caller
    /// had a legal basis in force on the day of the decision.
    #[must_use]
    pub fn personal_number(&self) -> Option<PersonalNumberPermit> {
        PersonalNumberPermit::on(&self.caller, self.personal_number_basis.as_deref())
    }
}

// === impl PushPermit ===

impl PushPermit {
    /// The owner of the dataset, who calls.
    #[must_use]
    pub fn owner(&self) -> &SystemId {
        &self.owner
    }

    /// The owner's division (部署).
    #[must_use]
    pub fn division(&self) -> &str {
        &self.division
    }

    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        self.dataset
    }

    /// The affair (事務) in which the owner keeps it.
    #[must_use]
    pub fn affair(&self) -> &Affair {
        &self.affair
    }

    /// The citations in force on the day of the decision, joined by `; `.
    #[must_use]
    pub fn basis(&self) -> &str {
        &self.basis
    }

    /// What a reader of these fields sees of the owner's records: for deciding, when a record
    /// changes, whether that reader can see a difference. `None` where the contract no longer knows
    /// one of the fields.
    #[must_use]
    pub fn view(&self, catalog: &FieldCatalog, fields: &[String]) -> Option<FieldFilter> {
        filter_of(catalog, self.dataset, fields)
    }
}

// === impl RegistrationPermit ===

impl RegistrationPermit {
    /// The system that registers.
    #[must_use]
    pub fn caller(&self) -> &SystemId {
        &self.caller
    }

    /// The caller's division (部署).
    #[must_use]
    pub fn division(&self) -> &str {
        &self.division
    }

    /// The affair (事務) of registrations, e.g. 宛名管理事務.
    #[must_use]
    pub fn affair(&self) -> &Affair {
        &self.affair
    }

    /// The citations in force on the day of the decision, joined by `; `.
    #[must_use]
    pub fn basis(&self) -> &str {
        &self.basis
    }

    /// Whether the registration may carry a personal number.
    #[must_use]
    pub fn may_use_personal_number(&self) -> bool {
        self.personal_number_basis.is_some()
    }

    /// Permission to use the number it carries; `None` for a system without a legal basis in force.
    #[must_use]
    pub fn personal_number(&self) -> Option<PersonalNumberPermit> {
        PersonalNumberPermit::on(&self.caller, self.personal_number_basis.as_deref())
    }
}

// === impl PersonalNumberPermit ===

impl PersonalNumberPermit {
    fn on(caller: &SystemId, basis: Option<&str>) -> Option<Self> {
        basis.map(|basis| Self { caller: caller.clone(), basis: basis.to_owned() })
    }

    /// The system that may use the number.
    #[must_use]
    pub fn caller(&self) -> &SystemId {
        &self.caller
    }

    /// The caller's citations for using personal numbers, in force on the day of the decision, joined by `; `.
    #[must_use]
    pub fn basis(&self) -> &str {
        &self.basis
    }
}

// === impl ResolvePermit ===

impl ResolvePermit {
    /// The system that may convert.
    #[must_use]
    pub fn caller(&self) -> &SystemId {
        &self.caller
    }
}

// === impl AuditPermit ===

impl AuditPermit {
    /// Who audits.
    #[must_use]
    pub fn auditor(&self) -> &Auditor {
        &self.auditor
    }
}

// === impl ReconstructPermit ===

impl ReconstructPermit {
    /// Who audits.
    #[must_use]
    pub fn auditor(&self) -> &Auditor {
        &self.auditor
    }

    /// What a transfer of `dataset` with these fields let through; `None` where the contract no longer knows one of them.
    #[must_use]
    pub fn filter(&self, catalog: &FieldCatalog, dataset: Dataset, fields: &[String]) -> Option<FieldFilter> {
        filter_of(catalog, dataset, fields)
    }
}

/// A filter of these fields; `None` where one of them is not in the contract.
fn filter_of(catalog: &FieldCatalog, dataset: Dataset, fields: &[String]) -> Option<FieldFilter> {
    let known = catalog.fields(dataset);
    let numbers = fields
        .iter()
        .map(|path| known.iter().find(|field| field.path == *path).map(|field| field.numbers.as_slice()))
        .collect::<Option<Vec<_>>>()?;
    Some(FieldFilter::allowing(numbers))
}

// === impl RulesPermit ===

impl RulesPermit {
    /// Who reads them.
    #[must_use]
    pub fn reader(&self) -> &OperatorId {
        &self.reader
    }
}

// === impl OperatorPermit ===

impl OperatorPermit {
    /// Who acts.
    #[must_use]
    pub fn operator(&self) -> &OperatorId {
        &self.operator
    }
}

// === impl AddressAdminPermit ===

impl AddressAdminPermit {
    /// The address administrator.
    #[must_use]
    pub fn caller(&self) -> &SystemId {
        &self.caller
    }
}
