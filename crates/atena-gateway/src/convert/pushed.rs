//! A pushed record: contract → checked record. Its message is read where it lies; what is kept of it is a part of the chunk that arrived.

use atena_domain::{Dataset, IdentifierError, LocalAddressNumber, RecordKey};
use atena_proto::v1;
use bytes::Bytes;
use jiff::civil::Date;
use prost::Message as _;

use super::dataset::parse_pension_dataset;
use super::in_order::InOrder;
use super::{pension, problems};
use crate::error::{CallError, FieldProblem};

/// A record as it arrived: taken apart, and nothing but its own number and key looked at.
pub(crate) struct ArrivedRecord {
    /// The caller's own number of the person.
    pub(crate) local_address_number: Result<LocalAddressNumber, IdentifierError>,
    /// The owner's key of the record.
    pub(crate) record_key: Result<RecordKey, IdentifierError>,
    /// Of the record, from 1.
    pub(crate) revision: u64,
    /// The dataset that it belongs to.
    pub(crate) dataset: Result<Dataset, CallError>,
    /// The record's message in wire form, of whatever content; `None` for a deletion.
    content: Option<Bytes>,
}

/// A record that has passed every check of its own.
pub(crate) struct ParsedRecord {
    pub(crate) record_key: RecordKey,
    pub(crate) revision: u64,
    pub(crate) dataset: Dataset,
    /// The record's message in wire form, as we would write it, so that nothing but known fields is in it; `None` for a deletion.
    pub(crate) content: Option<Bytes>,
}

/// Fields of `atena.v1.PushedRecord` that hold a record, each named as its dataset.
const BODIES: [(u32, Dataset); 5] = [
    (10, Dataset::Qualification),
    (11, Dataset::Payment),
    (12, Dataset::Exemption),
    (13, Dataset::Benefit),
    (14, Dataset::WelfarePension),
];

/// The field of `atena.v1.PushedRecord` that holds a deletion.
const DELETION: u32 = 20;

/// Revisions are kept as signed 64-bit integers.
const REVISION_MAX: u64 = i64::MAX as u64;

const NO_MESSAGE: &str = "is no message of the contract (protobuf)";

/// Takes a record apart: an `atena.v1.PushedRecord` in wire form.
///
/// # Errors
/// `INVALID_FIELD` for bytes that are no such message.
pub(crate) fn arrived(record: Bytes) -> Result<ArrivedRecord, CallError> {
    let anew = |record| Some(Bytes::from(v1::PushedRecord::decode(record).ok()?.encode_to_vec()));
    read(&record).or_else(|| read(&anew(record)?)).ok_or_else(|| CallError::field("records", NO_MESSAGE))
}

fn read(record: &Bytes) -> Option<ArrivedRecord> {
    let mut fields = InOrder::of(record);
    let local_address_number = LocalAddressNumber::parse(fields.text(1)?);
    let record_key = RecordKey::parse(fields.text(2)?);
    let revision = fields.uint64(3)?;
    let (mut dataset, mut content) = (None, None);
    for (field, of) in BODIES {
        if let Some(body) = fields.message(field)? {
            (dataset, content) = (Some(Ok(of)), Some(record.slice_ref(body)));
            break;
        }
    }
    if dataset.is_none()
        && let Some(deletion) = fields.message(DELETION)?
    {
        let mut fields = InOrder::of(deletion);
        let named = fields.int32(1)?;
        dataset = Some(parse_pension_dataset(fields.end(named)?));
    }
    let dataset = dataset.unwrap_or_else(|| Err(CallError::field("body", "is required: a record or a deletion")));
    // A second body is left over, too: which of them counts is the decoder's to say.
    fields.end(ArrivedRecord { local_address_number, record_key, revision, dataset, content })
}

/// Checks a record, every violation at once. `today` is the day in Japan: what happened can't lie
/// after it.
pub(crate) fn parse_record(record: ArrivedRecord, today: Date) -> Result<ParsedRecord, CallError> {
    let dataset = record.dataset?;
    let mut found = Vec::new();
    let mut wrong = |field: &str, error: &IdentifierError| {
        found.push(FieldProblem { field: field.to_owned(), description: error.to_string().into() });
    };
    if let Err(error) = &record.local_address_number {
        wrong("local_address_number", error);
    }
    if let Err(error) = &record.record_key {
        wrong("record_key", error);
    }
    if !(1..=REVISION_MAX).contains(&record.revision) {
        found.push(FieldProblem {
            field: "revision".to_owned(),
            description: "must be 1 or more, and below 2^63".into(),
        });
    }
    let content = match record.content {
        None => None,
        Some(content) => match pension::check(dataset, content, today) {
            Some((content, violations)) => {
                found.extend(problems(dataset.as_str(), violations));
                Some(content)
            }
            None => {
                found.push(FieldProblem { field: dataset.as_str().to_owned(), description: NO_MESSAGE.into() });
                None
            }
        },
    };
    match record.record_key {
        Ok(record_key) if found.is_empty() => {
            Ok(ParsedRecord { record_key, revision: record.revision, dataset, content })
        }
        _ => Err(CallError::fields(found)),
    }
}

