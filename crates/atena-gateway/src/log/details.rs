//! What the log keeps of a transfer beside its leaf: sealed, and bound to the leaf by a commitment.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::UnifiedAddressNumber;
use atena_ledger::{Leaf, Salts, commit_content, commit_details, commit_subject};
use atena_store::StoredDetails;
use atena_vault::{PersonKey, SealContext, Vault};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::error::{CallError, Reason};
use crate::transfer::{OperatorProof, TransferRecord};

/// The details of one transfer, in the form that is sealed and committed to.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Details {
    /// 32 random bytes from which the commitments' salts come.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) seed: Vec<u8>,
    /// 操作者ID.
    #[prost(string, optional, tag = "2")]
    pub(crate) operator_id: Option<String>,
    /// The calling system's number of the person.
    #[prost(string, optional, tag = "3")]
    pub(crate) local_address_number: Option<String>,
    /// The person.
    #[prost(string, optional, tag = "4")]
    pub(crate) unified_address_number: Option<String>,
    /// Rows sent or received.
    #[prost(message, repeated, tag = "5")]
    pub(crate) records: Vec<Row>,
    /// SHA-256 of what was sent or stored; empty where nothing was.
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) content_sha256: Vec<u8>,
    /// The caller's request id.
    #[prost(string, optional, tag = "7")]
    pub(crate) request_id: Option<String>,
    /// In the admin log: places, and why something failed.
    #[prost(string, optional, tag = "8")]
    pub(crate) note: Option<String>,
    /// What the operator id stands on: 0 it was told, 1 a certificate, 2 a sign-in at the provider.
    #[prost(uint32, tag = "9")]
    pub(crate) operator_proof: u32,
}

/// One row and its revision.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Row {
    /// The owner's key.
    #[prost(string, tag = "1")]
    pub(crate) record_key: String,
    /// Its revision.
    #[prost(uint64, tag = "2")]
    pub(crate) revision: u64,
}

// === impl Details ===

impl Details {
    /// The salts of this transfer's commitments.
    pub(crate) fn salts(&self) -> Option<Salts> {
        self.seed.as_slice().try_into().ok().map(|seed| Salts::from_seed(&seed))
    }

    /// What the operator id stands on; what nobody knows any more proves nothing.
    pub(crate) fn operator_proof(&self) -> OperatorProof {
        match self.operator_proof {
            1 => OperatorProof::Certificate,
            2 => OperatorProof::SignIn,
            _ => OperatorProof::Told,
        }
    }

    /// Opens details and checks them against the leaf; `None` where they were erased.
    ///
    /// # Errors
    /// The log is damaged: what is kept is not what the leaf commits to.
    pub(crate) fn open(
        vault: &Vault,
        keys: &HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
        leaf: &Leaf,
        stored: &StoredDetails,
    ) -> Result<Option<Self>, CallError> {
        if stored.sealed.is_empty() {
            return Ok(None);
        }
        let place = place(&leaf.id);
        let opened = match &stored.person {
            None => vault.municipal_key().open(&place, &stored.sealed)?,
            Some(person) => match keys.get(person) {
                Some(key) => key.open(&place, &stored.sealed)?,
                // The person was erased, and with the key everything sealed with it.
                None => return Ok(None),
            },
        };
        let details = Self::decode(opened.as_slice()).map_err(|_| damaged())?;
        let salts = details.salts().ok_or_else(damaged)?;
        let subject = details.unified_address_number.as_deref().unwrap_or_default();
        let kept = commit_details(&salts.details, &opened) == leaf.details
            && commit_subject(&salts.subject, subject) == leaf.subject
            && commit_content(&salts.content, &details.content_sha256) == leaf.content;
        if kept { Ok(Some(details)) } else { Err(damaged()) }
    }
}

