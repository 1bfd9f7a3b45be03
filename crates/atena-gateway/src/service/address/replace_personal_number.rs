//! ReplacePersonalNumber: 個人番号の変更 (番号法第7条第2項). The history is kept, the unified number stays.

use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, date};
use atena_ledger::Outcome;
use atena_proto::v1;
use atena_vault::PersonalNumber;

use super::inbound::inbound;
use super::number::{indexes, seal_number};
use crate::call::Call;
use crate::error::{CallError, Reason};
use crate::log;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::ReplacePersonalNumberRequest,
) -> Result<v1::ReplacePersonalNumberResponse, CallError> {
    call.keep_request_id(&request.request_id)?;
    let hall = &call.hall;
    let permit = hall.policy().authorize_registration(&call.caller.system_id, hall.today())?;
    let local = LocalAddressNumber::parse(&request.local_address_number).ok();
    let mut record = inbound(&call, &permit, local.clone());
    record.heading_mut().fields = Arc::from(["personal_number".to_owned()]);
    // Before anything is looked at or looked up: the answer is the same for every number.
    let Some(number_permit) = permit.personal_number() else {
        return Err(call.refuse(atena_policy::Refusal::PersonalNumberNotPermitted.into(), vec![record]).await);
    };
    let number = PersonalNumber::parse_owned(request.new_personal_number)
        .map_err(|_| CallError::new(Reason::InvalidPersonalNumber, "must be 12 digits with a valid check digit"));
    let effective = date::parse_date(&request.effective_date)
        .map_err(|_| CallError::field("effective_date", "must be a date that exists, YYYY-MM-DD"));
    let (number, effective, local) = match (number, effective, local) {
        (Ok(number), Ok(effective), Some(local)) => (number, effective, local),
        (Err(error), _, _) | (_, Err(error), _) => return Err(call.refuse(error, vec![record]).await),
        (_, _, None) => return Err(call.refuse(CallError::not_linked(), vec![record]).await),
    };
    let mut transaction = hall.store.begin_write("replace_personal_number").await?;
    let keys = hall.key_state(&mut transaction).await?;
    let indexes = indexes(&call, &keys, &number, &number_permit)?;
    let newest = (indexes.last().copied().unwrap_or_default(), keys.newest_index());
    let locals = std::slice::from_ref(&local);
    let Some(unified) = transaction.links_by_local(&call.caller.system_id, locals).await?.remove(&local) else {
        drop(transaction);
        return Err(call.refuse(CallError::not_linked(), vec![record]).await);
    };
    record.unified_address_number = Some(unified.clone());
    let people = std::slice::from_ref(&unified);
    let current = transaction.current_number_index(people).await?.remove(&unified);
    let outcome = if current.is_some_and(|current| indexes.contains(&current)) {
        v1::RegistrationOutcome::Unchanged
    } else if !transaction.people_by_index(&indexes).await?.is_empty() {
        drop(transaction);
        let error = CallError::new(
            Reason::PersonalNumberConflict,
            "the new personal number is, or was, another one of the register; a person has to look into it",
        );
        return Err(call.refuse(error, vec![record]).await);
    } else {
        let wrapped = transaction
            .person_keys(people)
            .await?
            .remove(&unified)
            .ok_or_else(|| CallError::new(Reason::Internal, "stored data can't be opened; tell the operator"))?;
        let key = hall.vault.unwrap_person_key(&unified, &wrapped)?;
        let sequence = transaction.next_number_sequence(&unified).await?;
        transaction.supersede_personal_number(&unified, call.requested_at).await?;
        let mut sealed = seal_number(&key, &unified, sequence, &number, newest)?;
        sealed.effective_date = Some(effective);
        transaction.insert_personal_numbers(&[sealed]).await?;
        v1::RegistrationOutcome::Updated
    };
    record.outcome = Outcome::Received;
    record.heading_mut().dataset = Some(Dataset::Person);
    let transfer_id = record.transfer_id.to_string();
    let sealing = log::seal(hall, &mut transaction, vec![record]).await?;
    log::commit(hall, transaction, sealing).await?;
    Ok(v1::ReplacePersonalNumberResponse { outcome: outcome.into(), transfer_id })
}
