//! GetRecords: records of up to 100 people by the caller's own local numbers.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::LocalAddressNumber;
use atena_proto::v1;
use tracing::Instrument;

use super::deliver::Packer;
use crate::call::Call;
use crate::error::{CallError, Reason};
use crate::transfer::Subject;

/// People in one call.
const PEOPLE_MAX: usize = 100;

pub(crate) async fn run(call: Arc<Call>, request: v1::GetRecordsRequest) -> Result<v1::GetRecordsResponse, CallError> {
    call.keep_request_id(&request.request_id)?;
    let store = &call.hall.store;

    // The people of a refused call are recorded too: probing is what an auditor looks for.
    let numbers: Vec<_> =
        request.local_address_numbers.iter().map(|text| LocalAddressNumber::parse(text).ok()).collect();
    let known: Vec<_> = numbers.iter().take(PEOPLE_MAX).flatten().cloned().collect();
    let linked =
        store.links_by_local(&call.caller.system_id, &known).instrument(tracing::info_span!("which_people")).await?;
    let mut subjects: Vec<_> = known
        .iter()
        .map(|local| Subject {
            local_address_number: Some(local.clone()),
            unified_address_number: linked.get(local).cloned(),
        })
        .collect();
    if subjects.is_empty() {
        subjects.push(Subject::default());
    }
    let allowed = super::may_they(&call, &request.affair, &request.datasets, &subjects).await?;
    if numbers.is_empty() || numbers.len() > PEOPLE_MAX {
        return Err(CallError::new(Reason::TooManyPersons, "name 1 to 100 people in one call"));
    }

    let people: Vec<_> = linked.values().cloned().collect();
    let (packer, records) = async {
        let packer = Packer::new(&call, store, &people).await?;
        let records = store.current_records(&allowed.permits, &people).await?;
        Ok::<_, CallError>((packer, records))
    }
    .instrument(tracing::info_span!("read"))
    .await?;
    let mut by_person_and_dataset = HashMap::new();
    for record in records {
        let place = (record.unified_address_number.clone(), record.dataset);
        by_person_and_dataset.entry(place).or_insert_with(Vec::new).push(record);
    }

    let mut answer = v1::GetRecordsResponse::default();
    let mut transfers = Vec::new();
    tracing::info_span!("filter").in_scope(|| {
        for (index, number) in numbers.iter().enumerate() {
            let Some(local) = number else {
                let error = CallError::field(
                    format!("local_address_numbers[{index}]"),
                    "must be 1 to 15 letters or digits, and not exactly 12 digits",
                );
                answer.errors.push(error.into_item(index));
                continue;
            };
            let Some(person) = linked.get(local) else {
                answer.errors.push(CallError::not_linked().into_item(index));
                let subject = Subject { local_address_number: Some(local.clone()), unified_address_number: None };
                for permit in &allowed.permits {
                    let mut record = call.release(permit, &subject);
                    crate::transfer::refuse(&mut record, Reason::LocalNumberNotLinked);
                    transfers.push(record);
                }
                continue;
            };
            for permit in &allowed.permits {
                let place = (person.clone(), permit.dataset());
                let records = by_person_and_dataset.get(&place).map_or(&[][..], Vec::as_slice);
                let parcel = packer.pack(permit, local, person, records)?;
                answer.deliveries.push(parcel.delivery);
                transfers.push(parcel.transfer);
            }
        }
        Ok::<_, CallError>(())
    })?;
    call.log_release(transfers).await?;
    Ok(answer)
}
