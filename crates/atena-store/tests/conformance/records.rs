//! Records: the newest revision in reach, every former one kept as it was, and changes in the order
//! of their commits.

use std::collections::BTreeSet;

use atena_domain::{Dataset, LocalAddressNumber, RecordKey, SystemId, UnifiedAddressNumber};
use atena_store::{ComingRecord, NewLink, NewRevision, Store, StoreError};
use jiff::Timestamp;

use crate::Database;

pub(crate) fn revision(key: &str, revision: u64, person: &UnifiedAddressNumber, supersedes: bool) -> NewRevision {
    NewRevision {
        dataset: Dataset::Payment,
        record_key: RecordKey::parse(key).unwrap(),
        revision,
        unified_address_number: person.clone(),
        deleted: false,
        sealed: format!("{key}/{revision}").into(),
        content_mac: [u8::try_from(revision).unwrap(); 32],
        stored_at: Timestamp::UNIX_EPOCH,
        supersedes,
        record_number: None,
        seen: Vec::new(),
    }
}

async fn push(store: &Store, revisions: &[NewRevision]) -> Result<(), StoreError> {
    let mut transaction = store.begin_write("push").await?;
    transaction.insert_revisions(revisions).await?;
    transaction.commit().await
}

fn people() -> (UnifiedAddressNumber, UnifiedAddressNumber) {
    (UnifiedAddressNumber::from_body(1).unwrap(), UnifiedAddressNumber::from_body(2).unwrap())
}

fn coming<'r>(person: &'r UnifiedAddressNumber, key: &'r RecordKey, revision: u64) -> ComingRecord<'r> {
    ComingRecord { unified_address_number: person, record_key: key, revision }
}

async fn a_record_may_change_often_also_in_one_chunk(database: Database) {
    let store = database.open("132098").await;
    let (one, other) = people();
    let chunk = [
        revision("A", 1, &one, false),
        revision("B", 1, &other, false),
        revision("A", 2, &one, true),
        revision("A", 5, &one, true),
    ];
    push(&store, &chunk).await.unwrap();
    push(&store, &[revision("A", 7, &one, true), revision("C", 1, &other, false)]).await.unwrap();
    assert_eq!(store.last_change_sequence().await.unwrap(), 6, "each revision is one change");
    let mut transaction = store.begin_write("look").await.unwrap();
    let keys: Vec<_> = ["A", "B", "C", "D"].iter().map(|key| RecordKey::parse(key).unwrap()).collect();
    // Said to be about one person, though B and C are another's; new, or changed.
    for revision in [1, 8] {
        let records: Vec<_> = keys.iter().map(|key| coming(&one, key, revision)).collect();
        let heads = transaction.record_heads(Dataset::Payment, &records).await.unwrap();
        let newest: Vec<_> = keys.iter().map(|key| heads.get(key).map(|head| head.revision)).collect();
        assert_eq!(newest, [Some(7), Some(1), Some(1), None]);
        assert_eq!(heads[&keys[0]].content_mac, [7; 32]);
        let people: Vec<_> = keys.iter().map(|key| heads.get(key).map(|head| &head.unified_address_number)).collect();
        assert_eq!(people, [Some(&one), Some(&other), Some(&other), None]);
        // What a person has besides is not asked for.
        let heads = transaction.record_heads(Dataset::Payment, &[coming(&other, &keys[2], revision)]).await.unwrap();
        assert_eq!(heads.into_keys().collect::<Vec<_>>(), [keys[2].clone()]);
    }
    // Keys beyond all that are there, on both sides of them, and the last one.
    for (asked, there) in [(["E", "F"], &[][..]), (["0", "Z"], &[][..]), (["C", "Z"], &["C"][..])] {
        let keys = asked.map(|key| RecordKey::parse(key).unwrap());
        let records = keys.each_ref().map(|key| coming(&one, key, 1));
        let heads = transaction.record_heads(Dataset::Payment, &records).await.unwrap();
        assert_eq!(heads.keys().map(RecordKey::as_str).collect::<Vec<_>>(), there);
        assert!(transaction.record_heads(Dataset::Benefit, &records).await.unwrap().is_empty(), "of another dataset");
    }
}

async fn of_many_that_change_at_once_each_keeps_what_it_was(database: Database) {
    const KEPT: &str = "SELECT count(*) FROM record JOIN record_history AS former \
            ON former.municipality_code = record.municipality_code AND former.superseded_by = record.change_sequence \
            AND former.dataset = record.dataset AND former.record_key = record.record_key \
            AND former.unified_address_number = record.unified_address_number \
        WHERE record.revision = 2 AND former.revision = 1 AND record.sealed <> former.sealed";
    let store = database.open("132098").await;
    // In no order, of two datasets, and new ones among them.
    let chunk = |newest: u64| -> Vec<_> {
        let one = |number: u64| {
            let person = UnifiedAddressNumber::from_body(number + 1).unwrap();
            let changes = newest > 1 && number < 700;
            let dataset = if number.is_multiple_of(3) { Dataset::Benefit } else { Dataset::Payment };
            let revision = revision(&format!("K-{number}"), if changes { newest } else { 1 }, &person, changes);
            NewRevision { dataset, ..revision }
        };
        let numbers = (0..800).map(|number| number * 7 % 800);
        numbers.filter(|number| newest > 1 || *number < 700).map(one).collect()
    };
    push(&store, &chunk(1)).await.unwrap();
    push(&store, &chunk(2)).await.unwrap();
    assert_eq!(database.count(KEPT).await, 700);
    assert_eq!(database.count("SELECT count(*) FROM record").await, 800);
    assert_eq!(database.count("SELECT count(DISTINCT change_sequence) FROM record").await, 800);
    assert_eq!(store.last_change_sequence().await.unwrap(), 1500, "each revision is one change");
}

