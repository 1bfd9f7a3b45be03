//! The whole gateway against bare baselines, in one run: `make bench`.
//!
//! Real binary, real mutual TLS, real databases, sealing and logging on; the client is another process than the gateway. Each line has its
//! bare baseline, measured in the same run, and the ratio; nothing here passes or fails. The lines are also written to `target/bench.json`.
//!
//! `ATENA_BENCH_PEOPLE` sets the population (default 60,000), `ATENA_BENCH_GROWTH` the two populations whose costs are compared (default
//! 40000,4000000, which takes most of the time; empty leaves it out), `ATENA_BENCH_ONLY` the one line to measure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    dead_code,
    missing_docs,
    reason = "this is a measurement"
)]

mod bare;
mod csv;
mod echo;
mod handwritten;
#[path = "../../tests/blackbox/people.rs"]
mod people;
#[path = "../../tests/blackbox/town.rs"]
mod town;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use town::{Engine, Town};

/// What the town keeps everything in, unless a line says otherwise.
const ENGINE: Engine = Engine::Sqlite;

/// Records pushed again to see what one costs in a large population, others each time where there are enough.
const SAMPLE: u64 = 20_000;

/// How often that is done, of which the median counts: once is over in less than a second, and may take half as long again.
const SAMPLES: u64 = 5;

/// The lines, in the order of the table.
const ORDER: [&str; 11] = [
    "pull_sqlite",
    "pull_to_csv",
    "pull_postgres",
    "push_sqlite",
    "push_postgres",
    "register_sqlite",
    "register_second_postgres",
    "get_records_64",
    "pull_vs_handwritten_postgres",
    "pull_rss_growth_mib",
    "cost_growth_40k_4m",
];

fn main() {
    if let Some(home) = std::env::args().skip_while(|argument| argument != "--echo").nth(1) {
        return echo::serve(&home);
    }
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let people = std::env::var("ATENA_BENCH_PEOPLE").ok().and_then(|text| number(&text)).unwrap_or(60_000);
    let growth = std::env::var("ATENA_BENCH_GROWTH").unwrap_or_else(|_| "40000,4000000".to_owned());
    let growth: Vec<u64> = growth.split(',').filter_map(number).collect();
    let mut lines = Lines { people, only: std::env::var("ATENA_BENCH_ONLY").unwrap_or_default(), lines: Vec::new() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        sqlite(&mut lines).await;
        postgres(&mut lines).await;
        second_municipality(&mut lines).await;
        if let [small, large] = growth[..]
            && lines.wants(&["cost_growth_40k_4m"])
        {
            lines.add("cost_growth_40k_4m", "µs/record", cost(large).await, cost(small).await);
        }
    });
    lines.write();
}

async fn sqlite(lines: &mut Lines) {
    if !lines.wants(&[
        "pull_sqlite",
        "pull_to_csv",
        "push_sqlite",
        "register_sqlite",
        "get_records_64",
        "pull_rss_growth_mib",
    ]) {
        return;
    }
    let people = lines.people;
    let mut town = Town::prepare().log_at("warn");
    town.serve();
    let rows = bare::insert(people).await;
    let took = work::register(&town, "pension", "P", 0..people).await;
    lines.add("register_sqlite", "people/s", rate(people, took), rate(people, rows));
    work::register(&town, "resident-tax", "T", 0..people).await;
    let took = work::push(&town, 1, (0..people).collect()).await;
    lines.add("push_sqlite", "records/s", rate(people, took), rate(people, rows));

    // Begun anew, so that what it grows by is everything that it needs, and not what it does not have yet.
    town.stop();
    town.serve();
    let ((records, _), growth) = growing(town.process_id(), work::pull(&town)).await;
    assert_eq!(records, people);
    lines.add("pull_rss_growth_mib", "MiB", growth as f64 / 1024.0, 64.0);
    let (_, first) = work::pull(&town).await;
    let (_, second) = work::pull(&town).await;
    let scanned = bare::scan(&town.home().join("atena.db"), people).await;
    lines.add("pull_sqlite", "records/s", rate(people, first.min(second)), rate(people, scanned));

    if lines.wants(&["pull_to_csv"]) {
        let (program, written) = csv::measure(&town, people);
        lines.add("pull_to_csv", "µs/record", program, written);
    }
    if lines.wants(&["get_records_64"]) {
        let echoed = echo::measure(&town, work::QUESTIONS).await;
        let asked = work::questions(&town, people).await;
        let questions = work::QUESTIONS as u64;
        lines.add("get_records_64", "calls/s", rate(questions, asked), rate(questions, echoed));
    }
    town.stop();
}

