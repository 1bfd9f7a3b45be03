//! What is written straight from the wire is, byte for byte, what the contract's own reader and the `csv` crate make of it.

use atena_proto::released::{ReleasedBody, ReleasedRecord};
use atena_proto::v1::pushed_record::Body;
use atena_proto::v1::{Dataset, Deletion, Delivery, PersonRegistration, PushedRecord, Tombstone};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::columns::{self, Column};
use super::{Bom, Format, PEOPLE, PeopleWriter, RecordWriter, ReleasedRows, record_message};
use crate::contract::Contract;
use crate::error::CliError;

const DATASETS: [Dataset; 5] =
    [Dataset::Qualification, Dataset::Payment, Dataset::Exemption, Dataset::Benefit, Dataset::WelfarePension];

/// Texts that a file has to carry: quotation marks, separators, line ends, IVS, plane 16, and nothing.
const TEXTS: [&str; 12] = [
    "",
    "a",
    "2025-04",
    "\"",
    "a,b",
    "\n",
    "\r\n",
    "\r",
    "神\u{fa19}邉\u{e0102}\u{10de92}",
    " ",
    "\u{feff}",
    "\"\"全,部\"",
];

fn dice(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn delivery(record: ReleasedRecord) -> Delivery {
    let mut delivery = Delivery::default();
    delivery.records.push(record);
    delivery
}

/// Any message: each field absent, default, or something, and lists that are longer than the columns.
fn any(message: &MessageDescriptor, dice: &mut ChaCha8Rng) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields() {
        match dice.random_range(0..4) {
            0 => {}
            _ if field.is_list() => {
                let length = dice.random_range(0..15);
                made.set_field(&field, Value::List((0..length).map(|_| value(&field, dice)).collect()));
            }
            _ => made.set_field(&field, value(&field, dice)),
        }
    }
    made
}

fn value(field: &FieldDescriptor, dice: &mut ChaCha8Rng) -> Value {
    let number = [0, 1, -1, 17_510, i64::from(i32::MIN), i64::MAX, i64::MIN][dice.random_range(0..7)];
    match field.kind() {
        Kind::Message(inner) => Value::Message(any(&inner, dice)),
        Kind::String => Value::String(TEXTS[dice.random_range(0..TEXTS.len())].to_owned()),
        Kind::Bool => Value::Bool(dice.random_bool(0.5)),
        Kind::Enum(_) => Value::EnumNumber(number as i32),
        Kind::Int32 => Value::I32(number as i32),
        Kind::Int64 => Value::I64(number),
        Kind::Uint32 => Value::U32(number as u32),
        Kind::Uint64 => Value::U64(number as u64),
        kind => panic!("the contract has a field of kind {kind:?} now: {}", field.full_name()),
    }
}

/// Something that is read by every reader of the message, though no writer of ours would write it so.
fn odd(mut wire: Vec<u8>, again: &[u8], dice: &mut ChaCha8Rng) -> Vec<u8> {
    match dice.random_range(0..4) {
        // Fields twice: messages are merged, of numbers the last one counts.
        0 => wire.extend_from_slice(again),
        // Fields of a later contract: a varint, a text, a group.
        1 => wire.extend_from_slice(&[0x80, 0x7d, 0x05, 0x8a, 0x7d, 0x01, b'x', 0x93, 0x7d, 0x08, 0x01, 0x94, 0x7d]),
        _ => {}
    }
    wire
}

/// The file as the contract's own reader and the `csv` crate make it.
fn reference(header: Vec<String>, rows: Vec<Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).unwrap();
    rows.into_iter().for_each(|row| writer.write_record(row).unwrap());
    writer.into_inner().unwrap()
}

fn columns_of(name: &str) -> (MessageDescriptor, Vec<Column>) {
    columns::of_message(&Contract::load().unwrap(), name).unwrap()
}

