//! Messages as the gateway takes them in: what it reads and checks field by field itself stays the bytes that arrived.
//!
//! On the wire an embedded message and a `bytes` field are the same (length-delimited), so these are the contract's messages for every
//! sender; only the Rust side sees their records undecoded. A test holds the tags against the contract.

use bytes::Bytes;
use prost::Message;

/// One chunk of PushRecords: message `atena.v1.PushRecordsRequest`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct PushRecordsRequest {
    /// UUID of the caller's choice, or empty.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// The records: messages `PushedRecord` in wire form, of whatever content.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub records: Vec<Bytes>,
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::v1;

    #[test]
    fn the_hand_written_chunk_is_the_one_of_the_contract() {
        let pool = DescriptorPool::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
        let contract = pool.get_message_by_name("atena.v1.PushRecordsRequest").unwrap();
        let fields: Vec<_> = contract.fields().map(|field| (field.number(), field.name().to_owned())).collect();
        assert_eq!(fields, [(1, "request_id".to_owned()), (2, "records".to_owned())]);
    }

    #[test]
    fn records_are_taken_in_as_the_bytes_they_came_as() {
        let record = |key: &str| v1::PushedRecord { record_key: key.into(), revision: 1, ..Default::default() };
        let sent = v1::PushRecordsRequest { request_id: "id".into(), records: vec![record("a"), record("b")] };
        let arrived = PushRecordsRequest::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(arrived.request_id, "id");
        assert_eq!(arrived.records, [record("a").encode_to_vec(), record("b").encode_to_vec()]);
    }
}
