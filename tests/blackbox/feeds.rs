//! What an incremental pull shows and what it does not: the same as a full pull in the end, in the
//! consumer's own order, and nothing of what is hidden from it.

use std::collections::{BTreeMap, BTreeSet};

use atena_proto::v1;
use atena_proto::v1::pushed_record::Body;
use sqlx::Connection as _;

use crate::people::{one_of_each, personal_number, qualification, record, registration};
use crate::town::{Engine, Town};

const PEOPLE: u64 = 8;

/// Consumers with their affairs and datasets.
const CONSUMERS: [(&str, &str, &[v1::Dataset]); 2] = [
    ("resident-tax", "市都民税賦課業務", &[v1::Dataset::Qualification, v1::Dataset::Payment]),
    ("public-assistance", "生活保護事務", &[v1::Dataset::Benefit, v1::Dataset::Qualification, v1::Dataset::Payment]),
];

/// A consumer, and what it holds: record id → content.
struct Consumer {
    system: &'static str,
    affair: &'static str,
    datasets: &'static [v1::Dataset],
    cursor: Vec<u8>,
    held: BTreeMap<String, Vec<u8>>,
}

impl Consumer {
    fn all() -> Vec<Self> {
        let new =
            |(system, affair, datasets)| Self { system, affair, datasets, cursor: Vec::new(), held: BTreeMap::new() };
        CONSUMERS.into_iter().map(new).collect()
    }

    async fn chunks(&self, town: &Town, cursor: Vec<u8>, page_size: u32) -> Vec<v1::PullRecordsResponse> {
        let request = v1::PullRecordsRequest {
            request_id: String::new(),
            affair: self.affair.to_owned(),
            datasets: self.datasets.iter().map(|dataset| i32::from(*dataset)).collect(),
            cursor,
            page_size,
        };
        let mut stream = town.linkage(self.system).pull_records(request).await.unwrap().into_inner();
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.message().await.unwrap() {
            chunks.push(chunk);
        }
        chunks
    }

    /// Pulls what changed and takes it in. Returns the people it was about, in the order of delivery.
    async fn follow(&mut self, town: &Town, page_size: u32) -> Vec<String> {
        let mut people = Vec::new();
        for chunk in self.chunks(town, self.cursor.clone(), page_size).await {
            for delivery in &chunk.deliveries {
                people.push(delivery.local_address_number.clone());
            }
            take_in(&mut self.held, &chunk);
            self.cursor = chunk.next_cursor;
        }
        people
    }

    /// What a full pull brings.
    async fn everything(&self, town: &Town) -> BTreeMap<String, Vec<u8>> {
        let mut held = BTreeMap::new();
        for chunk in self.chunks(town, Vec::new(), 0).await {
            take_in(&mut held, &chunk);
        }
        held
    }
}

fn take_in(held: &mut BTreeMap<String, Vec<u8>>, chunk: &v1::PullRecordsResponse) {
    for delivery in &chunk.deliveries {
        for record in &delivery.records {
            held.insert(record.record_id.clone(), record.body.as_ref().unwrap().bytes().to_vec());
        }
        for tombstone in &delivery.tombstones {
            // It may be of something that came and went between two pulls.
            held.remove(&tombstone.record_id);
        }
    }
}

/// A generator that gives the same numbers each time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Another revision of a record of this person: of one dataset, with other visible or hidden fields.
fn change(numbers: &mut Numbers, revisions: &mut BTreeMap<String, u64>) -> v1::PushedRecord {
    let person = numbers.below(PEOPLE);
    let (template, visible, hidden) = (numbers.below(3), numbers.below(3), numbers.below(3));
    let remarks = format!("note {hidden}");
    let of = |key: &str| format!("{key}-{person}-{}", visible % 2);
    let all = one_of_each("");
    let find = |is: fn(&Body) -> bool| {
        all.iter().filter_map(|record| record.body.clone()).find(is).unwrap_or_else(|| panic!("one of each"))
    };
    let (key, body, dataset) = match template {
        0 => {
            let insured = [v1::InsuredType::Category1, v1::InsuredType::Category3][usize::from(visible == 2)];
            let changed = v1::Qualification { insured_type: insured.into(), remarks, ..qualification() };
            (of("Q"), Body::Qualification(changed), v1::Dataset::Qualification)
        }
        1 => {
            let Body::Payment(mut payment) = find(|body| matches!(body, Body::Payment(_))) else { unreachable!() };
            payment.months[0].amount_yen += i64::try_from(visible).unwrap();
            (of("P"), Body::Payment(v1::Payment { remarks, ..payment }), v1::Dataset::Payment)
        }
        _ => {
            let Body::Benefit(benefit) = find(|body| matches!(body, Body::Benefit(_))) else { unreachable!() };
            let annual_amount_yen = 800_000 + i64::try_from(visible).unwrap();
            let changed = v1::Benefit { annual_amount_yen, remarks, ..benefit };
            (of("B"), Body::Benefit(changed), v1::Dataset::Benefit)
        }
    };
    let revision = revisions.entry(key.clone()).or_default();
    *revision += 1;
    let body = match numbers.below(5) {
        0 => Body::Deletion(v1::Deletion { dataset: dataset.into() }),
        _ => body,
    };
    record(&format!("P{person}"), &key, *revision, body)
}

