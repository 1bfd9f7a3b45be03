//! Pulls that go on from a cursor, and what makes a cursor worthless.

use std::collections::{BTreeMap, BTreeSet};

use atena_proto::v1;
use atena_proto::v1::pushed_record::Body;
use prost::Message as _;

use crate::people::{one_of_each, personal_number, qualification, record, registration};
use crate::town::{Town, reason};

const TAX: &str = "市都民税賦課業務";
const PEOPLE: u64 = 30;

fn pull(cursor: Vec<u8>, page_size: u32) -> v1::PullRecordsRequest {
    v1::PullRecordsRequest {
        request_id: String::new(),
        affair: TAX.to_owned(),
        datasets: vec![v1::Dataset::Qualification.into(), v1::Dataset::Payment.into()],
        cursor,
        page_size,
    }
}

/// Everything from `cursor` to the end, chunk by chunk.
async fn chunks(town: &Town, request: v1::PullRecordsRequest) -> Vec<v1::PullRecordsResponse> {
    let mut stream = town.linkage("resident-tax").pull_records(request).await.unwrap().into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        chunks.push(chunk);
    }
    assert!(chunks.last().unwrap().complete);
    chunks
}

async fn refusal(town: &Town, system: &str, request: v1::PullRecordsRequest) -> String {
    let mut stream = town.linkage(system).pull_records(request).await.unwrap().into_inner();
    reason(&stream.message().await.err().unwrap())
}

/// What the consumer holds after taking chunks in, as it would: record id → body.
fn take_in(held: &mut BTreeMap<String, Vec<u8>>, chunks: &[v1::PullRecordsResponse]) {
    for delivery in chunks.iter().flat_map(|chunk| &chunk.deliveries) {
        for record in &delivery.records {
            held.insert(record.record_id.clone(), record.body.as_ref().unwrap().bytes().to_vec());
        }
        for tombstone in &delivery.tombstones {
            assert!(held.remove(&tombstone.record_id).is_some(), "a tombstone of something never sent");
        }
    }
}