#[cfg(test)]
mod tests {
    use atena_proto::v1::pushed_record::Body;
    use prost::encoding::{WireType, encode_key, encode_varint};

    use super::*;

    fn payment() -> v1::Payment {
        let month = |month: &str| v1::PaymentMonth { month: month.into(), status: "A".into(), amount_yen: 17_510 };
        v1::Payment {
            basic_pension_number: "1234567890".into(),
            fiscal_year: 2025,
            months: vec![month("2025-04"), month("2025-05")],
            ..Default::default()
        }
    }

    fn pushed(body: Option<Body>) -> v1::PushedRecord {
        v1::PushedRecord { local_address_number: "P1".into(), record_key: "K-1".into(), revision: 3, body }
    }

    fn parse(bytes: impl Into<Bytes>) -> Result<ParsedRecord, CallError> {
        parse_record(arrived(bytes.into())?, jiff::civil::date(2026, 11, 26))
    }

    fn fields(error: CallError) -> Vec<String> {
        error.problems.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn content_is_kept_where_it_arrived() {
        let bytes = Bytes::from(pushed(Some(Body::Payment(payment()))).encode_to_vec());
        let parsed = parse(bytes.clone()).ok().unwrap();
        assert_eq!((parsed.record_key.as_str(), parsed.revision), ("K-1", 3));
        assert_eq!(parsed.dataset, Dataset::Payment);
        let content = parsed.content.unwrap();
        assert_eq!(content, payment().encode_to_vec());
        assert!(bytes.as_ptr_range().contains(&content.as_ptr()), "nothing was copied");
    }

    #[test]
    fn a_body_sent_twice_counts_as_the_decoder_says() {
        // Two bodies of one kind are put together, of two kinds the last one counts.
        let mut bytes = pushed(Some(Body::Payment(payment()))).encode_to_vec();
        let more = v1::Payment { fiscal_year: 2026, ..Default::default() }.encode_to_vec();
        encode_key(11, WireType::LengthDelimited, &mut bytes);
        encode_varint(more.len() as u64, &mut bytes);
        bytes.extend_from_slice(&more);
        let content = arrived(bytes.clone().into()).ok().unwrap().content.unwrap();
        assert_eq!(content, v1::Payment { fiscal_year: 2026, ..payment() }.encode_to_vec());
        encode_key(DELETION, WireType::LengthDelimited, &mut bytes);
        encode_varint(2, &mut bytes);
        bytes.extend_from_slice(&[0x08, v1::Dataset::Benefit as u8]);
        let parsed = parse(bytes).ok().unwrap();
        assert!(parsed.content.is_none() && parsed.dataset == Dataset::Benefit);
    }

    #[test]
    fn every_wrong_part_is_told_at_once() {
        let mut record = pushed(Some(Body::Payment(v1::Payment { fiscal_year: 1, ..payment() })));
        (record.local_address_number, record.record_key, record.revision) = (String::new(), "a b".into(), 0);
        let found = fields(parse(record.encode_to_vec()).err().unwrap());
        assert_eq!(found[..3], ["local_address_number", "record_key", "revision"]);
        assert!(found[3..].contains(&"payment.fiscal_year".to_owned()));
        let unnamed = Some(Body::Deletion(v1::Deletion { dataset: 99 }));
        assert_eq!(parse(pushed(unnamed).encode_to_vec()).err().unwrap().reason, crate::error::Reason::UnknownDataset);
        assert_eq!(fields(parse(pushed(None).encode_to_vec()).err().unwrap()), ["body"]);
    }

    #[test]
    fn bytes_that_are_no_message_are_wrong_by_themselves() {
        assert_eq!(fields(parse(&b"\x0a\x05ab"[..]).err().unwrap()), ["records"]);
        let mut bytes = pushed(None).encode_to_vec();
        bytes.extend_from_slice(b"\x5a\x02\x0a\x09");
        assert_eq!(fields(parse(bytes).err().unwrap()), ["payment"]);
    }
}
