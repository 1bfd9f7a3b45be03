//! ResolveNumbers: between the caller's own local numbers and unified numbers, for systems whose entry allows it.

use std::collections::HashSet;
use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, UnifiedAddressNumber};
use atena_ledger::Outcome;
use atena_proto::v1;

use crate::call::Call;
use crate::error::{CallError, Reason};
use crate::transfer::{Subject, refuse};

/// Numbers in one call.
const NUMBERS_MAX: usize = 1000;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::ResolveNumbersRequest,
) -> Result<v1::ResolveNumbersResponse, CallError> {
    call.keep_request_id(&request.request_id)?;
    let hall = &call.hall;
    let system = &call.caller.system_id;
    hall.policy().authorize_resolve(system, hall.today())?;
    if request.local_address_numbers.len() + request.unified_address_numbers.len() > NUMBERS_MAX {
        return Err(CallError::new(Reason::TooManyPersons, "name at most 1,000 numbers in one call"));
    }
    let locals: Vec<_> = request.local_address_numbers.iter().map(|text| LocalAddressNumber::parse(text)).collect();
    let unified: Vec<_> =
        request.unified_address_numbers.iter().map(|text| UnifiedAddressNumber::parse_migrated(text)).collect();
    let known_locals: Vec<_> = locals.iter().flatten().cloned().collect();
    let known_unified: Vec<_> = unified.iter().flatten().cloned().collect();
    let by_local = hall.store.links_by_local(system, &known_locals).await?;
    let by_unified = hall.store.links_by_unified(system, &known_unified).await?;

    let from_local = locals.iter().map(|local| match local {
        Ok(local) => {
            by_local.get(local).map(|unified| (local.clone(), unified.clone())).ok_or_else(CallError::not_linked)
        }
        Err(_) => Err(CallError::field(
            "local_address_numbers",
            "must be 1 to 15 letters or digits, and not exactly 12 digits",
        )),
    });
    let from_unified = unified.iter().map(|unified| match unified {
        Ok(unified) => {
            by_unified.get(unified).map(|local| (local.clone(), unified.clone())).ok_or_else(CallError::not_linked)
        }
        Err(_) => Err(CallError::field("unified_address_numbers", "must be 15 digits")),
    });
    let mut answer = v1::ResolveNumbersResponse::default();
    let mut transfers = Vec::new();
    let mut named = HashSet::with_capacity(locals.len() + unified.len());
    for (index, pair) in from_local.chain(from_unified).enumerate() {
        // One pair for a person, whichever of the two numbers named them before.
        let pair = pair.and_then(|pair| match named.insert(pair.0.clone()) {
            true => Ok(pair),
            false => Err(CallError::field(field(index, locals.len()), "names a person for the second time")),
        });
        match pair {
            Ok((local, unified)) => {
                let subject = Subject {
                    local_address_number: Some(local.clone()),
                    unified_address_number: Some(unified.clone()),
                };
                let mut transfer = call.transfer(Some(Dataset::Person), subject);
                transfer.outcome = Outcome::Released;
                transfer.heading_mut().fields = Arc::from(["unified_address_number".to_owned()]);
                answer.numbers.push(v1::ResolvedNumber {
                    local_address_number: local.as_str().to_owned(),
                    unified_address_number: unified.as_str().to_owned(),
                    transfer_id: transfer.transfer_id.to_string(),
                });
                transfers.push(transfer);
            }
            Err(error) => {
                // A person who is named twice is known, by whichever number.
                let named = index.checked_sub(locals.len()).and_then(|index| unified.get(index)?.as_ref().ok());
                let linked = named.and_then(|named| by_unified.get_key_value(named));
                let subject = match (locals.get(index), linked) {
                    (Some(Ok(local)), _) => Subject {
                        local_address_number: Some(local.clone()),
                        unified_address_number: by_local.get(local).cloned(),
                    },
                    (_, Some((unified, local))) => Subject {
                        local_address_number: Some(local.clone()),
                        unified_address_number: Some(unified.clone()),
                    },
                    _ => Subject::default(),
                };
                let mut transfer = call.transfer(Some(Dataset::Person), subject);
                refuse(&mut transfer, error.reason);
                transfers.push(transfer);
                answer.errors.push(error.into_item(index));
            }
        }
    }
    call.log_release(transfers).await?;
    Ok(answer)
}

/// The path of the number at an index that runs over the local numbers first, then over the unified
/// ones.
fn field(index: usize, locals: usize) -> String {
    match index.checked_sub(locals) {
        None => format!("local_address_numbers[{index}]"),
        Some(index) => format!("unified_address_numbers[{index}]"),
    }
}
