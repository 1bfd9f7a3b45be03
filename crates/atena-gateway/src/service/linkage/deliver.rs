//! Steps 4 and 5 of a pull: open what was read, filter it on the wire form, and pack it into deliveries with their transfer records.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use atena_proto::released::{ReleasedBody, ReleasedRecord};
use atena_proto::v1;
use atena_store::{Holding, Store, StoredRecord};
use atena_vault::{PersonKey, SealContext};
use bytes::Bytes;
use prost::Message;

use crate::call::Call;
use crate::convert::dataset::wire_dataset;
use crate::convert::record_row;
use crate::error::{CallError, Reason};
use crate::transfer::{Subject, TransferRecord, sha256};

/// Opens and filters records, with the keys of the people they are about unwrapped once.
pub(super) struct Packer<'a> {
    call: &'a Call,
    keys: HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
}

/// One delivery and the record that has to be durable before it leaves.
pub(super) struct Parcel {
    pub(super) delivery: v1::Delivery,
    pub(super) transfer: TransferRecord,
}

// === impl Packer ===

impl<'a> Packer<'a> {
    /// A packer for these people, whose records are read from `store`.
    pub(super) async fn new(call: &'a Call, store: &Store, people: &[UnifiedAddressNumber]) -> Result<Self, CallError> {
        Ok(Self { call, keys: call.hall.open_keys(&store.person_keys(people).await?)? })
    }

    /// A packer for people who were read with their keys.
    pub(super) fn of<'h>(call: &'a Call, holdings: impl Iterator<Item = &'h Holding>) -> Result<Self, CallError> {
        let keyed = holdings.filter_map(|person| Some((&person.unified_address_number, person.wrapped_key.as_ref()?)));
        Ok(Self { call, keys: call.hall.open_keys(keyed)? })
    }

    /// The content of a record as far as `permit` lets it through, in wire form.
    pub(super) fn filtered(&self, permit: &ReleasePermit, record: &StoredRecord) -> Result<Vec<u8>, CallError> {
        let key = self.keys.get(&record.unified_address_number).ok_or_else(|| {
            tracing::error!("a person has records but no key");
            CallError::new(Reason::Internal, "stored data can't be opened; nothing was released; tell the operator")
        })?;
        let row = record_row(record.dataset, &record.record_key, record.revision);
        let context = SealContext { table: "record", column: "sealed", row: &row };
        let content = key.open(&context, &record.sealed)?;
        let mut filtered = Vec::with_capacity(content.len());
        permit.filter().apply(&content, &mut filtered).map_err(|error| {
            tracing::error!(%error, "stored content is not in wire form");
            CallError::new(Reason::Internal, "stored data can't be read; nothing was released; tell the operator")
        })?;
        Ok(filtered)
    }

    /// One delivery of `records` (all of the permit's dataset, all about one person); deleted ones become tombstones.
    pub(super) fn pack(
        &self,
        permit: &ReleasePermit,
        local: &LocalAddressNumber,
        person: &UnifiedAddressNumber,
        records: &[StoredRecord],
    ) -> Result<Parcel, CallError> {
        let subject =
            Subject { local_address_number: Some(local.clone()), unified_address_number: Some(person.clone()) };
        let mut transfer = self.call.release(permit, &subject);
        transfer.person_key = self.keys.get(person).cloned();
        let dataset = wire_dataset(permit.dataset());
        let mut delivery = v1::Delivery {
            local_address_number: local.as_str().to_owned(),
            dataset: dataset.into(),
            transfer_id: transfer.transfer_id.to_string(),
            ..v1::Delivery::default()
        };
        for record in records {
            let record_id = self.record_id(record);
            if record.deleted {
                delivery.tombstones.push(v1::Tombstone { record_id });
            } else {
                let body = ReleasedBody::new(dataset, Bytes::from(self.filtered(permit, record)?));
                delivery.records.push(ReleasedRecord { record_id, body });
            }
            transfer.records.push((record.record_key.clone(), record.revision));
        }
        transfer.content_sha256 = Some(sha256(&delivery.encode_to_vec()));
        Ok(Parcel { delivery, transfer })
    }

    /// The receiver's own name of the record (own-number-only: the owner's key stays with the owner).
    fn record_id(&self, record: &StoredRecord) -> String {
        self.call.hall.vault.pseudonym(&self.call.caller.system_id, record.dataset, record.record_key.as_str())
    }
}
