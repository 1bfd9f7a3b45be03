//! Systems, datasets and registration.

use std::collections::BTreeMap;

use atena_domain::{Dataset, SystemId};

use super::Compiler;
use crate::declaration::{DeclaredDataset, DeclaredRegistration, DeclaredSystem};
use crate::policy::{OwnedDataset, Registration};
use crate::problem::Reason;
use crate::system::{PERSON_CALLER, Role, System};

pub(super) type Systems = BTreeMap<SystemId, System>;
pub(super) type Datasets = BTreeMap<Dataset, OwnedDataset>;

// === impl Compiler ===

impl Compiler<'_> {
    pub(super) fn systems(&mut self, declared: &[DeclaredSystem]) -> Systems {
        let mut systems = Systems::new();
        for system in declared {
            let place = format!("system {:?}", system.id.get_ref());
            let name = self.text(&place, "name", &system.name);
            let division = self.text(&place, "division", &system.division);
            let roles = self.roles(&place, system);
            let personal_number_bases = self.bases(&place, &system.personal_number_basis);
            if roles.contains(&Role::Auditor)
                && (roles.len() > 1 || !system.personal_number_basis.is_empty() || system.unified_address_number)
            {
                let system_id = system.id.get_ref().clone();
                self.report(system.id.span().start, Reason::AuditorWithOtherDuties { system: system_id });
            }
            if roles.contains(&Role::Console)
                && (roles.len() > 1
                    || !system.personal_number_basis.is_empty()
                    || system.unified_address_number
                    || system.protected_address)
            {
                let system_id = system.id.get_ref().clone();
                self.report(system.id.span().start, Reason::ConsoleWithOtherDuties { system: system_id });
            }
            if system.id.get_ref() == PERSON_CALLER {
                let system_id = system.id.get_ref().clone();
                self.report(system.id.span().start, Reason::ReservedId { system: system_id });
            }
            if system.reconstruct_transfers && !roles.contains(&Role::Auditor) {
                let system_id = system.id.get_ref().clone();
                self.report(system.id.span().start, Reason::ReconstructionWithoutAudit { system: system_id });
            }
            let Ok(id) = SystemId::parse(system.id.get_ref()) else {
                let rule = "must be 1 to 32 of a-z 0-9 -, a letter first";
                self.report(system.id.span().start, Reason::InvalidValue { place, key: "id", rule });
                continue;
            };
            let compiled = System {
                id: id.clone(),
                name,
                division,
                roles,
                unified_address_number: system.unified_address_number,
                protected_address: system.protected_address,
                reconstruct_transfers: system.reconstruct_transfers,
                personal_number_bases,
                revoked: system.revoked,
            };
            if systems.insert(id, compiled).is_some() {
                self.report(system.id.span().start, Reason::Duplicate { place });
            }
        }
        systems
    }

    fn roles(&mut self, place: &str, system: &DeclaredSystem) -> Vec<Role> {
        let mut roles = Vec::with_capacity(system.roles.len());
        for declared in &system.roles {
            match Role::parse(declared.get_ref()) {
                Some(role) => roles.push(role),
                None => {
                    let role = declared.get_ref().clone();
                    self.report(declared.span().start, Reason::UnknownRole { place: place.to_owned(), role });
                }
            }
        }
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    pub(super) fn datasets(&mut self, declared: &[DeclaredDataset], systems: &Systems) -> Datasets {
        let mut datasets = Datasets::new();
        let mut named = Vec::new();
        for dataset in declared {
            let offset = dataset.id.span().start;
            let place = format!("dataset {:?}", dataset.id.get_ref());
            let id = Dataset::parse(dataset.id.get_ref()).ok();
            match id {
                None => {
                    let name = dataset.id.get_ref().clone();
                    self.report(offset, Reason::UnknownDataset { place: "policy".to_owned(), dataset: name });
                }
                Some(Dataset::Person) => self.report(offset, Reason::PersonOwned),
                Some(id) if named.contains(&id) => self.report(offset, Reason::Duplicate { place: place.clone() }),
                Some(id) => named.push(id),
            }
            let owner = self.owner(&place, dataset, systems);
            let affair = self.affair(&place, &dataset.affair);
            let bases = self.needed_bases(&place, offset, dataset.basis.as_deref());
            if let (Some(id), Some(owner), Some(affair)) = (id, owner, affair) {
                datasets.insert(id, OwnedDataset { owner, affair, bases });
            }
        }
        for dataset in Dataset::PENSION.iter().filter(|dataset| !named.contains(dataset)) {
            self.report(0, Reason::NoOwner { dataset: dataset.as_str() });
        }
        datasets
    }

    fn owner(&mut self, place: &str, dataset: &DeclaredDataset, systems: &Systems) -> Option<SystemId> {
        let system = dataset.owner.get_ref().clone();
        let registered = SystemId::parse(&system).ok().and_then(|id| systems.get(&id));
        let place = place.to_owned();
        match registered {
            None => self.report(dataset.owner.span().start, Reason::UnknownSystem { place, system }),
            Some(owner) if !owner.has_role(Role::DatasetOwner) => {
                let reason = Reason::MissingRole { place, system, role: Role::DatasetOwner };
                self.report(dataset.owner.span().start, reason);
            }
            Some(_) => {}
        }
        // Whether it has the role is decided again at every push.
        registered.map(|owner| owner.id.clone())
    }

    pub(super) fn owners_own(&mut self, declared: &[DeclaredSystem], datasets: &Datasets) {
        for system in declared {
            let id = system.id.get_ref();
            let is_owner = system.roles.iter().any(|role| role.get_ref() == Role::DatasetOwner.as_str());
            if is_owner && !system.revoked && !datasets.values().any(|dataset| dataset.owner.as_str() == id) {
                self.report(system.id.span().start, Reason::OwnsNothing { system: id.clone() });
            }
        }
    }

    pub(super) fn registration(&mut self, declared: &DeclaredRegistration) -> Option<Registration> {
        let place = "registration";
        let bases = self.needed_bases(place, declared.affair.span().start, declared.basis.as_deref());
        let affair = self.affair(place, &declared.affair)?;
        Some(Registration { affair, bases })
    }
}
