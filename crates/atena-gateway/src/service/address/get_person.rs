//! GetPerson: the caller's own view of one person, filtered.

use std::sync::Arc;

use atena_domain::{Affair, Dataset, LocalAddressNumber};
use atena_proto::v1;
use atena_vault::SealContext;
use prost::Message;

use super::register_persons::unified_for;
use crate::call::Call;
use crate::convert::{personal_number_row, view_row};
use crate::error::{CallError, Reason};
use crate::transfer::{Subject, sha256};

/// Path prefix of the address fields, which are suppressed for people under support measures.
const ADDRESS: &str = "address.";

pub(crate) async fn run(call: Arc<Call>, request: v1::GetPersonRequest) -> Result<v1::GetPersonResponse, CallError> {
    call.keep_request_id(&request.request_id)?;
    let hall = &call.hall;
    let local = LocalAddressNumber::parse(&request.local_address_number).ok();
    let unified = match &local {
        Some(local) => {
            hall.store.links_by_local(&call.caller.system_id, std::slice::from_ref(local)).await?.remove(local)
        }
        None => None,
    };
    let subject = Subject { local_address_number: local.clone(), unified_address_number: unified.clone() };
    let refused = async |error| {
        let record = call.transfer(Some(Dataset::Person), subject.clone());
        Err(call.refuse(error, vec![record]).await)
    };

    let permit = match Affair::parse(&request.affair) {
        Ok(affair) => {
            match hall.policy().authorize_release(&call.caller.system_id, &affair, Dataset::Person, hall.today()) {
                Ok(permit) => permit,
                Err(refusal) => return refused(refusal.into()).await,
            }
        }
        Err(_) => {
            return refused(CallError::new(
                Reason::UnknownAffair,
                "name the affair (事務) for dataset person; ListEntitlements names it",
            ))
            .await;
        }
    };
    let number_permit = match (request.include_personal_number, permit.personal_number()) {
        (false, _) => None,
        (true, Some(number_permit)) => Some(number_permit),
        (true, None) => return refused(atena_policy::Refusal::PersonalNumberNotPermitted.into()).await,
    };
    let (Some(local), Some(unified)) = (local, unified) else {
        return refused(CallError::not_linked()).await;
    };
    let Some(view) = hall.store.person_view(&permit, &local).await? else {
        return refused(CallError::not_linked()).await;
    };
    let key = match hall.store.person_keys(std::slice::from_ref(&unified)).await?.remove(&unified) {
        Some(wrapped) => hall.vault.unwrap_person_key(&unified, &wrapped)?,
        None => {
            return refused(CallError::new(Reason::Internal, "stored data can't be opened; tell the operator")).await;
        }
    };

    let row = view_row(&call.caller.system_id, &local, view.revision);
    let content = key.open(&SealContext { table: "person_view", column: "sealed", row: &row }, &view.sealed)?;
    let mut filtered = Vec::with_capacity(content.len());
    permit
        .filter()
        .apply(&content, &mut filtered)
        .map_err(|_| CallError::new(Reason::Internal, "stored data can't be read; tell the operator"))?;
    let mut person = v1::Person::decode(filtered.as_slice())
        .map_err(|_| CallError::new(Reason::Internal, "stored data can't be read; tell the operator"))?;
    let mut fields = permit.field_names().to_vec();
    let protected = hall.store.is_protected(&unified).await?;
    if protected {
        // The flag is shared so that nobody learns of the protection too late; the address is not.
        person.protected = fields.iter().any(|field| field == "protected").then_some(true);
        if !hall.policy().system(&call.caller.system_id).is_some_and(|system| system.sees_protected_address()) {
            person.address = None;
            fields.retain(|field| !field.starts_with(ADDRESS));
        }
    }

    let mut transfer = call.release(&permit, subject);
    // The digest leaves the personal number out: with it, whoever reads the log could try all 10^11 numbers against it
    // (number-confinement).
    transfer.content_sha256 = Some(sha256(&person.encode_to_vec()));
    if let Some(number_permit) = &number_permit
        && let Some(stored) = hall.store.sealed_personal_number(number_permit, &unified).await?
    {
        let row = personal_number_row(&unified, stored.sequence);
        let context = SealContext { table: "personal_number", column: "sealed", row: &row };
        let number = key.open_personal_number(&context, &stored.sealed, number_permit)?;
        person.personal_number = number.expose(number_permit).to_owned();
    } else {
        fields.retain(|field| field != "personal_number");
    }
    transfer.heading_mut().fields = fields.into();
    let transfer_id = transfer.transfer_id.to_string();
    call.log_release(vec![transfer]).await?;
    Ok(v1::GetPersonResponse {
        person: Some(person),
        unified_address_number: unified_for(&call, Some(&unified)),
        transfer_id,
    })
}
