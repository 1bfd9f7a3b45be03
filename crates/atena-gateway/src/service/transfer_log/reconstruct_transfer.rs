//! ReconstructTransfer: the exact bytes that a transfer sent or stored, from its rows, revisions and fields, with their digest checked
//! (reconstructible). Recorded like a release.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::{Dataset, RecordKey, SystemId, UnifiedAddressNumber};
use atena_ledger::{Direction, Outcome};
use atena_policy::{FieldFilter, ReconstructPermit};
use atena_proto::v1;
use atena_store::StoredRecord;
use atena_vault::{PersonKey, SealContext};
use bytes::BytesMut;
use uuid::Uuid;

use crate::call::Call;
use crate::convert::dataset::wire_dataset;
use crate::convert::delivery::DeliveryWriter;
use crate::convert::{hexadecimal, record_row};
use crate::error::{CallError, Reason};
use crate::log::search::{self, Found};
use crate::log::{Details, damaged};
use crate::transfer::{Rows, sha256};

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::ReconstructTransferRequest,
) -> Result<v1::ReconstructTransferResponse, CallError> {
    let permit = call.caller.authorize_reconstruction(&call.hall)?;
    let id = super::transfer_id(&request.transfer_id)?;
    let located = search::by_id(&call.hall.log, id)
        .await?
        .ok_or_else(|| CallError::new(Reason::TransferNotFound, "no transfer has this id"))?;
    let found = &located.found;
    let details = found.details.as_ref().ok_or_else(gone)?;
    let content = content(&call, &permit, found, details).await?.ok_or_else(gone)?;
    let digest = sha256(&content);
    if digest.as_slice() != details.content_sha256.as_slice() {
        tracing::error!("what a transfer sent can't be reconstructed: its rows are not what they were");
        return Err(damaged());
    }
    let mut record =
        call.transfer(found.shape.dataset.as_deref().and_then(|name| Dataset::parse(name).ok()), found.subject());
    record.outcome = Outcome::Released;
    record.heading_mut().fields = found.shape.fields.clone().into();
    record.records = rows(details);
    record.content_sha256 = Some(digest);
    call.log_release(vec![record]).await?;
    Ok(v1::ReconstructTransferResponse { content, content_sha256: hexadecimal(&digest) })
}

fn gone() -> CallError {
    CallError::new(
        Reason::TransferNotFound,
        "this transfer sent no records, or its details or rows were erased: nothing can be reconstructed",
    )
}

fn rows(details: &Details) -> Rows {
    details.records.iter().filter_map(|row| Some((RecordKey::parse(&row.record_key).ok()?, row.revision))).collect()
}

/// The bytes again; `None` where there were none, or where a row is no longer there.
async fn content(
    call: &Call,
    permit: &ReconstructPermit,
    found: &Found,
    details: &Details,
) -> Result<Option<Vec<u8>>, CallError> {
    let hall = &call.hall;
    let dataset = found.shape.dataset.as_deref().and_then(|name| Dataset::parse(name).ok());
    let person =
        details.unified_address_number.as_deref().and_then(|text| UnifiedAddressNumber::parse_migrated(text).ok());
    let (Some(dataset), Some(person), false) = (dataset, person, details.content_sha256.is_empty()) else {
        return Ok(None);
    };
    let wanted = rows(details);
    let records = hall.store.exact_revisions(permit, dataset, &wanted).await?;
    let wrapped: HashMap<_, _> = hall.store.person_keys(std::slice::from_ref(&person)).await?;
    let (Some(wrapped), true) = (wrapped.get(&person), records.len() == wanted.len() && dataset != Dataset::Person)
    else {
        return Ok(None);
    };
    let key = hall.vault.unwrap_person_key(&person, wrapped)?;
    match (found.shape.direction, found.leaf.outcome) {
        (Direction::Inbound, Outcome::Received) => {
            let mut content = Vec::new();
            for record in records.iter().filter(|record| !record.deleted) {
                content.extend_from_slice(&open(&key, record)?);
            }
            Ok(Some(content))
        }
        (Direction::Outbound, Outcome::Released) => {
            let Some(filter) = permit.filter(&hall.catalog, dataset, &found.shape.fields) else { return Ok(None) };
            delivery(call, found, details, dataset, &key, &filter, &records).map(Some)
        }
        _ => Ok(None),
    }
}

fn delivery(
    call: &Call,
    found: &Found,
    details: &Details,
    dataset: Dataset,
    key: &PersonKey,
    filter: &FieldFilter,
    records: &[StoredRecord],
) -> Result<Vec<u8>, CallError> {
    let receiver = SystemId::parse(&found.shape.system).map_err(|_| damaged())?;
    let dataset = wire_dataset(dataset);
    let local = details.local_address_number.as_deref().unwrap_or_default();
    let name = |record: &StoredRecord| call.hall.vault.pseudonym(&receiver, record.dataset, record.record_key.as_str());
    let mut out = BytesMut::new();
    let mut delivery = DeliveryWriter::begin(&mut out, local, dataset, &Uuid::from_bytes(found.leaf.id));
    for record in records.iter().filter(|record| !record.deleted) {
        let mut filtered = Vec::new();
        filter.apply(&open(key, record)?, &mut filtered).map_err(|_| damaged())?;
        delivery.record(&name(record), &filtered);
    }
    for record in records.iter().filter(|record| record.deleted) {
        delivery.tombstone(&name(record));
    }
    Ok(out.to_vec())
}

fn open(key: &PersonKey, record: &StoredRecord) -> Result<Vec<u8>, CallError> {
    let row = record_row(record.dataset, &record.record_key, record.revision);
    let context = SealContext { table: "record", column: "sealed", row: &row };
    Ok(key.open(&context, &record.sealed)?.to_vec())
}
