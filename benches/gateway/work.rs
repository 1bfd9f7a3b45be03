//! What a client does to a gateway, and how long it takes.

use std::ops::Range;
use std::time::{Duration, Instant};

use atena_proto::v1;
use atena_proto::v1::linkage_service_client::LinkageServiceClient;
use atena_proto::v1::pushed_record::Body;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::people;
use crate::town::Town;

/// Items of one chunk of a stream.
const CHUNK: u64 = 500;

/// Questions for one person, in all.
pub(crate) const QUESTIONS: usize = 20_000;

const AFFAIR: &str = "市都民税賦課業務";

/// Chunks of people to register.
fn registrations(prefix: &'static str, of: Range<u64>) -> impl Iterator<Item = v1::RegisterPersonsRequest> + Send {
    chunks(of).map(move |of| v1::RegisterPersonsRequest {
        request_id: String::new(),
        registrations: of
            .map(|one| people::registration(&format!("{prefix}{one:08}"), Some(&people::personal_number(one))))
            .collect(),
    })
}

/// Chunks of payments to push, one for each person.
fn payments(revision: u64, of: Vec<u64>) -> impl Iterator<Item = v1::PushRecordsRequest> + Send {
    let chunks: Vec<Vec<u64>> = of.chunks(CHUNK as usize).map(<[u64]>::to_vec).collect();
    chunks.into_iter().map(move |of| v1::PushRecordsRequest {
        request_id: String::new(),
        records: of.into_iter().map(|person| payment(person, revision)).collect(),
    })
}

fn chunks(of: Range<u64>) -> impl Iterator<Item = Range<u64>> + Send {
    let end = of.end;
    of.step_by(CHUNK as usize).map(move |from| from..end.min(from + CHUNK))
}

/// Registers people, whose registrations are made before the clock starts.
pub(crate) async fn register(town: &Town, system: &str, prefix: &'static str, of: Range<u64>) -> Duration {
    let chunks: Vec<_> = registrations(prefix, of).collect();
    let started = Instant::now();
    send_registrations(town, system, chunks.into_iter()).await;
    started.elapsed()
}

async fn send_registrations(
    town: &Town,
    system: &str,
    chunks: impl Iterator<Item = v1::RegisterPersonsRequest> + Send + 'static,
) {
    let mut service = town.address_service(system);
    let mut answers = service.register_persons(tokio_stream::iter(chunks)).await.unwrap().into_inner();
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(answer.results.iter().all(|result| result.error.is_none()));
    }
}

/// A year of payments: about 300 bytes.
fn payment(person: u64, revision: u64) -> v1::PushedRecord {
    let months = (4..=12).map(|month| (2025, month)).chain((1..=3).map(|month| (2026, month)));
    let payment = v1::Payment {
        // From 1: a number of zeros alone is a placeholder, and refused.
        basic_pension_number: format!("{:010}", person + 1),
        fiscal_year: 2025,
        months: months
            .map(|(year, month)| v1::PaymentMonth {
                month: format!("{year}-{month:02}"),
                status: "A".into(),
                amount_yen: 17_510,
            })
            .collect(),
        ..Default::default()
    };
    people::record(&format!("P{person:08}"), &format!("PAY-{person:08}-2025"), revision, Body::Payment(payment))
}

/// Pushes a record of each person, made before the clock starts.
pub(crate) async fn push(town: &Town, revision: u64, of: Vec<u64>) -> Duration {
    let chunks: Vec<_> = payments(revision, of).collect();
    let started = Instant::now();
    send_payments(town, chunks.into_iter()).await;
    started.elapsed()
}

async fn send_payments(town: &Town, chunks: impl Iterator<Item = v1::PushRecordsRequest> + Send + 'static) {
    let mut service = town.records("pension");
    let mut answers = service.push_records(tokio_stream::iter(chunks)).await.unwrap().into_inner();
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(answer.results.iter().all(|result| result.outcome() == v1::PushOutcome::Stored));
    }
}

/// A town with people, known to both systems, with a payment each.
pub(crate) async fn fill(town: &Town, people: u64) {
    send_registrations(town, "pension", registrations("P", 0..people)).await;
    send_registrations(town, "resident-tax", registrations("T", 0..people)).await;
    send_payments(town, payments(1, (0..people).collect())).await;
}

/// Waits until the log's search index has caught up, but for the last few thousand leaves, for which it does not begin.
pub(crate) async fn indexed(town: &Town) {
    const WAITING: &str = "SELECT log_head.size - coalesce(log_index_head.size, 0) FROM log_head LEFT JOIN log_index_head \
        USING (municipality_code)";
    let database = SqliteConnectOptions::new().filename(town.home().join("atena.db")).read_only(true);
    let mut database = database.connect().await.unwrap();
    while sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut database).await.unwrap() > 4096 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    database.close().await.unwrap();
}

/// Pulls everything, and tells how many records arrived.
pub(crate) async fn pull(town: &Town) -> (u64, Duration) {
    let request = v1::PullRecordsRequest {
        affair: AFFAIR.to_owned(),
        datasets: vec![v1::Dataset::Payment.into()],
        page_size: 1000,
        ..Default::default()
    };
    let mut service = town.linkage("resident-tax").max_decoding_message_size(64 << 20);
    let started = Instant::now();
    let mut chunks = service.pull_records(request).await.unwrap().into_inner();
    let mut records = 0;
    while let Some(chunk) = chunks.message().await.unwrap() {
        records += chunk.deliveries.iter().map(|delivery| delivery.records.len() as u64).sum::<u64>();
    }
    (records, started.elapsed())
}

/// Questions about one person each: 64 at a time on 4 connections.
pub(crate) async fn questions(town: &Town, people: u64) -> Duration {
    let clients: Vec<LinkageServiceClient<_>> = (0..4).map(|_| town.linkage("resident-tax")).collect();
    let started = Instant::now();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let mut client = clients[task % 4].clone();
            tokio::spawn(async move {
                for number in (task..QUESTIONS).step_by(64) {
                    let person = number as u64 * 7919 % people;
                    let request = v1::GetRecordsRequest {
                        affair: AFFAIR.to_owned(),
                        datasets: vec![v1::Dataset::Payment.into()],
                        local_address_numbers: vec![format!("T{person:08}")],
                        ..Default::default()
                    };
                    let answer = client.get_records(request).await.unwrap().into_inner();
                    assert_eq!(answer.deliveries[0].records.len(), 1);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    started.elapsed()
}
