//! Seals what is written of registrations. It takes as long as writing it, so a task of its own does it, beside the database.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use atena_ledger::Outcome;
use atena_proto::v1;
use atena_store::{KeyState, NewLink, NewPerson, NewPersonalNumber, NewView, ViewHead};
use atena_vault::{PersonKey, SealContext};

use super::candidate::{Candidate, Registered, Success, inconsistent};
use super::inbound::under;
use super::number::seal_number;
use super::plan::Plan;
use crate::ahead::take_turns;
use crate::call::Call;
use crate::convert::view_row;
use crate::error::CallError;
use crate::transfer::TransferRecord;

/// A registration that goes through.
pub(super) struct Accepted {
    pub(super) candidate: Candidate,
    pub(super) plan: Plan,
    pub(super) person: UnifiedAddressNumber,
}

/// Registrations that go through, and what is known of their people.
pub(super) struct Unsealed {
    pub(super) accepted: Vec<Accepted>,
    /// Each with whether the number was migrated.
    pub(super) new_people: Vec<(UnifiedAddressNumber, bool)>,
    /// Keys of the people, at first of those who are not new.
    pub(super) keys: HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
    pub(super) heads: HashMap<LocalAddressNumber, ViewHead>,
    pub(super) key_state: KeyState,
}

/// What has to be written beside people and links, and what becomes of each registration, with its position and its transfer record.
#[derive(Default)]
pub(super) struct Sealed {
    pub(super) numbers: Vec<NewPersonalNumber>,
    pub(super) views: Vec<NewView>,
    pub(super) registered: Vec<(usize, TransferRecord, Registered)>,
}

// === impl Unsealed ===

impl Unsealed {
    /// The links of those who are new to the system.
    pub(super) fn links(&self, system_id: &SystemId) -> Vec<NewLink> {
        let new = self.accepted.iter().filter(|one| !matches!(one.plan, Plan::Update { .. }));
        new.map(|one| NewLink {
            system_id: system_id.clone(),
            local_address_number: one.candidate.registration.local_address_number.clone(),
            unified_address_number: one.person.clone(),
        })
        .collect()
    }

    /// Makes the keys of the new people.
    pub(super) async fn make_keys(mut self, call: Arc<Call>) -> Result<(Vec<NewPerson>, Self), CallError> {
        let mut people = Vec::with_capacity(self.new_people.len());
        for (place, (unified, migrated)) in self.new_people.iter().enumerate() {
            take_turns(place).await;
            let (key, wrapped) = call.hall.vault.new_person_key(unified, &self.key_state.wrapping_id)?;
            self.keys.insert(unified.clone(), Arc::new(key));
            people.push(NewPerson {
                unified_address_number: unified.clone(),
                wrapped_key: wrapped,
                migrated: *migrated,
                created_at: call.requested_at,
            });
        }
        Ok((people, self))
    }

    /// Seals everything else, once there are keys.
    pub(super) async fn seal(mut self, call: Arc<Call>) -> Result<Sealed, CallError> {
        let mut sealed = Sealed::default();
        let newest_index = self.key_state.newest_index();
        for (place, Accepted { candidate, plan, person }) in self.accepted.into_iter().enumerate() {
            take_turns(place).await;
            let key = self.keys.get(&person).ok_or_else(inconsistent)?;
            let changed = keep_view(&call, key, &candidate, &mut self.heads, &mut sealed.views)?;
            let outcome = match &plan {
                Plan::Issue(_) => v1::RegistrationOutcome::Issued,
                Plan::Link(_) => v1::RegistrationOutcome::Linked,
                Plan::Update { attach, .. } if *attach || changed => v1::RegistrationOutcome::Updated,
                _ => v1::RegistrationOutcome::Unchanged,
            };
            let takes_number = matches!(&plan, Plan::Issue(_) | Plan::Update { attach: true, .. });
            if let (true, Some(number), Some(index)) =
                (takes_number, &candidate.registration.personal_number, candidate.index())
            {
                sealed.numbers.push(seal_number(key, &person, 1, number, (index, newest_index))?);
                #[cfg(feature = "test-leaks")]
                if let Some((leaked, row)) = crate::leak::digits("database", Some(number), &candidate.allowed.permit)
                    .zip(sealed.numbers.last_mut())
                {
                    row.sealed.extend_from_slice(leaked.as_bytes());
                }
            }
            let success = Success { outcome, unified: Some(person), review_case: None };
            let (record, registered) = candidate.received(success, Some(key), candidate.view.sha256);
            sealed.registered.push((candidate.position, record, registered));
        }
        Ok(sealed)
    }
}

// === impl Candidate ===

impl Candidate {
    /// What the caller is told, and the log.
    pub(super) fn received(
        &self,
        success: Success,
        key: Option<&Arc<PersonKey>>,
        content_sha256: [u8; 32],
    ) -> (TransferRecord, Registered) {
        let local = Some(self.registration.local_address_number.clone());
        let mut record = under(&self.allowed.heading, local.clone());
        record.person_key = key.cloned();
        record.unified_address_number = success.unified.clone();
        if success.review_case.is_some() {
            record.reason = Some("REVIEW_REQUIRED");
        }
        record.outcome = Outcome::Received;
        record.content_sha256 = Some(content_sha256);
        #[cfg(feature = "test-leaks")]
        if let Some(leaked) =
            crate::leak::digits("leaf", self.registration.personal_number.as_ref(), &self.allowed.permit)
        {
            record.heading_mut().affair = Some(leaked.into());
        }
        let registered = Registered { local, transfer_id: record.transfer_id, result: Ok(success) };
        (record, registered)
    }
}

/// Keeps the caller's view as a new revision, unless it is what is kept already. Tells whether it changed.
fn keep_view(
    call: &Call,
    key: &PersonKey,
    candidate: &Candidate,
    heads: &mut HashMap<LocalAddressNumber, ViewHead>,
    views: &mut Vec<NewView>,
) -> Result<bool, CallError> {
    let Candidate { registration, view, .. } = candidate;
    let (local, content_mac) = (&registration.local_address_number, view.mac);
    let revision = match heads.get(local) {
        Some(head) if head.content_mac == content_mac => return Ok(false),
        Some(head) => head.revision + 1,
        None => 1,
    };
    let row = view_row(&call.caller.system_id, local, revision);
    let context = SealContext { table: "person_view", column: "sealed", row: &row };
    views.push(NewView {
        system_id: call.caller.system_id.clone(),
        local_address_number: local.clone(),
        revision,
        sealed: key.seal(&context, &view.content)?,
        content_mac,
        protected: view.protected,
        stored_at: call.requested_at,
    });
    heads.insert(local.clone(), ViewHead { revision, content_mac });
    Ok(true)
}