async fn filled() -> Town {
    let town = Town::start();
    for person in 0..PEOPLE {
        let number = personal_number(5000 + person);
        for (system, local) in [("pension", format!("P{person}")), ("resident-tax", format!("T{person}"))] {
            let result = town.register(system, registration(&local, Some(&number))).await.unwrap();
            assert!(result.error.is_none());
        }
    }
    let records =
        (0..PEOPLE).map(|p| record(&format!("P{p}"), &format!("Q{p}"), 1, Body::Qualification(qualification())));
    town.push(records.collect()).await;
    town
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_can_go_on_from_every_cursor_it_was_given_also_after_a_restart() {
    let mut town = filled().await;
    let whole = chunks(&town, pull(Vec::new(), 4)).await;
    assert!(whole.len() > 5, "several chunks");
    let mut all = BTreeMap::new();
    take_in(&mut all, &whole);
    assert_eq!(all.len(), usize::try_from(PEOPLE).unwrap());
    town.stop();
    town.serve();
    for (index, chunk) in whole.iter().enumerate() {
        let mut held = BTreeMap::new();
        take_in(&mut held, &whole[..=index]);
        take_in(&mut held, &chunks(&town, pull(chunk.next_cursor.clone(), 7)).await);
        assert!(held == all, "resumed after chunk {index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_deletions_and_new_links_arrive_and_what_is_hidden_does_not_show() {
    let town = filled().await;
    let first = chunks(&town, pull(Vec::new(), 0)).await;
    let mut held = BTreeMap::new();
    take_in(&mut held, &first);
    let cursor = first.last().unwrap().next_cursor.clone();
    let nothing = chunks(&town, pull(cursor.clone(), 0)).await;
    assert!(nothing.iter().all(|chunk| chunk.deliveries.is_empty()));

    // Only fields that resident-tax may not have: nothing arrives.
    let hidden = v1::Qualification { remarks: "new note".into(), ..qualification() };
    town.push(vec![record("P1", "Q1", 2, Body::Qualification(hidden))]).await;
    // A dataset that resident-tax may not have: nothing arrives.
    let benefit = one_of_each("P2").into_iter().find(|record| matches!(record.body, Some(Body::Benefit(_))));
    town.push(vec![benefit.unwrap()]).await;
    let silent = chunks(&town, pull(cursor.clone(), 0)).await;
    assert!(silent.iter().all(|chunk| chunk.deliveries.is_empty()), "deny-by-default: hidden changes leave no trace");

    let changed = v1::Qualification { insured_type: v1::InsuredType::Category3.into(), ..qualification() };
    let deletion = v1::Deletion { dataset: v1::Dataset::Qualification.into() };
    town.push(vec![
        record("P3", "Q3", 2, Body::Qualification(changed)),
        record("P4", "Q4", 2, Body::Deletion(deletion)),
    ])
    .await;
    let news = chunks(&town, pull(silent.last().unwrap().next_cursor.clone(), 0)).await;
    let told: BTreeSet<(String, usize, usize)> = news
        .iter()
        .flat_map(|chunk| &chunk.deliveries)
        .map(|delivery| (delivery.local_address_number.clone(), delivery.records.len(), delivery.tombstones.len()))
        .collect();
    assert_eq!(told, BTreeSet::from([("T3".to_owned(), 1, 0), ("T4".to_owned(), 0, 1)]));
    take_in(&mut held, &news);
    let mut fresh = BTreeMap::new();
    take_in(&mut fresh, &chunks(&town, pull(Vec::new(), 0)).await);
    assert!(held == fresh, "following changes leads to the same as a full pull");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_worth_nothing_to_another_consumer_or_changed_or_under_other_rules() {
    let mut town = filled().await;
    let first = chunks(&town, pull(Vec::new(), 0)).await;
    let cursor = first.last().unwrap().next_cursor.clone();

    for bit in (0..cursor.len() * 8).step_by(7) {
        let mut flipped = cursor.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(refusal(&town, "resident-tax", pull(flipped, 0)).await, "INVALID_FIELD", "bit {bit}");
    }
    let mut theirs = pull(cursor.clone(), 0);
    theirs.affair = "生活保護事務".to_owned();
    assert_eq!(refusal(&town, "public-assistance", theirs).await, "INVALID_FIELD", "a cursor of another consumer");

    town.restart_with("policy.toml", |text| text.replacen("  \"notification_date\",\n", "", 1));
    assert_eq!(refusal(&town, "resident-tax", pull(cursor, 0)).await, "RULE_CHANGED");
    let anew = chunks(&town, pull(Vec::new(), 0)).await;
    assert!(!anew.is_empty(), "a full pull brings what the new rules allow");
}

/// Pages whose people are neighbours are read otherwise than pages whose people are scattered; nobody must notice.
#[tokio::test(flavor = "multi_thread")]
async fn people_far_apart_and_neighbours_get_their_own_records_and_nothing_else() {
    let town = Town::start();
    let scattered = [0, 17, PEOPLE - 1];
    for person in 0..PEOPLE {
        let number = personal_number(7000 + person);
        let mut systems = vec![("pension", format!("P{person}")), ("public-assistance", format!("A{person:02}"))];
        if scattered.contains(&person) {
            // In the opposite order of their numbers.
            systems.push(("resident-tax", format!("T{:02}", PEOPLE - person)));
        }
        for (system, local) in systems {
            assert!(town.register(system, registration(&local, Some(&number))).await.unwrap().error.is_none());
        }
    }
    // Two records each, one of another kind, and nothing about every fifth.
    let with_records = |person: &u64| !person.is_multiple_of(5);
    let records = (0..PEOPLE).filter(with_records).flat_map(|p| {
        let of = |key: &str| record(&format!("P{p}"), &format!("{key}{p}"), 1, Body::Qualification(qualification()));
        let payment = one_of_each(&format!("P{p}")).swap_remove(1);
        [of("Q"), of("R"), v1::PushedRecord { record_key: format!("Y{p}"), ..payment }]
    });
    town.push(records.collect()).await;

    let held = async |system: &str, affair: &str| {
        let request = v1::PullRecordsRequest { affair: affair.to_owned(), ..pull(Vec::new(), 0) };
        let mut stream = town.linkage(system).pull_records(request).await.unwrap().into_inner();
        let mut held: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        while let Some(chunk) = stream.message().await.unwrap() {
            for delivery in chunk.deliveries {
                let datasets = delivery.records.iter().map(|record| i32::from(record.body.as_ref().unwrap().dataset()));
                held.entry(delivery.local_address_number.clone()).or_default().extend(datasets);
            }
        }
        held
    };
    let (payment, qualification) = (v1::Dataset::Payment.into(), v1::Dataset::Qualification.into());
    let expected = |locals: Vec<String>| -> BTreeMap<_, _> {
        locals.into_iter().map(|local| (local, vec![payment, qualification, qualification])).collect()
    };
    let neighbours = (0..PEOPLE).filter(with_records).map(|person| format!("A{person:02}")).collect();
    assert_eq!(held("public-assistance", "生活保護事務").await, expected(neighbours));
    let far_apart = scattered.into_iter().filter(with_records).map(|person| format!("T{:02}", PEOPLE - person));
    assert_eq!(held("resident-tax", TAX).await, expected(far_apart.collect()));
}

/// A record that changed is delivered as it is now, also to a consumer that pulls from an old cursor
/// once more: what it stored since then may be lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_changed_and_changed_back_arrives_as_it_is_now_from_an_old_cursor() {
    let town = filled().await;
    let cursor = chunks(&town, pull(Vec::new(), 0)).await.last().unwrap().next_cursor.clone();
    let of_category = |revision: u64, insured_type: v1::InsuredType| {
        let changed = v1::Qualification { insured_type: insured_type.into(), ..qualification() };
        record("P1", "Q1", revision, Body::Qualification(changed))
    };
    let now = v1::InsuredType::try_from(qualification().insured_type).unwrap();
    let other = if now == v1::InsuredType::Category3 { v1::InsuredType::Category2 } else { v1::InsuredType::Category3 };
    // Several revisions of one record in one chunk, and more in others.
    town.push(vec![of_category(2, other), of_category(3, now), of_category(4, other)]).await;
    let there = chunks(&town, pull(cursor.clone(), 0)).await;
    assert_eq!(there.iter().map(|chunk| chunk.deliveries.len()).sum::<usize>(), 1);
    for revision in 5..9 {
        town.push(vec![of_category(revision, if revision == 8 { now } else { other })]).await;
    }
    let back: Vec<_> = chunks(&town, pull(cursor, 0)).await.into_iter().flat_map(|chunk| chunk.deliveries).collect();
    let [delivery] = back.as_slice() else { panic!("{} deliveries", back.len()) };
    let is = v1::Qualification::decode(delivery.records[0].body.as_ref().unwrap().bytes().as_ref()).unwrap();
    assert_eq!((delivery.records.len(), is.insured_type()), (1, now));
}