async fn postgres(lines: &mut Lines) {
    if !lines.wants(&["pull_postgres", "push_postgres", "pull_vs_handwritten_postgres"]) {
        return;
    }
    let people = lines.people;
    let mut town = Town::prepare_on(&Engine::Postgres).log_at("warn");
    town.serve();
    let rows = bare::insert_postgres(&town.database_url(), people).await;
    work::register(&town, "pension", "P", 0..people).await;
    work::register(&town, "resident-tax", "T", 0..people).await;
    let took = work::push(&town, 1, (0..people).collect()).await;
    lines.add("push_postgres", "records/s", rate(people, took), rate(people, rows));
    let (records, first) = work::pull(&town).await;
    assert_eq!(records, people);
    let (_, second) = work::pull(&town).await;
    let took = first.min(second);
    let scanned = bare::scan_postgres(&town.database_url(), people).await;
    lines.add("pull_postgres", "records/s", rate(people, took), rate(people, scanned));
    let peer = handwritten::pull(&town, people).await;
    lines.add("pull_vs_handwritten_postgres", "records/s", rate(people, took), rate(people, peer));
    town.stop();
}

/// A municipality that registers its people after PostgreSQL analysed the tables of another one, against that other one.
async fn second_municipality(lines: &mut Lines) {
    if !lines.wants(&["register_second_postgres"]) {
        return;
    }
    let people = lines.people;
    let mut town = Town::prepare_on(&Engine::Postgres).log_at("warn");
    let add =
        ["municipality", "add", "--home", town.home_text(), "--municipality", "131016", "--listen", "127.0.0.1:0"];
    town::printed(&town::atena(&add));
    town.serve();
    let second = town.next_municipality();
    let before = work::register(&town, "pension", "P", 0..people).await;
    atena_test_cluster::Server::sql(&town.database_url(), "ANALYZE");
    let after = work::register(&second, "pension", "P", 0..people).await;
    lines.add("register_second_postgres", "people/s", rate(people, after), rate(people, before));
    town.stop();
}

/// What a record costs to push, as a change of one that is there, and to pull, in a population; microseconds. Changes come as cases are worked off,
/// from all over the town and in no order, so that those of one chunk are no neighbours in a small town either. They come when what the load of the
/// whole town left to be done is done, to a gateway that has nothing in memory: twelve million transfers are no part of what a change costs.
async fn cost(people: u64) -> f64 {
    let mut town = Town::prepare().log_at("warn");
    town.serve();
    eprintln!("filling a town of {people}");
    work::fill(&town, people).await;
    eprintln!("waiting for the log's search index");
    work::indexed(&town).await;
    let sample = SAMPLE.min(people);
    let apart = people / sample;
    let mut pushed = Vec::new();
    for round in 0..SAMPLES {
        town.stop();
        town.serve();
        let spread = (0..sample).map(|one| one * 7919 % sample * apart + round % apart).collect();
        pushed.push(work::push(&town, 2 + round, spread).await);
    }
    pushed.sort();
    let pushed = pushed[pushed.len() / 2];
    let (records, pulled) = work::pull(&town).await;
    assert_eq!(records, people);
    town.stop();
    let each = |took: Duration, count: u64| took.as_secs_f64() * 1e6 / count as f64;
    eprintln!("{people} people: push {:.1} µs, pull {:.1} µs", each(pushed, sample), each(pulled, people));
    each(pushed, sample) + each(pulled, people)
}

/// What was measured.
struct Lines {
    people: u64,
    only: String,
    lines: Vec<Value>,
}

impl Lines {
    /// Whether any of these lines is to be measured.
    fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || names.contains(&self.only.as_str())
    }

    fn add(&mut self, name: &str, unit: &str, value: f64, baseline: f64) {
        let ratio = value / baseline;
        eprintln!("measured {name}: {value:.1} {unit}, ratio {ratio:.3}");
        self.lines.push(json!({ "name": name, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio }));
    }

    fn write(mut self) {
        self.lines.sort_by_key(|line| ORDER.iter().position(|name| line["name"] == *name));
        println!("{:<30}{:>12} {:<10}{:>14}{:>9}", "", "here", "", "bare", "ratio");
        for line in &self.lines {
            let number = |key: &str| line[key].as_f64().unwrap();
            println!(
                "{:<30}{:>12.1} {:<10}{:>14.1}{:>9.3}",
                line["name"].as_str().unwrap(),
                number("value"),
                line["unit"].as_str().unwrap(),
                number("baseline"),
                number("ratio"),
            );
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench.json");
        std::fs::write(path, serde_json::to_string_pretty(&self.lines).unwrap()).unwrap();
        println!("\n{} people; written to target/bench.json", self.people);
    }
}

fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// What comes of some work, and by how much a process grew meanwhile, in KiB. (What it needed at most since it began, `VmHWM`, may be from before.)
async fn growing<T>(process: u32, work: impl Future<Output = T>) -> (T, u64) {
    let before = memory_kib(process);
    let most = Arc::new(AtomicU64::new(before));
    let seen = Arc::clone(&most);
    let watching = tokio::spawn(async move {
        loop {
            seen.fetch_max(memory_kib(process), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let done = work.await;
    watching.abort();
    (done, most.load(Ordering::Relaxed).max(memory_kib(process)) - before)
}

/// The memory of a process, in KiB.
fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
