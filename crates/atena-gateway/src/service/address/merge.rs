//! Merges registrations with what the caller registered before, in memory and in their order:
//! several rows of one transaction may be about one local number.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::{LocalAddressNumber, SystemId};
use atena_store::{StoredView, ViewHead};
use atena_vault::{PersonKey, SealContext, Vault};

use super::candidate::Candidate;
use crate::convert::view::{NotMerged, View};
use crate::convert::view_row;
use crate::error::{CallError, Reason};
use crate::transfer::sha256;

/// A view as it is to be kept.
pub(super) struct Kept {
    pub(super) content: Vec<u8>,
    pub(super) mac: [u8; 32],
    pub(super) sha256: [u8; 32],
    pub(super) protected: bool,
}

/// The newest view of each local number: as stored, then as the registrations before change it.
pub(super) struct Newest {
    views: HashMap<LocalAddressNumber, Known>,
    /// Whether a local number comes more than once, so that what is registered has to be
    /// remembered.
    repeated: bool,
}

/// What is known of a newest view.
struct Known {
    mac: [u8; 32],
    /// Opened only where a registration needs it.
    content: Option<Vec<u8>>,
}

/// Of a registration that leaves a part as it was, where what was registered can't be read.
fn does_not_open() -> CallError {
    CallError::new(
        Reason::Internal,
        "what was registered before can't be opened; nothing was changed; a registration with every field replaces it; tell the operator",
    )
}

// === impl Kept ===

impl Kept {
    pub(super) fn of(vault: &Vault, view: &View) -> Self {
        let content = view.content();
        Self {
            mac: vault.content_mac("person_view", &content),
            sha256: sha256(&content),
            protected: view.is_protected(),
            content,
        }
    }
}

// === impl Newest ===

impl Newest {
    /// The views that are stored.
    pub(super) fn new(heads: &HashMap<LocalAddressNumber, ViewHead>, repeated: bool) -> Self {
        let known = |head: &ViewHead| Known { mac: head.content_mac, content: None };
        Self { views: heads.iter().map(|(local, head)| (local.clone(), known(head))).collect(), repeated }
    }

    /// Whether a candidate changes a part of the newest view and leaves the rest. Of a row with
    /// every field nothing can stay, and a row that says what is there changes nothing.
    pub(super) fn is_changed_in_part(&self, candidate: &Candidate) -> bool {
        let newest = self.views.get(&candidate.registration.local_address_number);
        newest.is_some_and(|newest| newest.mac != candidate.view.mac && !candidate.registration.complete)
    }

    /// The local number whose stored view has to be opened for a candidate.
    pub(super) fn needed_by(&self, candidate: &Candidate) -> Option<LocalAddressNumber> {
        self.is_changed_in_part(candidate).then(|| candidate.registration.local_address_number.clone())
    }

    /// Opens a stored view. One that does not open is the fate of the registrations that need it,
    /// and of no other one of the transaction.
    pub(super) fn open(
        &mut self,
        system: &SystemId,
        local: &LocalAddressNumber,
        view: &StoredView,
        key: Option<&Arc<PersonKey>>,
    ) {
        let row = view_row(system, local, view.revision);
        let context = SealContext { table: "person_view", column: "sealed", row: &row };
        match key.and_then(|key| key.open(&context, &view.sealed).ok()) {
            Some(content) => {
                if let Some(known) = self.views.get_mut(local) {
                    known.content = Some(content.to_vec());
                }
            }
            None => tracing::error!(system = system.as_str(), "a registered view can't be opened"),
        }
    }

    /// Makes the view of a candidate out of the newest one and what the row says, and checks it as
    /// a whole.
    pub(super) fn merge(&self, vault: &Vault, candidate: &mut Candidate) -> Result<(), CallError> {
        let registration = &candidate.registration;
        match self.views.get(&registration.local_address_number) {
            // The row says what is there already.
            Some(newest) if newest.mac == candidate.view.mac => Ok(()),
            Some(newest) if !registration.complete => {
                let before = newest.content.as_ref().ok_or_else(does_not_open)?;
                let view = View::after(before, &registration.given).map_err(|error| match error {
                    NotMerged::Malformed => does_not_open(),
                    NotMerged::HalfAnAddress(problems) => CallError::fields(problems),
                })?;
                view.check_whole()?;
                candidate.view = Kept::of(vault, &view);
                Ok(())
            }
            _ => registration.first.check_whole(),
        }
    }

    /// Notes what a candidate makes of its view.
    pub(super) fn keep(&mut self, candidate: &Candidate) {
        if self.repeated {
            let Candidate { registration, view, .. } = candidate;
            let known = Known { mac: view.mac, content: Some(view.content.clone()) };
            self.views.insert(registration.local_address_number.clone(), known);
        }
    }
}

#[cfg(test)]
mod tests {
    use atena_domain::UnifiedAddressNumber;

    use super::*;
    use crate::test_town::open_vault;

    #[test]
    fn a_view_that_does_not_open_is_left_out_and_the_others_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let vault = open_vault(&folder);
        let person = UnifiedAddressNumber::from_body(1).unwrap();
        let (key, _) = vault.new_person_key(&person, &vault.wrapping_ids()[0]).unwrap();
        let key = Arc::new(key);
        let system = SystemId::parse("pension").unwrap();
        let locals = ["A1", "A2", "A3"].map(|local| LocalAddressNumber::parse(local).unwrap());
        let views = locals.iter().map(|local| (local.clone(), Known { mac: [0; 32], content: None }));
        let mut newest = Newest { views: views.collect(), repeated: false };
        for (place, local) in locals.iter().enumerate() {
            let row = view_row(&system, local, 1);
            let context = SealContext { table: "person_view", column: "sealed", row: &row };
            let mut sealed = key.seal(&context, b"content").unwrap();
            sealed[20] ^= u8::from(place == 1);
            let view = StoredView { revision: 1, sealed };
            newest.open(&system, local, &view, (place < 2).then_some(&key));
        }
        let opened = locals.map(|local| newest.views[&local].content.is_some());
        assert_eq!(opened, [true, false, false]);
    }
}