async fn a_revision_is_never_overwritten(database: Database) {
    let store = database.open("132098").await;
    let (one, other) = people();
    push(&store, &[revision("A", 1, &one, false)]).await.unwrap();
    for (again, why) in [
        (revision("A", 2, &one, false), "a record that is there is not new"),
        (revision("A", 2, &other, false), "a record belongs to one person"),
    ] {
        assert!(matches!(push(&store, &[again]).await, Err(StoreError::Constraint(_))), "{why}");
    }
    assert_eq!(store.last_change_sequence().await.unwrap(), 1, "what was refused left nothing behind");
}

async fn lists_of_any_length_and_any_characters_are_looked_up_at_once(database: Database) {
    let store = database.open("132098").await;
    let system = SystemId::parse("pension").unwrap();
    let links: Vec<_> = (1..=1500_u64)
        .map(|number| NewLink {
            system_id: system.clone(),
            local_address_number: LocalAddressNumber::parse(&format!("P{number}")).unwrap(),
            unified_address_number: UnifiedAddressNumber::from_body(number).unwrap(),
        })
        .collect();
    let mut transaction = store.begin_write("link").await.unwrap();
    transaction.insert_links(&links).await.unwrap();
    transaction.commit().await.unwrap();
    let locals: Vec<_> = links.iter().map(|link| link.local_address_number.clone()).collect();
    let found = store.links_by_local(&system, &locals).await.unwrap();
    assert_eq!(found.len(), 1500);
    // A record key may hold what a list must not stumble over.
    let key = RecordKey::parse("A\"\\',{}1");
    if let Ok(key) = key {
        push(&store, &[revision(key.as_str(), 1, &links[0].unified_address_number, false)]).await.unwrap();
        let mut transaction = store.begin_write("look").await.unwrap();
        let heads = transaction
            .record_heads(Dataset::Payment, &[coming(&links[0].unified_address_number, &key, 2)])
            .await
            .unwrap();
        assert!(heads.contains_key(&key));
    }
}

async fn of_neighbours_only_those_asked_for_are_found(database: Database) {
    let store = database.open("132098").await;
    let system = SystemId::parse("pension").unwrap();
    let local = |number: u64| LocalAddressNumber::parse(&format!("P{number:08}")).unwrap();
    let unified = |number: u64| UnifiedAddressNumber::from_body(number).unwrap();
    let all = 1..=200_u64;
    let links: Vec<_> = all
        .clone()
        .map(|number| NewLink {
            system_id: system.clone(),
            local_address_number: local(number),
            unified_address_number: unified(number),
        })
        .collect();
    let people: Vec<_> = all.clone().map(|number| crate::numbers::person(&unified(number))).collect();
    let mut transaction = store.begin_write("register").await.unwrap();
    transaction.insert_people(&people).await.unwrap();
    transaction.insert_links(&links).await.unwrap();
    transaction.commit().await.unwrap();

    // Close together, in no order, with one that is not there; and the same far apart.
    for (step, others) in [(3, 1), (3, 2), (7, 1)] {
        let wanted: Vec<u64> = all.clone().rev().filter(|number| number % step == others).chain([201]).collect();
        let (locals, numbers): (Vec<_>, Vec<_>) = wanted.iter().map(|one| (local(*one), unified(*one))).unzip();
        let expected: BTreeSet<_> = numbers.iter().filter(|number| **number != unified(201)).cloned().collect();
        let linked = store.links_by_local(&system, &locals).await.unwrap();
        assert_eq!(linked.values().cloned().collect::<BTreeSet<_>>(), expected);
        assert!(linked.iter().all(|(local, person)| {
            links.iter().any(|link| link.local_address_number == *local && link.unified_address_number == *person)
        }));
        let turned = store.links_by_unified(&system, &numbers).await.unwrap();
        assert_eq!(turned.into_keys().collect::<BTreeSet<_>>(), expected);
        let keys = store.person_keys(&numbers).await.unwrap();
        assert_eq!(keys.into_keys().collect::<BTreeSet<_>>(), expected);
        let mut transaction = store.begin_write("look").await.unwrap();
        let existing = transaction.existing_people(&numbers).await.unwrap();
        assert_eq!(existing.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

async fn writers_of_one_municipality_wait_for_each_other_and_others_do_not(database: Database) {
    let (store, again, other) =
        (database.open("132098").await, database.open("132098").await, database.open("131016").await);
    let (one, _) = people();
    let mut first = store.begin_write("first").await.unwrap();
    first.insert_revisions(&[revision("A", 1, &one, false)]).await.unwrap();
    let waiting = tokio::spawn(async move {
        let mut transaction = again.begin_write("waits").await.unwrap();
        let (one, key) = (people().0, RecordKey::parse("A").unwrap());
        transaction.record_heads(Dataset::Payment, &[coming(&one, &key, 2)]).await.unwrap().len()
    });
    if database.is_postgres() {
        push(&other, &[revision("A", 1, &one, false)]).await.unwrap();
    }
    first.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), 1, "a transaction sees all that was committed before it");
}

crate::on_both_engines!(
    a_record_may_change_often_also_in_one_chunk,
    of_many_that_change_at_once_each_keeps_what_it_was,
    a_revision_is_never_overwritten,
    lists_of_any_length_and_any_characters_are_looked_up_at_once,
    of_neighbours_only_those_asked_for_are_found,
    writers_of_one_municipality_wait_for_each_other_and_others_do_not,
);
