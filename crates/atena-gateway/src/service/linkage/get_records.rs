//! GetRecords: records of up to 100 people by the caller's own local numbers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber};
use atena_policy::ReleasePermit;
use atena_proto::v1;
use atena_store::{Holding, StoredRecord};
use tracing::Instrument;

use super::deliver::{Addressee, Packer};
use crate::call::Call;
use crate::convert::dataset::parse_pension_datasets;
use crate::error::{CallError, Reason};
use crate::transfer::{Subject, TransferRecord};

/// People in one call.
const PEOPLE_MAX: usize = 100;

pub(crate) async fn run(call: Arc<Call>, request: v1::GetRecordsRequest) -> Result<v1::GetRecordsResponse, CallError> {
    call.keep_request_id(&request.request_id)?;
    let datasets = parse_pension_datasets(&request.datasets)?;
    let numbers: Vec<_> =
        request.local_address_numbers.iter().map(|text| LocalAddressNumber::parse(text).ok()).collect();
    let known: Vec<_> = numbers.iter().take(PEOPLE_MAX).flatten().cloned().collect();
    let permits = match super::decide(&call, &request.affair, &datasets) {
        Ok(permits) => Arc::<[ReleasePermit]>::from(permits),
        Err(error) => return Err(refuse(&call, &request.affair, &datasets, known, error).await),
    };
    if numbers.is_empty() || numbers.len() > PEOPLE_MAX {
        return Err(CallError::new(Reason::TooManyPersons, "name 1 to 100 people in one call"));
    }
    let (to, holdings) = async {
        let holdings = call.hall.together.holdings_of(&call.hall.store, &permits, known).await?;
        let to = holdings.iter().map(|holding| Addressee::of(&call, holding)).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, CallError>((to, holdings))
    }
    .instrument(tracing::info_span!("read"))
    .await?;
    let by_local: HashMap<_, _> =
        holdings.iter().zip(&to).map(|(holding, to)| (&holding.local_address_number, (holding, to))).collect();
    let mut packer = Packer::new(&call, &permits);

    let mut answer = v1::GetRecordsResponse::default();
    let mut transfers = Vec::new();
    let mut named = HashSet::with_capacity(numbers.len());
    tracing::info_span!("filter").in_scope(|| {
        for (index, number) in numbers.iter().enumerate() {
            let Some(local) = number else {
                let error = CallError::field(
                    format!("local_address_numbers[{index}]"),
                    "must be 1 to 15 letters or digits, and not exactly 12 digits",
                );
                // It may be anything, a personal number too, so it is not recorded itself.
                transfers.extend(refusals(&call, &permits, &Subject::default(), error.reason));
                answer.errors.push(error.into_item(index));
                continue;
            };
            if !named.insert(local) {
                let error = CallError::field(
                    format!("local_address_numbers[{index}]"),
                    "names a person for the second time; the records came with the first",
                );
                let person = by_local.get(local).map(|(holding, _)| holding.unified_address_number.clone());
                let subject = Subject { local_address_number: Some(local.clone()), unified_address_number: person };
                transfers.extend(refusals(&call, &permits, &subject, error.reason));
                answer.errors.push(error.into_item(index));
                continue;
            }
            let Some((holding, to)) = by_local.get(local) else {
                answer.errors.push(CallError::not_linked().into_item(index));
                let subject = Subject { local_address_number: Some(local.clone()), unified_address_number: None };
                transfers.extend(refusals(&call, &permits, &subject, Reason::LocalNumberNotLinked));
                continue;
            };
            for permit in permits.iter() {
                if let Some(parcel) = packer.pack(to, permit.dataset(), of_dataset(holding, permit))? {
                    answer.deliveries.push(parcel.delivery);
                    transfers.push(parcel.transfer);
                }
            }
        }
        Ok::<_, CallError>(())
    })?;
    call.log_release(transfers).await?;
    Ok(answer)
}

/// The records of a number that is answered with an error, one for each dataset.
fn refusals(
    call: &Call,
    permits: &[ReleasePermit],
    subject: &Subject,
    reason: Reason,
) -> impl Iterator<Item = TransferRecord> {
    permits.iter().map(move |permit| {
        let mut record = call.release(permit, subject.clone());
        crate::transfer::refuse(&mut record, reason);
        record
    })
}

/// A person's records of a permit's dataset; they stand together.
fn of_dataset<'a>(holding: &'a Holding, permit: &ReleasePermit) -> &'a [StoredRecord] {
    let records = holding.records.as_slice();
    let start = records.iter().position(|record| record.dataset == permit.dataset()).unwrap_or(records.len());
    let (_, rest) = records.split_at(start);
    let count = rest.iter().take_while(|record| record.dataset == permit.dataset()).count();
    &rest[..count]
}

/// The people of a refused call are recorded too: probing is what an auditor looks for.
async fn refuse(
    call: &Call,
    affair: &str,
    datasets: &[Dataset],
    known: Vec<LocalAddressNumber>,
    error: CallError,
) -> CallError {
    let linked = match call.hall.store.links_by_local(&call.caller.system_id, &known).await {
        Ok(linked) => linked,
        Err(unread) => return unread.into(),
    };
    let mut subjects: Vec<_> = known
        .into_iter()
        .map(|local| Subject { unified_address_number: linked.get(&local).cloned(), local_address_number: Some(local) })
        .collect();
    if subjects.is_empty() {
        subjects.push(Subject::default());
    }
    super::refuse(call, affair, datasets, &subjects, error).await
}
