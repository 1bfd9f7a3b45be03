//! ReplacePersonalNumber: 個人番号の変更 (番号法第7条第2項). The history is kept, the unified number stays.

use std::sync::Arc;

use atena_domain::date::{self, Date};
use atena_domain::{Dataset, LocalAddressNumber};
use atena_ledger::Outcome;
use atena_proto::v1;
use atena_store::WriteTransaction;
use atena_vault::PersonalNumber;

use super::inbound::inbound;
use super::number::{indexes, seal_number};
use crate::call::Call;
use crate::error::{CallError, Reason};
use crate::transfer::TransferRecord;

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
    if let Some(local) = &local {
        // A refusal is recorded with the person too.
        let linked = hall.store.links_by_local(&call.caller.system_id, std::slice::from_ref(local)).await?;
        record.unified_address_number = linked.get(local).cloned();
    }
    // Before the new number is looked at or looked up: the answer is the same for every number.
    let Some(number_permit) = permit.personal_number() else {
        return Err(call.refuse(atena_policy::Refusal::PersonalNumberNotPermitted.into(), vec![record]).await);
    };
    let number = PersonalNumber::parse_owned(request.new_personal_number).map_err(|_| {
        CallError::new(Reason::InvalidPersonalNumber, "must be 12 digits with a right check digit, and not zeros only")
    });
    let effective = effective_date(&request.effective_date, hall.today());
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
        record.unified_address_number = None;
        return Err(call.refuse(CallError::not_linked(), vec![record]).await);
    };
    record.unified_address_number = Some(unified.clone());
    let people = std::slice::from_ref(&unified);
    let current = transaction.current_number_index(people).await?.remove(&unified);
    let outcome = if current.is_some_and(|current| indexes.contains(&current)) {
        v1::RegistrationOutcome::Unchanged
    } else if let Some((index, owner)) = transaction.people_by_index(&indexes).await?.into_iter().next() {
        if owner == unified {
            // The person had this number before, and a number that was replaced is never given
            // again: what came after it was a mistake. Those numbers belong to others, so they are
            // not kept, and their people can be registered with them.
            transaction.take_back_personal_numbers(&unified, &index).await?;
            return received(&call, transaction, record, v1::RegistrationOutcome::Updated).await;
        }
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
    received(&call, transaction, record, outcome).await
}

/// Commits the change with its transfer record.
async fn received(
    call: &Call,
    mut transaction: WriteTransaction,
    mut record: TransferRecord,
    outcome: v1::RegistrationOutcome,
) -> Result<v1::ReplacePersonalNumberResponse, CallError> {
    record.outcome = Outcome::Received;
    record.heading_mut().dataset = Some(Dataset::Person);
    let transfer_id = record.transfer_id.to_string();
    let sealing = call.hall.log.seal(&mut transaction, vec![record]).await?;
    call.hall.log.commit(transaction, sealing).await?;
    Ok(v1::ReplacePersonalNumberResponse { outcome: outcome.into(), transfer_id })
}

/// 変更年月日: a day that has come.
fn effective_date(text: &str, today: Date) -> Result<Date, CallError> {
    let field = "effective_date";
    let date = date::parse_date(text)
        .map_err(|_| CallError::field(field, "must be a date that exists, YYYY-MM-DD, from 1868 on"))?;
    if date > today {
        return Err(CallError::field(field, "must not be after today (in Japan)"));
    }
    Ok(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_changes_on_a_day_that_has_come() {
        let today = jiff::civil::date(2026, 11, 26);
        assert_eq!(effective_date("2026-11-26", today), Ok(today));
        for wrong in ["2026-11-27", "9999-12-31", "", "2026-11-31", "0000-01-01"] {
            assert!(effective_date(wrong, today).is_err(), "{wrong}");
        }
    }
}