/// The number of a person in a system. Each system has its own order of people.
fn local(system: &str, person: u64) -> String {
    match system {
        "pension" => format!("P{person}"),
        "resident-tax" => format!("T{:03}", person * 37 % 101),
        _ => format!("A{:03}", person * 53 % 101),
    }
}

async fn link(town: &Town, system: &str, person: u64) {
    let number = personal_number(9000 + person);
    let result = town.register(system, registration(&local(system, person), Some(&number))).await.unwrap();
    assert!(result.error.is_none(), "{:?}", result.error.map(|error| error.message));
}

/// deny-by-default, own-number-only: following changes leads to what a full pull brings, whatever was
/// pushed, deleted and linked, and each consumer gets changes in the order of its own numbers.
#[tokio::test(flavor = "multi_thread")]
async fn following_changes_leads_to_the_same_as_a_full_pull_and_in_the_consumers_own_order() {
    let town = Town::start();
    for person in 0..PEOPLE {
        link(&town, "pension", person).await;
    }
    let mut unlinked: Vec<(usize, u64)> = (0..2).flat_map(|one| (0..PEOPLE).map(move |person| (one, person))).collect();
    let (mut numbers, mut revisions) = (Numbers(20_261_126), BTreeMap::new());
    let mut consumers = Consumer::all();
    for round in 0..24 {
        for _ in 0..numbers.below(3) {
            if !unlinked.is_empty() {
                let at = usize::try_from(numbers.below(unlinked.len() as u64)).unwrap();
                let (one, person) = unlinked.swap_remove(at);
                link(&town, consumers[one].system, person).await;
            }
        }
        for _ in 0..numbers.below(3) {
            let chunk = (0..numbers.below(12)).map(|_| change(&mut numbers, &mut revisions)).collect();
            let results = town.push(chunk).await;
            assert!(results.iter().all(|result| result.error.is_none()));
        }
        for (one, consumer) in consumers.iter_mut().enumerate() {
            // Each misses some rounds.
            if (round + one) % 3 == 0 {
                continue;
            }
            let people = consumer.follow(&town, [0, 1, 3][round % 3]).await;
            assert!(people.is_sorted(), "{} in the order of its own numbers: {people:?}", consumer.system);
            assert!(consumer.held == consumer.everything(&town).await, "{} in round {round}", consumer.system);
        }
    }
    assert!(consumers.iter().all(|consumer| !consumer.held.is_empty()));
}

/// A window of changes can be gone on with from each of its cursors.
#[tokio::test(flavor = "multi_thread")]
async fn changes_can_be_gone_on_with_from_every_cursor() {
    let town = Town::start();
    for person in 0..PEOPLE {
        for system in ["pension", "resident-tax"] {
            link(&town, system, person).await;
        }
    }
    let mut consumer = Consumer::all().remove(0);
    consumer.follow(&town, 0).await;
    let push = async |revision: u64| {
        let changed = |person: u64| {
            let insured = [v1::InsuredType::Category1, v1::InsuredType::Category3][usize::from(revision == 2)];
            let body = v1::Qualification { insured_type: insured.into(), ..qualification() };
            record(&format!("P{person}"), &format!("Q-{person}"), revision, Body::Qualification(body))
        };
        town.push((0..PEOPLE).map(changed).collect()).await;
    };
    push(1).await;
    let chunks = consumer.chunks(&town, consumer.cursor.clone(), 1).await;
    assert_eq!(chunks.len() as u64, PEOPLE + 1);
    let lengths: BTreeSet<_> = chunks.iter().map(|chunk| chunk.next_cursor.len()).collect();
    assert_eq!(lengths.len(), 1, "all cursors have one length");
    // What comes in while a consumer is away in the middle is delivered too.
    push(2).await;
    for end in 0..chunks.len() {
        let mut held = consumer.held.clone();
        chunks[..=end].iter().for_each(|chunk| take_in(&mut held, chunk));
        for chunk in consumer.chunks(&town, chunks[end].next_cursor.clone(), 3).await {
            take_in(&mut held, &chunk);
        }
        assert!(held == consumer.everything(&town).await, "from chunk {end}");
    }
}

