//! Input that no honest client sends: every answer is typed, recorded, and changes nothing.

use atena_proto::v1;
use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _, Bytes};
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::people::{qualification, record, registration};
use crate::town::{Town, reason};

/// Sends and takes bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// A unary call with these bytes as its message.
async fn send(town: &Town, system: &str, method: &str, message: Vec<u8>) -> Status {
    let mut client = tonic::client::Grpc::new(town.channel(system)).max_encoding_message_size(usize::MAX);
    client.ready().await.unwrap();
    let path = PathAndQuery::try_from(format!("/atena.v1.{method}")).unwrap();
    client.unary(Request::new(message), path, Raw).await.err().unwrap_or_else(|| panic!("{method} was answered"))
}

/// Field 1 as length-delimited bytes.
fn field_1(value: &[u8]) -> Vec<u8> {
    let mut message = vec![0x0a];
    prost::encode_length_delimiter(value.len(), &mut message).unwrap();
    message.extend_from_slice(value);
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_of_the_contract_is_refused_with_a_reason_and_recorded() {
    let town = Town::start();
    let methods = [
        ("pension", "AddressService/RegisterPerson"),
        ("pension", "AddressService/GetPerson"),
        ("address-administrator", "AddressService/ResolveNumbers"),
        ("resident-tax", "LinkageService/GetRecords"),
        ("resident-tax", "LinkageService/PullRecords"),
        ("auditor", "TransferLogService/ListTransfers"),
        ("auditor", "TransferLogService/GetTransfer"),
    ];
    for (system, method) in methods {
        let wrong = [
            ("text that isn't UTF-8", field_1(&[0xff, 0xfe, 0xfd])),
            ("a length beyond the end", vec![0x0a, 0x7f, b'a']),
            ("a field number of zero", vec![0x02, 0x01, 0x00]),
            ("a wire type that does not exist", vec![0x0f]),
            ("a varint without an end", vec![0x08; 40]),
        ];
        for (what, message) in wrong {
            let refused = send(&town, system, method, message).await;
            assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{method}: {what}: {refused:?}");
            assert_eq!(reason(&refused), "INVALID_FIELD", "{method}: {what}");
        }
        let recorded = town.transfers(&format!("method = \"{method}\" AND outcome = \"REFUSED\"")).await;
        assert_eq!(recorded.len(), 5, "log-before-release: {method}");
        assert!(recorded.iter().all(|transfer| transfer.system_id == system && transfer.reason == "INVALID_FIELD"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused_before_it_is_read() {
    let town = Town::start();
    let refused = send(&town, "pension", "AddressService/RegisterPerson", field_1(&vec![b'a'; 5 * 1024 * 1024])).await;
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
    assert_eq!(reason(&refused), "MESSAGE_TOO_LARGE");
    let recorded = town.transfers("reason = \"MESSAGE_TOO_LARGE\"").await;
    assert_eq!(recorded.len(), 1);

    let many = v1::GetRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![v1::Dataset::Payment.into()],
        local_address_numbers: (0..101).map(|number| format!("T{number}")).collect(),
        ..Default::default()
    };
    let refused = town.linkage("resident-tax").get_records(many).await.err().unwrap();
    assert_eq!((refused.code(), reason(&refused).as_str()), (tonic::Code::InvalidArgument, "TOO_MANY_PERSONS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_not_kept_and_so_never_leave() {
    let town = Town::start();
    let mut known = registration("P1", None);
    town.register("pension", known.clone()).await.unwrap();
    // A later contract's field 90 in the record's body, with a value that must not come out anywhere.
    let mut body = qualification().encode_to_vec();
    body.extend_from_slice(&[0xd2, 0x05, 0x06]);
    body.extend_from_slice(b"secret");
    let mut pushed = v1::PushedRecord { body: None, ..qualified("Q-1") }.encode_to_vec();
    put_delimited(10, &body, &mut pushed);
    let answer = push_bytes(&town, &[pushed]).await;
    assert_eq!(answer.results[0].outcome, i32::from(v1::PushOutcome::Stored));

    known.local_address_number = "T1".to_owned();
    town.register("resident-tax", known).await.unwrap();
    let again = town.push(vec![qualified("Q-1")]).await;
    assert_eq!(again[0].outcome, i32::from(v1::PushOutcome::Unchanged), "the unknown field was not stored");
}

/// A record of P1.
fn qualified(key: &str) -> v1::PushedRecord {
    record("P1", key, 1, v1::pushed_record::Body::Qualification(qualification()))
}

fn put_delimited(field: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// Pushes one chunk of records that are these bytes.
async fn push_bytes(town: &Town, records: &[Vec<u8>]) -> v1::PushRecordsResponse {
    let mut chunk = Vec::new();
    records.iter().for_each(|record| put_delimited(2, record, &mut chunk));
    let mut client = tonic::client::Grpc::new(town.channel("pension"));
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/atena.v1.RecordService/PushRecords");
    let mut answers = client.streaming(Request::new(tokio_stream::once(chunk)), path, Raw).await.unwrap().into_inner();
    v1::PushRecordsResponse::decode(answers.message().await.unwrap().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_no_message_comes_back_and_the_others_go_on() {
    let town = Town::start();
    town.register("pension", registration("P1", None)).await.unwrap();
    let mut no_body = v1::PushedRecord { body: None, ..qualified("Q-2") }.encode_to_vec();
    put_delimited(10, b"\x0a\x09", &mut no_body);
    let no_text = v1::PushedRecord { body: None, ..qualified("Q-3") }.encode_to_vec();
    let no_text = [b"\x0a\x01\xff".to_vec(), no_text].concat();
    let records = [qualified("Q-1").encode_to_vec(), b"\x0a\x05ab".to_vec(), no_body, no_text];
    let results = push_bytes(&town, &records).await.results;
    assert_eq!(results[0].outcome(), v1::PushOutcome::Stored);
    for (result, field) in results[1..].iter().zip(["records", "qualification", "records"]) {
        assert_eq!(result.outcome(), v1::PushOutcome::Rejected);
        let error = result.error.as_ref().unwrap();
        assert_eq!((error.reason.as_str(), error.violations[0].field.as_str()), ("INVALID_FIELD", field));
    }
    assert_eq!(results[2].record_key, "Q-2", "what could be read is told back");
    let refused = town.transfers("reason = \"INVALID_FIELD\"").await;
    assert_eq!(refused.len(), 1, "those of which nobody knows whom they are about; Q-2 shares its record with Q-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_texts_of_every_wrong_form_are_refused_without_being_repeated() {
    let town = Town::start();
    let long = "x".repeat(2000);
    let wrong = ["", "1234567890123456", "12 34", "１２３", "abc'; DROP TABLE link;--", "\u{0}", "../../etc", &long];
    for local in wrong {
        let refused = town.register("pension", registration(local, None)).await.err();
        let refused = refused.unwrap_or_else(|| panic!("{local:?} was taken"));
        assert_eq!(reason(&refused), "INVALID_FIELD", "{local:?}");
        let told = String::from_utf8_lossy(refused.details()).into_owned() + refused.message();
        assert!(local.len() < 4 || !told.contains(local), "a refusal repeats what it was sent");
    }
    for (field, person) in [
        (
            "name.full_name",
            v1::Person {
                name: Some(v1::PersonName { full_name: Some(long.clone()), ..Default::default() }),
                ..Default::default()
            },
        ),
        (
            "birth_date.date",
            v1::Person {
                name: Some(v1::PersonName { full_name: Some("町".into()), ..Default::default() }),
                birth_date: Some(v1::UncertainDate { date: Some("2023-02-29".into()), ..Default::default() }),
                ..Default::default()
            },
        ),
    ] {
        let mut bad = registration("P1", None);
        bad.person = Some(person);
        let refused = town.register("pension", bad).await.err().unwrap();
        let details = refused.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert!(fields.iter().any(|told| told.ends_with(field)), "{field}: {fields:?}");
    }
}
