//! [`Delivery`] written by hand, so that the gateway can send the very bytes whose digest is in the transfer log without encoding them again.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType, int32, message, skip_field, string};
use prost::{DecodeError, Message};

use crate::released::ReleasedRecord;
use crate::v1::{Dataset, Tombstone};

/// What one transfer delivered: message `atena.v1.Delivery`. A test holds it against the contract.
#[derive(Clone, PartialEq, Default)]
pub struct Delivery {
    /// The caller's own number of the person.
    pub local_address_number: String,
    /// The dataset.
    pub dataset: i32,
    /// The record of this transfer in the transfer log (UUID).
    pub transfer_id: String,
    /// The records.
    pub records: Vec<ReleasedRecord>,
    /// The records that ended since.
    pub tombstones: Vec<Tombstone>,
    /// The whole message in wire form, where that is all there is.
    packed: Bytes,
}

// === impl Delivery ===

impl Delivery {
    /// A delivery that is sent as these bytes: an `atena.v1.Delivery` in wire form. Its fields are not filled in.
    #[must_use]
    pub fn packed(wire_form: Bytes) -> Self {
        Self { packed: wire_form, ..Self::default() }
    }

    /// The dataset; unspecified where it is one that this program does not know.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        Dataset::try_from(self.dataset).unwrap_or_default()
    }
}

impl Message for Delivery {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if !self.packed.is_empty() {
            return buf.put_slice(&self.packed);
        }
        if !self.local_address_number.is_empty() {
            string::encode(1, &self.local_address_number, buf);
        }
        if self.dataset != 0 {
            int32::encode(2, &self.dataset, buf);
        }
        if !self.transfer_id.is_empty() {
            string::encode(3, &self.transfer_id, buf);
        }
        message::encode_repeated(4, &self.records, buf);
        message::encode_repeated(5, &self.tombstones, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => string::merge(wire_type, &mut self.local_address_number, buf, context),
            2 => int32::merge(wire_type, &mut self.dataset, buf, context),
            3 => string::merge(wire_type, &mut self.transfer_id, buf, context),
            4 => message::merge_repeated(wire_type, &mut self.records, buf, context),
            5 => message::merge_repeated(wire_type, &mut self.tombstones, buf, context),
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        if !self.packed.is_empty() {
            return self.packed.len();
        }
        let text = |tag, text: &String| if text.is_empty() { 0 } else { string::encoded_len(tag, text) };
        text(1, &self.local_address_number)
            + if self.dataset == 0 { 0 } else { int32::encoded_len(2, &self.dataset) }
            + text(3, &self.transfer_id)
            + message::encoded_len_repeated(4, &self.records)
            + message::encoded_len_repeated(5, &self.tombstones)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::{DescriptorPool, DynamicMessage, Value};

    use super::*;
    use crate::released::ReleasedBody;

    fn delivery() -> Delivery {
        let body = ReleasedBody::new(Dataset::Payment, Bytes::from_static(b"\x10\xe9\x0f"));
        Delivery {
            local_address_number: "T1".into(),
            dataset: Dataset::Payment.into(),
            transfer_id: "id".into(),
            records: vec![ReleasedRecord { record_id: "r".into(), body }],
            tombstones: vec![Tombstone { record_id: "t".into() }],
            packed: Bytes::new(),
        }
    }

    #[test]
    fn the_hand_written_delivery_is_the_one_of_the_contract() {
        let pool = DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
        let contract = pool.get_message_by_name("atena.v1.Delivery").unwrap();
        assert_eq!(contract.fields().count(), 5, "every field of the contract is written by hand");
        let bytes = delivery().encode_to_vec();
        let read = DynamicMessage::decode(contract, bytes.as_slice()).unwrap();
        assert_eq!(read.unknown_fields().count(), 0);
        assert_eq!(read.get_field_by_name("local_address_number").unwrap().as_ref(), &Value::String("T1".into()));
        assert_eq!(read.get_field_by_name("dataset").unwrap().as_enum_number(), Some(Dataset::Payment.into()));
        assert_eq!(read.get_field_by_name("transfer_id").unwrap().as_ref(), &Value::String("id".into()));
        let tombstones = read.get_field_by_name("tombstones").unwrap();
        assert_eq!(tombstones.as_list().unwrap().len(), 1);
        assert_eq!(read.encode_to_vec(), bytes);
        assert!(Delivery::decode(bytes.as_slice()).unwrap() == delivery());
    }

    #[test]
    fn packed_bytes_are_sent_as_they_are() {
        let bytes = delivery().encode_to_vec();
        let packed = Delivery::packed(Bytes::from(bytes.clone()));
        assert_eq!(packed.encode_to_vec(), bytes);
        assert!(Delivery::decode(packed.encode_to_vec().as_slice()).unwrap() == delivery());
        assert!(Delivery::default().encode_to_vec().is_empty());
    }
}
