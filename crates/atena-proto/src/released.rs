//! [`ReleasedRecord`] written by hand, so that a filtered body is passed on as the bytes that the filter wrote.
//!
//! On the wire an embedded message and a `bytes` field are the same (length-delimited), so this is the contract's
//! `ReleasedRecord` for every reader; only the Rust side sees the body undecoded. A test holds the tags against the contract.

use bytes::Bytes;
use prost::{Message, Oneof};

use crate::v1::Dataset;

/// One record as far as the rules allow: message `atena.v1.ReleasedRecord`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct ReleasedRecord {
    /// Names the record in the receiver's system: 32 hexadecimal digits.
    #[prost(string, tag = "1")]
    pub record_id: String,
    /// The filtered content, in wire form.
    #[prost(oneof = "ReleasedBody", tags = "10, 11, 12, 13, 14")]
    pub body: Option<ReleasedBody>,
}

/// The filtered content of one record: the wire form of the dataset's message.
#[derive(Clone, PartialEq, Oneof)]
#[prost(skip_debug)]
pub enum ReleasedBody {
    /// 資格, message `Qualification`.
    #[prost(bytes = "bytes", tag = "10")]
    Qualification(Bytes),
    /// 納付, message `Payment`.
    #[prost(bytes = "bytes", tag = "11")]
    Payment(Bytes),
    /// 免除, message `Exemption`.
    #[prost(bytes = "bytes", tag = "12")]
    Exemption(Bytes),
    /// 給付, message `Benefit`.
    #[prost(bytes = "bytes", tag = "13")]
    Benefit(Bytes),
    /// 福祉年金, message `WelfarePension`.
    #[prost(bytes = "bytes", tag = "14")]
    WelfarePension(Bytes),
}

impl ReleasedBody {
    /// The body of a record of `dataset`; `None` for the datasets that are not records (`person`, unspecified).
    #[must_use]
    pub fn new(dataset: Dataset, filtered: Bytes) -> Option<Self> {
        match dataset {
            Dataset::Qualification => Some(Self::Qualification(filtered)),
            Dataset::Payment => Some(Self::Payment(filtered)),
            Dataset::Exemption => Some(Self::Exemption(filtered)),
            Dataset::Benefit => Some(Self::Benefit(filtered)),
            Dataset::WelfarePension => Some(Self::WelfarePension(filtered)),
            Dataset::Unspecified | Dataset::Person => None,
        }
    }

    /// The wire form of the dataset's message.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Qualification(bytes)
            | Self::Payment(bytes)
            | Self::Exemption(bytes)
            | Self::Benefit(bytes)
            | Self::WelfarePension(bytes) => bytes,
        }
    }

    /// The dataset it belongs to.
    #[must_use]
    pub fn dataset(&self) -> Dataset {
        match self {
            Self::Qualification(_) => Dataset::Qualification,
            Self::Payment(_) => Dataset::Payment,
            Self::Exemption(_) => Dataset::Exemption,
            Self::Benefit(_) => Dataset::Benefit,
            Self::WelfarePension(_) => Dataset::WelfarePension,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn the_hand_written_record_has_the_tags_of_the_contract() {
        let files = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
        let message = files
            .file
            .iter()
            .flat_map(|file| &file.message_type)
            .find(|message| message.name() == "ReleasedRecord")
            .unwrap();
        let mut contract: Vec<(i32, &str)> = message.field.iter().map(|field| (field.number(), field.name())).collect();
        contract.sort_unstable();
        assert_eq!(
            contract,
            [
                (1, "record_id"),
                (10, "qualification"),
                (11, "payment"),
                (12, "exemption"),
                (13, "benefit"),
                (14, "welfare_pension")
            ]
        );
    }

    #[test]
    fn a_body_reads_as_the_message_of_its_dataset() {
        let payment = crate::v1::Payment { fiscal_year: 2025, ..Default::default() };
        let body = ReleasedBody::new(Dataset::Payment, Bytes::from(payment.encode_to_vec())).unwrap();
        let record = ReleasedRecord { record_id: "r".into(), body: Some(body) };
        let again = ReleasedRecord::decode(record.encode_to_vec().as_slice()).unwrap();
        let body = again.body.unwrap();
        assert_eq!(body.dataset(), Dataset::Payment);
        assert_eq!(crate::v1::Payment::decode(body.bytes().as_ref()).unwrap().fiscal_year, 2025);
    }
}
