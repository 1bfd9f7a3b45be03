//! Steps 4 and 5 of a pull: open what was read, filter it on the wire form, and pack it into deliveries with their transfer records.

use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, UnifiedAddressNumber};
use atena_ledger::Outcome;
use atena_policy::ReleasePermit;
use atena_proto::v1;
use atena_store::{Holding, StoredRecord};
use atena_vault::{PersonKey, Pseudonym, Pseudonyms, SealContext};
use bytes::BytesMut;
use smallvec::SmallVec;

use crate::call::Call;
use crate::convert::dataset::wire_dataset;
use crate::convert::delivery::DeliveryWriter;
use crate::convert::put_record_row;
use crate::error::{CallError, Reason};
use crate::transfer::{Heading, Subject, TransferRecord, sha256};

/// Bytes of deliveries that are written before another buffer is begun.
const BUFFER_BYTES: usize = 64 * 1024;

/// Opens, filters and packs records for one call.
pub(super) struct Packer<'a> {
    releases: Vec<Release<'a>>,
    buffer: BytesMut,
    filtered: Vec<u8>,
    scratch: Scratch,
}

/// Buffers that take one record after the other.
#[derive(Default)]
struct Scratch {
    row: Vec<u8>,
    content: Vec<u8>,
}

/// One permit of the call, and what is the same in everything released by it.
struct Release<'a> {
    permit: &'a ReleasePermit,
    heading: Arc<Heading>,
    pseudonyms: Pseudonyms,
    dataset: v1::Dataset,
}

/// Whom a delivery is about: a person as the caller knows them, and what opens their records.
pub(super) struct Addressee {
    local_address_number: LocalAddressNumber,
    unified_address_number: UnifiedAddressNumber,
    key: Option<Arc<PersonKey>>,
}

/// One delivery and the record that has to be durable before it leaves.
pub(super) struct Parcel {
    pub(super) delivery: v1::Delivery,
    pub(super) transfer: TransferRecord,
}

// === impl Addressee ===

impl Addressee {
    /// The person of a holding, whose key is opened.
    pub(super) fn of(call: &Call, holding: &Holding) -> Result<Self, CallError> {
        let person = &holding.unified_address_number;
        let key = holding.wrapped_key.as_ref().map(|wrapped| call.hall.vault.unwrap_person_key(person, wrapped));
        Ok(Self::new(holding.local_address_number.clone(), person.clone(), key.transpose()?.map(Arc::new)))
    }

    pub(super) fn new(
        local_address_number: LocalAddressNumber,
        unified_address_number: UnifiedAddressNumber,
        key: Option<Arc<PersonKey>>,
    ) -> Self {
        Self { local_address_number, unified_address_number, key }
    }
}

// === impl Packer ===

impl<'a> Packer<'a> {
    /// A packer for what these permits release to the caller.
    pub(super) fn new(call: &Call, permits: &'a [ReleasePermit]) -> Self {
        let releases = permits.iter().map(|permit| Release {
            permit,
            heading: Arc::new(call.release_heading(permit)),
            pseudonyms: call.hall.vault.pseudonyms(&call.caller.system_id, permit.dataset()),
            dataset: wire_dataset(permit.dataset()),
        });
        Self {
            releases: releases.collect(),
            buffer: BytesMut::new(),
            filtered: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// One delivery of `records` (all of one dataset, all about the addressee); deleted ones become tombstones. `None` for a dataset without
    /// a permit.
    pub(super) fn pack(
        &mut self,
        to: &Addressee,
        dataset: Dataset,
        records: &[StoredRecord],
    ) -> Result<Option<Parcel>, CallError> {
        let Self { releases, buffer, filtered, scratch, .. } = self;
        let Some(release) = releases.iter().find(|release| release.permit.dataset() == dataset) else {
            return Ok(None);
        };
        let subject = Subject {
            local_address_number: Some(to.local_address_number.clone()),
            unified_address_number: Some(to.unified_address_number.clone()),
        };
        let mut transfer = TransferRecord::under(&release.heading, subject);
        transfer.outcome = Outcome::Released;
        transfer.person_key = to.key.clone();
        let records = release.in_order(records);
        transfer.records = records.iter().map(|(_, record)| (record.record_key.clone(), record.revision)).collect();

        if buffer.capacity() < BUFFER_BYTES / 16 {
            buffer.reserve(BUFFER_BYTES);
        }
        let local = to.local_address_number.as_str();
        let mut delivery = DeliveryWriter::begin(buffer, local, release.dataset, &transfer.transfer_id);
        for (name, record) in records.iter().filter(|(_, record)| !record.deleted) {
            filtered.clear();
            if let Err(error) = release.filter(to.key.as_ref(), record, scratch, filtered) {
                // What was written of it goes nowhere.
                buffer.clear();
                return Err(error);
            }
            delivery.record(name.as_str(), filtered);
        }
        for (name, _) in records.iter().filter(|(_, record)| record.deleted) {
            delivery.tombstone(name.as_str());
        }
        let bytes = buffer.split().freeze();
        transfer.content_sha256 = Some(sha256(&bytes));
        Ok(Some(Parcel { delivery: v1::Delivery::packed(bytes), transfer }))
    }
}

// === impl Release ===

impl Release<'_> {
    /// Records with the names by which the caller knows them, in the order of these names: the order
    /// of the owner's keys would be the same for every consumer.
    fn in_order<'r>(&self, records: &'r [StoredRecord]) -> SmallVec<[(Pseudonym, &'r StoredRecord); 1]> {
        let named = |record: &'r StoredRecord| (self.pseudonyms.of(record.record_key.as_str()), record);
        let mut named: SmallVec<[_; 1]> = records.iter().map(named).collect();
        named.sort_unstable_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        named
    }

    fn filter(
        &self,
        key: Option<&Arc<PersonKey>>,
        record: &StoredRecord,
        Scratch { row, content }: &mut Scratch,
        filtered: &mut Vec<u8>,
    ) -> Result<(), CallError> {
        let key = key.ok_or_else(|| {
            tracing::error!("a person has records but no key");
            CallError::new(Reason::Internal, "stored data can't be opened; nothing was released; tell the operator")
        })?;
        row.clear();
        put_record_row(record.dataset, &record.record_key, record.revision, row);
        let context = SealContext { table: "record", column: "sealed", row };
        key.open_to(&context, &record.sealed, content)?;
        self.permit.filter().apply(content, filtered).map_err(|error| {
            tracing::error!(%error, "stored content is not in wire form");
            CallError::new(Reason::Internal, "stored data can't be read; nothing was released; tell the operator")
        })
    }
}