#[test]
fn a_pulled_file_is_what_the_contract_and_the_csv_crate_make_of_the_records() {
    for dataset in DATASETS {
        let dice = &mut dice(7 + dataset as u64);
        let (message, columns) = columns_of(record_message(dataset).unwrap().0);
        let mut rows = ReleasedRows::new(dataset, Format::Csv).unwrap();
        let (mut file, mut expected) = (Vec::new(), Vec::new());
        rows.head(Bom::Without, &mut file);
        for number in 0..2_000 {
            let wire = any(&message, dice).encode_to_vec();
            let wire = odd(wire, &any(&message, dice).encode_to_vec(), dice);
            let body = DynamicMessage::decode(message.clone(), wire.as_slice()).unwrap();
            let local = TEXTS[dice.random_range(0..TEXTS.len())].to_owned();
            let record =
                ReleasedRecord { record_id: format!("r{number}"), body: ReleasedBody::new(dataset, wire.into()) };
            let gone = Tombstone { record_id: format!("d{number}") };
            expected.push(vec![local.clone(), record.record_id.clone(), "0".to_owned()]);
            expected.last_mut().unwrap().extend(columns.iter().map(|column| column.get(&body)));
            expected.push(vec![local.clone(), gone.record_id.clone(), "1".to_owned()]);
            expected.last_mut().unwrap().extend(columns.iter().map(|_| String::new()));
            let mut delivery = delivery(record);
            (delivery.local_address_number, delivery.tombstones) = (local, vec![gone]);
            rows.append(&delivery, &mut file).unwrap();
        }
        let fixed = ["宛名番号", "レコードID", "削除フラグ"].map(str::to_owned);
        let header = fixed.into_iter().chain(columns.iter().map(|column| column.japanese.clone())).collect();
        assert!(file == reference(header, expected), "{dataset:?}");
    }
}

#[test]
fn what_the_contracts_reader_refuses_is_refused_and_nothing_else() {
    for dataset in DATASETS {
        let dice = &mut dice(70 + dataset as u64);
        let (message, _) = columns_of(record_message(dataset).unwrap().0);
        let mut rows = ReleasedRows::new(dataset, Format::Csv).unwrap();
        for _ in 0..5_000 {
            let mut wire = any(&message, dice).encode_to_vec();
            for _ in 0..dice.random_range(1..3) {
                if !wire.is_empty() {
                    let at = dice.random_range(0..wire.len());
                    wire[at] = dice.random_range(0..=255);
                }
            }
            wire.truncate(dice.random_range(0..=wire.len()));
            let refused = DynamicMessage::decode(message.clone(), wire.as_slice()).is_err();
            let record =
                ReleasedRecord { record_id: String::new(), body: ReleasedBody::new(dataset, wire.clone().into()) };
            let answer = rows.append(&delivery(record), &mut Vec::new());
            assert_eq!(matches!(answer, Err(CliError::Answer(_))), refused, "{dataset:?} {wire:02x?}");
        }
    }
}

#[test]
fn a_file_of_people_is_what_the_contract_and_the_csv_crate_make_of_them() {
    let dice = &mut dice(3);
    let (message, columns) = columns_of(PEOPLE);
    let (mut file, mut expected) = (Vec::new(), Vec::new());
    let mut writer = PeopleWriter::new(&mut file, Bom::Without).unwrap();
    for _ in 0..2_000 {
        let person = any(&message, dice);
        expected.push(columns.iter().map(|column| column.get(&person)).collect());
        writer.write(&person.transcode_to::<PersonRegistration>().unwrap()).unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 2_000);
    let end = file.iter().position(|byte| *byte == b'\n').unwrap();
    let header = String::from_utf8(file[..end].to_vec()).unwrap().split(',').map(str::to_owned).collect();
    assert!(file == reference(header, expected));
}

#[test]
fn a_file_of_records_is_what_the_contract_and_the_csv_crate_make_of_them() {
    for dataset in DATASETS {
        let dice = &mut dice(30 + dataset as u64);
        let (name, field) = record_message(dataset).unwrap();
        let (message, columns) = columns_of(name);
        let outer = Contract::load().unwrap().message("PushedRecord").unwrap();
        let (mut file, mut expected) = (Vec::new(), Vec::new());
        let mut writer = RecordWriter::new(dataset, &mut file, Bom::Without).unwrap();
        for revision in 0..2_000_u64 {
            let body = any(&message, dice);
            let mut whole = DynamicMessage::new(outer.clone());
            whole.set_field_by_name(field, Value::Message(body.clone()));
            let mut record: PushedRecord = whole.transcode_to().unwrap();
            (record.record_key, record.revision) = (TEXTS[dice.random_range(0..TEXTS.len())].into(), revision as _);
            let deleted = dice.random_bool(0.1);
            if deleted {
                record.body = Some(Body::Deletion(Deletion { dataset: dataset.into() }));
            }
            let fixed = [String::new(), record.record_key.clone(), revision.to_string(), u8::from(deleted).to_string()];
            let cells = columns.iter().map(|column| if deleted { String::new() } else { column.get(&body) });
            expected.push(fixed.into_iter().chain(cells).collect());
            writer.write(&record).unwrap();
        }
        writer.finish().unwrap();
        let fixed = ["宛名番号", "レコードキー", "改訂番号", "削除フラグ"].map(str::to_owned);
        let header = fixed.into_iter().chain(columns.iter().map(|column| column.japanese.clone())).collect();
        assert!(file == reference(header, expected), "{dataset:?}");
    }
}