/// A consumer that stored what it was sent, and not the cursor, pulls from the older cursor once
/// more. What went back in between is told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_repeated_from_an_older_cursor_takes_back_what_went_back() {
    let town = Town::start();
    for person in 0..3 {
        for system in ["pension", "resident-tax"] {
            link(&town, system, person).await;
        }
    }
    let push = async |person: u64, revision: u64, body| {
        let pushed = record(&format!("P{person}"), &format!("Q-{person}"), revision, body);
        assert!(town.push(vec![pushed]).await.iter().all(|result| result.error.is_none()));
    };
    let of_type = |insured: v1::InsuredType| {
        Body::Qualification(v1::Qualification { insured_type: insured.into(), ..qualification() })
    };
    let deletion = || Body::Deletion(v1::Deletion { dataset: v1::Dataset::Qualification.into() });
    push(1, 1, of_type(v1::InsuredType::Category1)).await;
    push(2, 1, of_type(v1::InsuredType::Category1)).await;
    let mut consumer = Consumer::all().remove(0);
    consumer.follow(&town, 0).await;
    let mut stored = consumer.held.clone();
    let pull = async || consumer.chunks(&town, consumer.cursor.clone(), 0).await;
    // A record appears, one changes and one ends: all of it is stored, the cursor is not.
    push(0, 1, of_type(v1::InsuredType::Category1)).await;
    push(1, 2, of_type(v1::InsuredType::Category3)).await;
    push(2, 2, deletion()).await;
    pull().await.iter().for_each(|chunk| take_in(&mut stored, chunk));
    assert!(stored == consumer.everything(&town).await);
    // All of it goes back.
    push(0, 2, deletion()).await;
    push(1, 3, of_type(v1::InsuredType::Category1)).await;
    push(2, 3, of_type(v1::InsuredType::Category1)).await;
    pull().await.iter().for_each(|chunk| take_in(&mut stored, chunk));
    assert!(stored == consumer.everything(&town).await && stored == consumer.held);
}

/// A cursor from before there were feeds, or of one that was closed, gets everything once more, with
/// tombstones of what ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_older_than_its_feed_gets_everything_and_what_ended() {
    let mut town = Town::start();
    for person in 0..3 {
        for system in ["pension", "resident-tax"] {
            link(&town, system, person).await;
        }
    }
    let qualification_of =
        |person: u64, revision, body| record(&format!("P{person}"), &format!("Q-{person}"), revision, body);
    town.push((0..3).map(|one| qualification_of(one, 1, Body::Qualification(qualification()))).collect()).await;
    let mut consumer = Consumer::all().remove(0);
    consumer.follow(&town, 0).await;
    assert_eq!(consumer.held.len(), 3);
    town.stop();
    forget_feeds(&town).await;
    town.serve();
    // A person of whom a record ended before the consumer knew them.
    link(&town, "pension", 3).await;
    let deletion = || Body::Deletion(v1::Deletion { dataset: v1::Dataset::Qualification.into() });
    town.push(vec![qualification_of(3, 1, Body::Qualification(qualification()))]).await;
    town.push(vec![qualification_of(3, 2, deletion())]).await;
    link(&town, "resident-tax", 3).await;
    let changed = v1::Qualification { insured_type: v1::InsuredType::Category3.into(), ..qualification() };
    town.push(vec![qualification_of(0, 2, deletion()), qualification_of(1, 2, Body::Qualification(changed))]).await;
    // With a page for each, so that it goes on in the middle.
    let chunks = consumer.chunks(&town, consumer.cursor.clone(), 1).await;
    let told: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.deliveries).collect();
    let tombstones: usize = told.iter().map(|delivery| delivery.tombstones.len()).sum();
    let of_new = told.iter().any(|delivery| delivery.local_address_number == local("resident-tax", 3));
    assert_eq!((tombstones, of_new), (1, false), "what ended before is not told");
    take_in(&mut consumer.held, &chunks[0]);
    consumer.cursor = chunks[0].next_cursor.clone();
    consumer.follow(&town, 0).await;
    assert!(consumer.held == consumer.everything(&town).await && consumer.held.len() == 2);
    assert!(consumer.follow(&town, 0).await.is_empty(), "once");
}

async fn forget_feeds(town: &Town) {
    const FORGET: &str = "DELETE FROM feed_change; DELETE FROM feed; UPDATE record SET record_number = 0;";
    let url = town.database_url();
    if crate::ENGINE == Engine::Postgres {
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(FORGET).execute(&mut connection).await.unwrap();
    } else {
        let file = town.home().join(url.trim_start_matches("sqlite:"));
        let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
        sqlx::raw_sql(FORGET).execute(&mut connection).await.unwrap();
    }
}
