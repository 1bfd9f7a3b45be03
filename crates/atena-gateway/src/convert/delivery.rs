//! A delivery, written in wire form part by part: what is hashed for the log is what is sent, encoded once.

use atena_proto::v1;
use bytes::{BufMut, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, int32, key_len};
use uuid::Uuid;

/// Field numbers of `atena.v1.Delivery`.
const LOCAL_ADDRESS_NUMBER: u32 = 1;
const DATASET: u32 = 2;
const TRANSFER_ID: u32 = 3;
const RECORDS: u32 = 4;
const TOMBSTONES: u32 = 5;

/// Field number of `record_id` in `atena.v1.ReleasedRecord` and `atena.v1.Tombstone`.
const RECORD_ID: u32 = 1;

/// Writes one delivery to the end of a buffer. Records come before tombstones, as an encoder of the message writes them.
pub(crate) struct DeliveryWriter<'b> {
    out: &'b mut BytesMut,
    dataset: v1::Dataset,
}

// === impl DeliveryWriter ===

impl<'b> DeliveryWriter<'b> {
    /// Begins a delivery.
    pub(crate) fn begin(out: &'b mut BytesMut, local: &str, dataset: v1::Dataset, transfer_id: &Uuid) -> Self {
        put(LOCAL_ADDRESS_NUMBER, local.as_bytes(), out);
        int32::encode(DATASET, &dataset.into(), out);
        let mut text = Uuid::encode_buffer();
        put(TRANSFER_ID, transfer_id.hyphenated().encode_lower(&mut text).as_bytes(), out);
        Self { out, dataset }
    }

    /// Adds a record with its filtered content.
    pub(crate) fn record(&mut self, record_id: &str, filtered: &[u8]) {
        let body = body_field(self.dataset);
        let length = length_of(RECORD_ID, record_id.len()) + body.map_or(0, |field| length_of(field, filtered.len()));
        encode_key(RECORDS, WireType::LengthDelimited, self.out);
        encode_varint(length as u64, self.out);
        put(RECORD_ID, record_id.as_bytes(), self.out);
        if let Some(field) = body {
            put(field, filtered, self.out);
        }
    }

    /// Adds a record that its owner deleted.
    pub(crate) fn tombstone(&mut self, record_id: &str) {
        encode_key(TOMBSTONES, WireType::LengthDelimited, self.out);
        encode_varint(length_of(RECORD_ID, record_id.len()) as u64, self.out);
        put(RECORD_ID, record_id.as_bytes(), self.out);
    }
}

/// The field of `atena.v1.ReleasedRecord` that holds content of a dataset.
fn body_field(dataset: v1::Dataset) -> Option<u32> {
    match dataset {
        v1::Dataset::Qualification => Some(10),
        v1::Dataset::Payment => Some(11),
        v1::Dataset::Exemption => Some(12),
        v1::Dataset::Benefit => Some(13),
        v1::Dataset::WelfarePension => Some(14),
        v1::Dataset::Unspecified | v1::Dataset::Person => None,
    }
}

fn length_of(field: u32, length: usize) -> usize {
    key_len(field) + encoded_len_varint(length as u64) + length
}

fn put(field: u32, value: &[u8], out: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.put_slice(value);
}

#[cfg(test)]
mod tests {
    use atena_proto::released::{ReleasedBody, ReleasedRecord};
    use bytes::Bytes;
    use prost::Message as _;

    use super::*;

    /// reconstructible: what is written part by part is the message of the contract, to the last byte.
    #[test]
    fn a_delivery_is_written_as_its_message_is_encoded() {
        let id = Uuid::now_v7();
        for dataset in [v1::Dataset::Qualification, v1::Dataset::Payment, v1::Dataset::Exemption, v1::Dataset::Benefit]
        {
            for content in [&b""[..], &[b'x'; 200]] {
                let mut out = BytesMut::from(&b"before"[..]);
                let mut writer = DeliveryWriter::begin(&mut out, "T1", dataset, &id);
                writer.record("r1", content);
                writer.record("r2", content);
                writer.tombstone("t1");
                let record = |record_id: &str| ReleasedRecord {
                    record_id: record_id.into(),
                    body: ReleasedBody::new(dataset, Bytes::copy_from_slice(content)),
                };
                let mut message = v1::Delivery::default();
                message.local_address_number = "T1".into();
                message.dataset = dataset.into();
                message.transfer_id = id.to_string();
                message.records = vec![record("r1"), record("r2")];
                message.tombstones = vec![v1::Tombstone { record_id: "t1".into() }];
                assert_eq!(out[b"before".len()..], message.encode_to_vec());
            }
        }
    }
}
