use proptest::prelude::*;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::*;
use crate::convert::dataset::known_dataset;

const TODAY: Date = jiff::civil::date(2026, 11, 26);

/// Fields of any message of the contract, and others: in any order, more than once, empty, in the wrong place.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let value = prop::sample::select(vec![0, 1, 2, 7, 2025, 17_510, u64::MAX, i64::from(i32::MIN).cast_unsigned()]);
    let number = (1u32..=12, value).prop_map(|(field, value)| {
        let mut out = Vec::new();
        encode_key(field, WireType::Varint, &mut out);
        encode_varint(value, &mut out);
        out
    });
    let texts = ["", "A", "サ", "1234567890", "2025-04", "2025-04-01", "遡及"].map(|text| text.as_bytes().to_vec());
    let content = prop_oneof![8 => prop::sample::select(texts.to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..4)];
    let text = (1u32..=12, content).prop_map(|(field, content)| delimited(field, &content));
    let fields = prop::collection::vec(prop_oneof![number, text], 0..8).prop_map(|fields| fields.concat());
    fields.prop_recursive(2, 32, 6, |inner| {
        let nested = (1u32..=12, inner.clone()).prop_map(|(field, content)| delimited(field, &content));
        prop::collection::vec(prop_oneof![nested, inner], 0..6).prop_map(|fields| fields.concat())
    })
}

fn delimited(field: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(field, WireType::LengthDelimited, &mut out);
    encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// What the decoder makes of it, written anew.
fn anew<M: Message + Default>(content: &[u8]) -> Option<Vec<u8>> {
    Some(M::decode(content).ok()?.encode_to_vec())
}

type Anew = fn(&[u8]) -> Option<Vec<u8>>;

const MESSAGES: [(Dataset, Reader, Anew); 5] = [
    (Dataset::Qualification, qualification, anew::<v1::Qualification>),
    (Dataset::Payment, payment, anew::<v1::Payment>),
    (Dataset::Exemption, exemption, anew::<v1::Exemption>),
    (Dataset::Benefit, benefit, anew::<v1::Benefit>),
    (Dataset::WelfarePension, welfare_pension, anew::<v1::WelfarePension>),
];

proptest! {
    /// deny-by-default: what is kept of any content is what its decoder reads of it, and nothing is kept that it can't read.
    #[test]
    fn content_is_kept_as_its_decoder_would_write_it(content in wire()) {
        for (dataset, read, anew) in MESSAGES {
            let kept = check(dataset, Bytes::from(content.clone()), TODAY).map(|(kept, _)| kept.to_vec());
            prop_assert_eq!(&kept, &anew(&content));
            if let Some(kept) = kept {
                prop_assert!(read(&kept, TODAY).is_some(), "what we wrote is read as it stands");
            }
        }
    }

    /// The same of bytes that are nearly as we would write them.
    #[test]
    fn a_changed_byte_is_not_taken_for_ours(content in wire(), at: prop::sample::Index, byte: u8, insert: bool) {
        for (dataset, _, anew) in MESSAGES {
            let Some(mut content) = anew(&content) else { continue };
            let at = at.index(content.len() + 1);
            match content.get_mut(at) {
                Some(place) if !insert => *place = byte,
                _ => content.insert(at, byte),
            }
            let kept = check(dataset, Bytes::from(content.clone()), TODAY).map(|(kept, _)| kept.to_vec());
            prop_assert_eq!(kept, anew(&content));
        }
    }
}

/// A message with one field, somewhere below.
fn with(numbers: &[u32], leaf: &[u8]) -> Bytes {
    let Some((_, parents)) = numbers.split_last() else { return Bytes::new() };
    parents.iter().rev().fold(leaf.to_vec(), |inner, parent| delimited(*parent, &inner)).into()
}

/// What is wrong with content; the place in a list left out. `None` where it is no message.
fn wrong(dataset: Dataset, content: Bytes) -> Option<Vec<(String, String)>> {
    let (_, violations) = check(dataset, content, TODAY)?;
    Some(violations.into_iter().map(|one| (one.field.replace("[0]", ""), one.text.into_owned())).collect())
}

/// Whatever field of the contract is wrong, it is that one of which it is told.
#[test]
fn every_field_of_the_contract_is_read_where_it_belongs() {
    let datasets = atena_proto::DATASET_FIELDS.iter().filter_map(|(dataset, fields)| {
        let dataset = known_dataset(*dataset).filter(|dataset| *dataset != Dataset::Person)?;
        Some((dataset, *fields))
    });
    for (dataset, fields) in datasets {
        for field in fields {
            let last = *field.numbers.last().unwrap();
            let text = |text: &[u8]| with(field.numbers, &delimited(last, text));
            let number = |value| {
                let mut leaf = Vec::new();
                encode_key(last, WireType::Varint, &mut leaf);
                encode_varint(value, &mut leaf);
                with(field.numbers, &leaf)
            };
            // What is wrong with the rest: whatever of these the field may hold, it is good with one.
            let others = [with(field.numbers, &[]), text(b"A"), number(2), number(2025)];
            let rest = others.into_iter().filter_map(|content| wrong(dataset, content));
            let rest =
                rest.reduce(|one, other| one.into_iter().filter(|wrong| other.contains(wrong)).collect()).unwrap();
            let after = wrong(dataset, text(b"\x07")).or_else(|| wrong(dataset, number(u64::MAX))).unwrap();
            let told: Vec<_> = after.into_iter().filter(|one| !rest.contains(one)).map(|(field, _)| field).collect();
            // Either answer is right.
            let is_wrong = field.path != "unpaid_benefit_claimed";
            assert_eq!(
                told.contains(&field.path.to_owned()),
                is_wrong,
                "{}.{}: {told:?}",
                dataset.as_str(),
                field.path
            );
        }
    }
}

#[test]
fn a_list_of_months_without_end_is_wrong_as_a_whole() {
    let months = vec![v1::PaymentMonth::default(); 100_000];
    let payment = v1::Payment { fiscal_year: 2025, months, ..Default::default() };
    let found = wrong(Dataset::Payment, payment.encode_to_vec().into()).unwrap();
    assert!(found.iter().any(|(field, _)| field == "months"));
}
