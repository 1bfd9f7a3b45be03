//! The people who may sign in (利用者登録簿, `people.toml`), and what each may do: nothing beyond their roles, and nothing after the last day
//! of their account.

mod account;
mod read;
mod restrict;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use atena_domain::OperatorId;
use jiff::civil::Date;

pub use account::{Account, PersonRole, Right};
pub use read::{AccountsError, AccountsProblem};
pub use restrict::RestrictedAccounts;

use crate::permit::{AuditPermit, Auditor, OperatorPermit, ReconstructPermit, RulesPermit};
use crate::refusal::Refusal;

/// The accounts of one municipality's people.
#[derive(Debug, Default)]
pub struct Accounts {
    by_id: BTreeMap<OperatorId, Account>,
}

// === impl Accounts ===

impl Accounts {
    /// Every account, by id, whether in force or not.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.by_id.values()
    }

    /// Whose client certificate names this account, if they may sign in with one today.
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`]: no such account, or not by certificate. [`Refusal::CallerRevoked`]: it has not begun or has ended.
    pub fn by_certificate(&self, id: &OperatorId, today: Date) -> Result<&Account, Refusal> {
        let account = self.by_id.get(id).filter(|account| account.certificate);
        in_force(account, today)
    }

    /// Whom the provider calls by this subject (OpenID Connect Core §2, `sub`), by exact match.
    ///
    /// # Errors
    ///
    /// As [`Self::by_certificate`].
    pub fn by_subject(&self, subject: &str, today: Date) -> Result<&Account, Refusal> {
        in_force(self.of_subject(subject), today)
    }

    /// The account of this subject, whether in force or not: for the record of a refusal.
    #[must_use]
    pub fn of_subject(&self, subject: &str) -> Option<&Account> {
        self.by_id.values().find(|account| account.oidc_subject.as_deref() == Some(subject))
    }

    /// May this person do what needs `right`?
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`], [`Refusal::CallerRevoked`], [`Refusal::RoleRequired`].
    pub fn authorize(&self, id: &OperatorId, right: Right, today: Date) -> Result<&Account, Refusal> {
        let account = in_force(self.by_id.get(id), today)?;
        if account.has(right) { Ok(account) } else { Err(Refusal::RoleRequired) }
    }

    /// May this person read the transfer log?
    ///
    /// # Errors
    ///
    /// As [`Self::authorize`].
    pub fn authorize_audit(&self, id: &OperatorId, today: Date) -> Result<AuditPermit, Refusal> {
        let account = self.authorize(id, Right::ReadLog, today)?;
        Ok(AuditPermit { auditor: Auditor::Person(account.id.clone()) })
    }

    /// May this person be shown the exact content of a transfer again?
    ///
    /// # Errors
    ///
    /// As [`Self::authorize`].
    pub fn authorize_reconstruction(&self, id: &OperatorId, today: Date) -> Result<ReconstructPermit, Refusal> {
        let account = self.authorize(id, Right::Reconstruct, today)?;
        Ok(ReconstructPermit { auditor: Auditor::Person(account.id.clone()) })
    }

    /// May this person read the release rules of every system?
    ///
    /// # Errors
    ///
    /// As [`Self::authorize`].
    pub fn authorize_rules(&self, id: &OperatorId, today: Date) -> Result<RulesPermit, Refusal> {
        let account = self.authorize(id, Right::ReadRules, today)?;
        Ok(RulesPermit { reader: account.id.clone() })
    }

    /// May this person act on the system at the machine? Asked of who has proved that they are this person.
    ///
    /// # Errors
    ///
    /// As [`Self::authorize`].
    pub fn authorize_operator(&self, id: &OperatorId, today: Date) -> Result<OperatorPermit, Refusal> {
        let account = in_force(self.by_id.get(id), today)?;
        match account.roles.contains(&PersonRole::Operator) {
            true => Ok(OperatorPermit { operator: account.id.clone() }),
            false => Err(Refusal::RoleRequired),
        }
    }
}

fn in_force(account: Option<&Account>, today: Date) -> Result<&Account, Refusal> {
    let account = account.ok_or(Refusal::CallerUnknown)?;
    if account.in_force(today) { Ok(account) } else { Err(Refusal::CallerRevoked) }
}
