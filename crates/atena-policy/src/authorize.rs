//! The decisions. Each is evaluated anew for the day it is asked on: what has ended or not yet begun permits nothing. Roles have
//! no end of their own yet; their decisions take the day all the same, so that a caller can't come to rely on that.

use std::sync::Arc;

use atena_domain::{Affair, Dataset, SystemId};
use jiff::civil::Date;

use crate::legal_basis::citations_in_force;
use crate::permit::{
    AddressAdminPermit, AuditPermit, Auditor, PushPermit, ReconstructPermit, RegistrationPermit, ReleasePermit,
    ResolvePermit,
};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::system::{Role, System};

#[cfg(test)]
mod tests;

// === impl Policy ===

impl Policy {
    /// May `caller` be told `dataset` for `affair`?
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`], [`Refusal::CallerRevoked`], [`Refusal::UnknownAffair`]; [`Refusal::ReleaseNotPermitted`] without a
    /// rule and a legal basis of it in force; [`Refusal::PersonalNumberNotPermitted`] where the rule releases the personal
    /// number and the caller has no legal basis in force to use it: then nothing of the rule is released.
    pub fn authorize_release(
        &self,
        caller: &SystemId,
        affair: &Affair,
        dataset: Dataset,
        today: Date,
    ) -> Result<ReleasePermit, Refusal> {
        let system = self.caller(caller)?;
        if !self.knows_affair(affair) {
            return Err(Refusal::UnknownAffair);
        }
        let granted = self.grants.get(caller).map(Vec::as_slice).unwrap_or_default();
        let (grant, basis) = granted
            .iter()
            .filter(|grant| grant.release.dataset == dataset && grant.rule.affair == *affair)
            .find_map(|grant| Some((grant, grant.rule.basis_in_force(today)?)))
            .filter(|_| system.has_role(Role::Consumer))
            .ok_or(Refusal::ReleaseNotPermitted)?;
        let personal_number_basis = if grant.release.holds_personal_number {
            Some(system.personal_number_basis(today).ok_or(Refusal::PersonalNumberNotPermitted)?)
        } else {
            None
        };
        Ok(ReleasePermit {
            caller: caller.clone(),
            division: system.division.clone(),
            affair: affair.clone(),
            dataset,
            rule_id: grant.rule.id.clone(),
            rule_version: grant.rule.version,
            basis,
            filter: Arc::clone(&grant.release.filter),
            field_names: Arc::clone(&grant.release.field_names),
            policy_hash: self.hash,
            personal_number_basis: personal_number_basis.filter(|_| dataset == Dataset::Person),
        })
    }

    /// May `caller` push `dataset`? Only its owner may, on a legal basis in force.
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`], [`Refusal::CallerRevoked`], [`Refusal::NotDatasetOwner`].
    pub fn authorize_push(&self, caller: &SystemId, dataset: Dataset, today: Date) -> Result<PushPermit, Refusal> {
        let system = self.caller(caller)?;
        let owned = self
            .datasets
            .get(&dataset)
            .filter(|owned| owned.owner == *caller && system.has_role(Role::DatasetOwner))
            .ok_or(Refusal::NotDatasetOwner)?;
        Ok(PushPermit {
            owner: caller.clone(),
            division: system.division.clone(),
            dataset,
            affair: owned.affair.clone(),
            basis: citations_in_force(&owned.bases, today).ok_or(Refusal::NotDatasetOwner)?,
        })
    }

    /// May `caller` register people? Every registered system may, except auditors and consoles. Whether its registrations may carry personal
    /// numbers is in the permit.
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`], [`Refusal::CallerRevoked`]; [`Refusal::RoleRequired`] for an auditor or console, and for everybody while
    /// registrations have no legal basis in force.
    pub fn authorize_registration(&self, caller: &SystemId, today: Date) -> Result<RegistrationPermit, Refusal> {
        let system = self.caller(caller)?;
        if system.has_role(Role::Auditor) || system.has_role(Role::Console) {
            return Err(Refusal::RoleRequired);
        }
        Ok(RegistrationPermit {
            caller: caller.clone(),
            division: system.division.clone(),
            affair: self.registration.affair.clone(),
            basis: citations_in_force(&self.registration.bases, today).ok_or(Refusal::RoleRequired)?,
            personal_number_basis: system.personal_number_basis(today),
        })
    }

    /// May `caller` convert between its own numbers and unified address numbers? Address administrators may, and systems whose
    /// registry entry says `unified_address_number = true`.
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`], [`Refusal::CallerRevoked`], [`Refusal::RoleRequired`].
    pub fn authorize_resolve(&self, caller: &SystemId, _today: Date) -> Result<ResolvePermit, Refusal> {
        let system = self.caller(caller)?;
        if system.has_role(Role::AddressAdministrator) || system.unified_address_number {
            Ok(ResolvePermit { caller: caller.clone() })
        } else {
            Err(Refusal::RoleRequired)
        }
    }

    /// May `caller` read the transfer log? Auditors may.
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`], [`Refusal::CallerRevoked`], [`Refusal::RoleRequired`].
    pub fn authorize_audit(&self, caller: &SystemId, _today: Date) -> Result<AuditPermit, Refusal> {
        self.caller_with(caller, Role::Auditor).map(|_| AuditPermit { auditor: Auditor::System(caller.clone()) })
    }

    /// May `caller` be shown the exact content of a transfer again? Auditors with that extra right may.
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`], [`Refusal::CallerRevoked`], [`Refusal::RoleRequired`].
    pub fn authorize_reconstruction(&self, caller: &SystemId, _today: Date) -> Result<ReconstructPermit, Refusal> {
        match self.caller_with(caller, Role::Auditor)?.reconstruct_transfers {
            true => Ok(ReconstructPermit { auditor: Auditor::System(caller.clone()) }),
            false => Err(Refusal::RoleRequired),
        }
    }

    /// May `caller` merge people and decide review cases? Address administrators may.
    ///
    /// # Errors
    ///
    /// [`Refusal::CallerUnknown`], [`Refusal::CallerRevoked`], [`Refusal::RoleRequired`].
    pub fn authorize_address_administration(
        &self,
        caller: &SystemId,
        _today: Date,
    ) -> Result<AddressAdminPermit, Refusal> {
        self.caller_with(caller, Role::AddressAdministrator).map(|_| AddressAdminPermit { caller: caller.clone() })
    }

    fn caller(&self, id: &SystemId) -> Result<&System, Refusal> {
        match self.systems.get(id) {
            None => Err(Refusal::CallerUnknown),
            Some(system) if system.revoked => Err(Refusal::CallerRevoked),
            Some(system) => Ok(system),
        }
    }

    fn caller_with(&self, id: &SystemId, role: Role) -> Result<&System, Refusal> {
        self.caller(id).and_then(|system| if system.has_role(role) { Ok(system) } else { Err(Refusal::RoleRequired) })
    }
}
