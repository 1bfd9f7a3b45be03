//! The whole gateway against bare baselines, in one run: `make bench`.
//!
//! Real binary, real mutual TLS, real SQLite, sealing and logging on; the client is another process than the gateway. Each line has its
//! bare baseline, measured in the same run, and the ratio; nothing here passes or fails. `ATENA_BENCH_PEOPLE` sets the population
//! (default 20,000). The lines are also written to `target/bench.json`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    reason = "this is a measurement"
)]

mod bare;
mod echo;
#[path = "../../tests/blackbox/people.rs"]
mod people;
#[path = "../../tests/blackbox/town.rs"]
mod town;

use std::time::{Duration, Instant};

use atena_proto::v1;
use atena_proto::v1::linkage_service_client::LinkageServiceClient;
use atena_proto::v1::pushed_record::Body;
use serde_json::{Value, json};
use town::Town;

/// What the town keeps everything in.
const ENGINE: town::Engine = town::Engine::Sqlite;

/// Items of one chunk of a stream.
const CHUNK: u64 = 500;

/// Questions for one person, in all.
const QUESTIONS: usize = 20_000;

const AFFAIR: &str = "市都民税賦課業務";

fn main() {
    if let Some(home) = std::env::args().skip_while(|argument| argument != "--echo").nth(1) {
        return echo::serve(&home);
    }
    let people = std::env::var("ATENA_BENCH_PEOPLE").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(people));
}

async fn run(people: u64) {
    let mut town = Town::prepare().log_at("warn");
    town.serve();
    let mut lines = Lines { people, lines: Vec::new() };

    let rows = bare::insert(people).await;
    let took = register(&town, "pension", "P", people).await;
    lines.add("register_sqlite", "people/s", rate(people, took), rate(people, rows));
    register(&town, "resident-tax", "T", people).await;
    let took = push(&town, people).await;
    lines.add("push_sqlite", "records/s", rate(people, took), rate(people, rows));

    let before = memory_kib(town.process_id(), "VmRSS");
    let (records, took) = pull(&town).await;
    assert_eq!(records, people);
    let growth = memory_kib(town.process_id(), "VmHWM").saturating_sub(before);
    let scanned = bare::scan(&town.home().join("atena.db"), people).await;
    lines.add("pull_sqlite", "records/s", rate(people, took), rate(people, scanned));
    let (_, again) = pull(&town).await;
    lines.add("pull_sqlite (second)", "records/s", rate(people, again), rate(people, scanned));

    let echoed = echo::measure(&town, QUESTIONS).await;
    let asked = questions(&town, people).await;
    let questions = QUESTIONS as u64;
    lines.add("get_records_64", "calls/s", rate(questions, asked), rate(questions, echoed));
    lines.add("pull_rss_growth_mib", "MiB", growth as f64 / 1024.0, 64.0);
    town.stop();
    lines.write();
}

/// What was measured.
struct Lines {
    people: u64,
    lines: Vec<Value>,
}

impl Lines {
    fn add(&mut self, name: &str, unit: &str, value: f64, baseline: f64) {
        let ratio = value / baseline;
        println!("{name:<24}{value:>12.0} {unit:<10} bare {baseline:>12.0}   ratio {ratio:.3}");
        self.lines.push(json!({ "name": name, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio }));
    }

    fn write(&self) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench.json");
        std::fs::write(path, serde_json::to_string_pretty(&self.lines).unwrap()).unwrap();
        println!("\n{} people; written to target/bench.json", self.people);
    }
}

fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn memory_kib(process: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn register(town: &Town, system: &str, prefix: &'static str, people: u64) -> Duration {
    let chunks: Vec<_> = (0..people)
        .step_by(usize::try_from(CHUNK).unwrap())
        .map(|from| v1::RegisterPersonsRequest {
            request_id: String::new(),
            registrations: (from..people.min(from + CHUNK))
                .map(|one| people::registration(&format!("{prefix}{one:08}"), Some(&people::personal_number(one))))
                .collect(),
        })
        .collect();
    let mut service = town.address_service(system);
    let started = Instant::now();
    let mut answers = service.register_persons(tokio_stream::iter(chunks)).await.unwrap().into_inner();
    let mut done = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(answer.results.iter().all(|result| result.error.is_none()));
        done += answer.results.len() as u64;
    }
    assert_eq!(done, people);
    started.elapsed()
}

/// A year of payments: about 300 bytes.
fn payment(person: u64) -> v1::PushedRecord {
    let months = (4..=12).map(|month| (2025, month)).chain((1..=3).map(|month| (2026, month)));
    let payment = v1::Payment {
        basic_pension_number: format!("{person:010}"),
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
    people::record(&format!("P{person:08}"), &format!("PAY-{person:08}-2025"), 1, Body::Payment(payment))
}

async fn push(town: &Town, people: u64) -> Duration {
    let chunks: Vec<_> = (0..people)
        .step_by(usize::try_from(CHUNK).unwrap())
        .map(|from| v1::PushRecordsRequest {
            request_id: String::new(),
            records: (from..people.min(from + CHUNK)).map(payment).collect(),
        })
        .collect();
    let mut service = town.records("pension");
    let started = Instant::now();
    let mut answers = service.push_records(tokio_stream::iter(chunks)).await.unwrap().into_inner();
    let mut done = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(answer.results.iter().all(|result| result.outcome() == v1::PushOutcome::Stored));
        done += answer.results.len() as u64;
    }
    assert_eq!(done, people);
    started.elapsed()
}

async fn pull(town: &Town) -> (u64, Duration) {
    let request = v1::PullRecordsRequest {
        affair: AFFAIR.to_owned(),
        datasets: vec![v1::Dataset::Payment.into()],
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
async fn questions(town: &Town, people: u64) -> Duration {
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