/// Appends the details of a record in the form of [`Details`], straight from the record: a pull writes hundreds of thousands of them.
pub(super) fn encode_details(record: &TransferRecord, seed: &[u8; 32], out: &mut Vec<u8>) {
    put_bytes(1, seed, out);
    if let Some(operator) = &record.heading.operator_id {
        put_bytes(2, operator.as_bytes(), out);
    }
    if let Some(local) = &record.local_address_number {
        put_bytes(3, local.as_str().as_bytes(), out);
    }
    if let Some(person) = &record.unified_address_number {
        put_bytes(4, person.as_str().as_bytes(), out);
    }
    for (key, revision) in &record.records {
        let key = key.as_str().as_bytes();
        // A tag of one byte before each value.
        let length = 1 + encoded_len_varint(key.len() as u64) + key.len() + 1 + encoded_len_varint(*revision);
        encode_key(5, WireType::LengthDelimited, out);
        encode_varint(length as u64, out);
        put_bytes(1, key, out);
        encode_key(2, WireType::Varint, out);
        encode_varint(*revision, out);
    }
    if let Some(digest) = &record.content_sha256 {
        put_bytes(6, digest, out);
    }
    if let Some(request_id) = &record.heading.request_id {
        put_bytes(7, request_id.as_bytes(), out);
    }
    let proof = proof_number(record.heading.operator_proof);
    if proof != 0 {
        encode_key(9, WireType::Varint, out);
        encode_varint(proof.into(), out);
    }
}

/// What [`Details::operator_proof`] reads.
pub(crate) fn proof_number(proof: OperatorProof) -> u32 {
    match proof {
        OperatorProof::Told => 0,
        OperatorProof::Certificate => 1,
        OperatorProof::SignIn => 2,
    }
}

fn put_bytes(tag: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Where the details of a transfer are sealed for.
pub(crate) fn place(id: &[u8; 16]) -> SealContext<'_> {
    SealContext { table: "log_details", column: "sealed", row: id }
}

/// The log holds what it never wrote.
pub(crate) fn damaged() -> CallError {
    tracing::error!("the transfer log is damaged: run `atena log fsck`");
    CallError::new(Reason::Internal, "the transfer log is damaged; the operator has to run `atena log fsck`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::{Method, Subject, of_gateway};
    use atena_domain::{LocalAddressNumber, RecordKey};
    use atena_ledger::Direction;

    /// reconstructible: what is written straight from a record is read as the message it stands for.
    #[test]
    fn details_are_written_as_they_are_read() {
        let method = Method { name: "m", direction: Direction::Outbound };
        let mut record = of_gateway([0; 32], method, "gateway");
        let seed = [9; 32];
        let read = |record: &TransferRecord| {
            let mut encoded = Vec::new();
            encode_details(record, &seed, &mut encoded);
            let details = Details::decode(encoded.as_slice()).unwrap();
            assert_eq!(details.encode_to_vec(), encoded, "the commitment is over these very bytes");
            details
        };
        assert!(read(&record) == Details { seed: seed.to_vec(), ..Details::default() });

        let subject = Subject {
            local_address_number: Some(LocalAddressNumber::parse("T1").unwrap()),
            unified_address_number: Some(UnifiedAddressNumber::from_body(1).unwrap()),
        };
        record = TransferRecord::under(&Arc::clone(&record.heading), subject);
        record.heading_mut().operator_id = Some("op-1".into());
        record.heading_mut().operator_proof = OperatorProof::SignIn;
        record.heading_mut().request_id = Some("r".into());
        record.content_sha256 = Some([7; 32]);
        record.records =
            [("A", 1), ("B", 1 << 40)].map(|(key, at)| (RecordKey::parse(key).unwrap(), at)).into_iter().collect();
        let expected = Details {
            seed: seed.to_vec(),
            operator_id: Some("op-1".into()),
            local_address_number: Some("T1".into()),
            unified_address_number: Some("000000000000019".into()),
            records: [("A", 1), ("B", 1 << 40)]
                .map(|(key, revision)| Row { record_key: key.into(), revision })
                .to_vec(),
            content_sha256: vec![7; 32],
            request_id: Some("r".into()),
            operator_proof: 2,
            note: None,
        };
        assert!(read(&record) == expected);
    }
}
