//! The registry of systems (接続システム台帳).

use std::fmt;

use atena_domain::SystemId;
use jiff::civil::Date;

use crate::legal_basis::{LegalBasis, citations_in_force};

/// What the log calls the caller where a person called with their own certificate: no registered system has this id.
pub const PERSON_CALLER: &str = "person";

/// A registered system.
#[derive(Debug, Clone)]
pub struct System {
    pub(crate) id: SystemId,
    pub(crate) name: String,
    pub(crate) division: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) unified_address_number: bool,
    pub(crate) protected_address: bool,
    pub(crate) reconstruct_transfers: bool,
    pub(crate) personal_number_bases: Vec<LegalBasis>,
    pub(crate) revoked: bool,
}

/// What a system may do besides registering people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Owns datasets and pushes them (所管).
    DatasetOwner,
    /// Is told what rules release (移転先).
    Consumer,
    /// Reads the transfer log, and nothing else (監査).
    Auditor,
    /// Decides who is who and converts numbers (宛名管理者).
    AddressAdministrator,
    /// A place where people sign in (端末). Does nothing by itself: only whoever signed in there does.
    Console,
}

// === impl System ===

impl System {
    /// The id, as in the certificate.
    #[must_use]
    pub fn id(&self) -> &SystemId {
        &self.id
    }

    /// The name in Japanese, e.g. 国民年金システム.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The division that runs it (部署).
    #[must_use]
    pub fn division(&self) -> &str {
        &self.division
    }

    /// The roles, sorted, each once.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// Whether the system has this role.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether a legal basis for using personal numbers is in force (番号法第9条).
    #[must_use]
    pub fn may_use_personal_number(&self, today: Date) -> bool {
        self.personal_number_basis(today).is_some()
    }

    /// The legal bases for using personal numbers, whether in force or not.
    #[must_use]
    pub fn personal_number_bases(&self) -> &[LegalBasis] {
        &self.personal_number_bases
    }

    /// Whether answers to this system may hold the unified address number (団体内統合宛名番号).
    #[must_use]
    pub fn receives_unified_address_number(&self) -> bool {
        self.unified_address_number
    }

    /// Whether this system sees the address of a person under support measures (支援措置対象者).
    #[must_use]
    pub fn sees_protected_address(&self) -> bool {
        self.protected_address
    }

    /// Whether its registration is revoked: it stays in the registry for the log's sake and may do nothing.
    #[must_use]
    pub fn revoked(&self) -> bool {
        self.revoked
    }

    pub(crate) fn personal_number_basis(&self, today: Date) -> Option<String> {
        citations_in_force(&self.personal_number_bases, today)
    }
}

// === impl Role ===

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::DatasetOwner, Self::Consumer, Self::Auditor, Self::AddressAdministrator, Self::Console];

    /// The name as in `policy.toml`, e.g. `dataset_owner`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DatasetOwner => "dataset_owner",
            Self::Consumer => "consumer",
            Self::Auditor => "auditor",
            Self::AddressAdministrator => "address_administrator",
            Self::Console => "console",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
