//! One account, its roles, and the rights that a role gives.

use std::fmt;

use atena_domain::OperatorId;
use jiff::civil::Date;

/// The account of one person. It holds no name: who the id belongs to is in the personnel records of the municipality.
#[derive(Debug, Clone)]
pub struct Account {
    pub(super) id: OperatorId,
    pub(super) division: String,
    pub(super) roles: Vec<PersonRole>,
    pub(super) certificate: bool,
    pub(super) oidc_subject: Option<String>,
    pub(super) valid_from: Date,
    pub(super) expires: Date,
}

/// What a person is there for. A closed list; what is not in [`PersonRole::rights`] a role does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PersonRole {
    /// 運用担当者: runs the machine. No call of the contract.
    Operator,
    /// 情報管理者: answers for the release rules of a division.
    InformationManager,
    /// 監査人: reads the transfer log and its proofs, never content.
    Auditor,
    /// 監査人(内容の復元を含む): an auditor who may also be shown what a transfer sent.
    AuditorWithContent,
}

/// What a call needs of a person. Calls that no person may make need no right: there is none for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// To ask the transfer log, and for its proofs.
    ReadLog,
    /// To be shown the exact content of a transfer again.
    Reconstruct,
    /// To read the release rules in force, of every system.
    ReadRules,
}

// === impl Account ===

impl Account {
    /// 操作者ID.
    #[must_use]
    pub fn id(&self) -> &OperatorId {
        &self.id
    }

    /// 部署.
    #[must_use]
    pub fn division(&self) -> &str {
        &self.division
    }

    /// The roles, sorted, each once.
    #[must_use]
    pub fn roles(&self) -> &[PersonRole] {
        &self.roles
    }

    /// Whether this person signs in with a client certificate (an IC card, say).
    #[must_use]
    pub fn signs_in_with_certificate(&self) -> bool {
        self.certificate
    }

    /// Whether this person signs in at the provider of the settings (OpenID Connect).
    #[must_use]
    pub fn signs_in_with_provider(&self) -> bool {
        self.oidc_subject.is_some()
    }

    /// First day, in Japan.
    #[must_use]
    pub fn valid_from(&self) -> Date {
        self.valid_from
    }

    /// Last day, in Japan: the account ends when this day does.
    #[must_use]
    pub fn expires(&self) -> Date {
        self.expires
    }

    /// Whether it has begun and not ended on this day.
    #[must_use]
    pub fn in_force(&self, today: Date) -> bool {
        self.valid_from <= today && today <= self.expires
    }

    pub(super) fn has(&self, right: Right) -> bool {
        self.roles.iter().any(|role| role.rights().contains(&right))
    }
}

// === impl PersonRole ===

impl PersonRole {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Operator, Self::InformationManager, Self::Auditor, Self::AuditorWithContent];

    /// The name as in `people.toml`, e.g. `information-manager`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::InformationManager => "information-manager",
            Self::Auditor => "auditor",
            Self::AuditorWithContent => "auditor-with-content",
        }
    }

    /// What the role gives, and all that it gives.
    #[must_use]
    pub fn rights(self) -> &'static [Right] {
        match self {
            Self::Operator => &[],
            Self::InformationManager => &[Right::ReadRules],
            Self::Auditor => &[Right::ReadLog],
            Self::AuditorWithContent => &[Right::ReadLog, Right::Reconstruct],
        }
    }

    /// Whether the role audits what the others do (職務分離).
    pub(super) fn audits(self) -> bool {
        matches!(self, Self::Auditor | Self::AuditorWithContent)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for PersonRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
