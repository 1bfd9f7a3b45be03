//! Feeds: each reader finds its own changes and no trace of any other.

use std::collections::BTreeSet;

use atena_domain::{Affair, Dataset, SystemId, UnifiedAddressNumber};
use atena_policy::{CatalogField, DatasetFields, FieldCatalog, Policy, ReleasePermit, Sensitivity};
use atena_store::{Feed, NewRevision, Store};
use jiff::civil::date;

use crate::Database;
use crate::numbers::link;
use crate::records::revision;

/// What may be pulled of payments with these fields.
pub(crate) fn permit(fields: &[&str]) -> ReleasePermit {
    let field = |path: &str, number| CatalogField {
        path: path.to_owned(),
        numbers: vec![number],
        sensitivity: Sensitivity::Pension,
    };
    let names = ["f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"];
    let of_dataset = |dataset: &Dataset| DatasetFields {
        dataset: *dataset,
        fields: (1..).zip(names).map(|(number, name)| field(name, number)).collect(),
    };
    let catalog = FieldCatalog::new(Dataset::PENSION.iter().map(of_dataset).collect());
    let owned = Dataset::PENSION.map(|dataset| {
        format!(
            r#"
            [[dataset]]
            id = "{dataset}"
            owner = "pension"
            affair = "国民年金事務"
            basis = [{{ citation = "国民年金法", valid_from = 1961-04-01 }}]"#
        )
    });
    let text = format!(
        r#"
        municipality_code = "132098"
        {}
        [registration]
        affair = "宛名管理事務"
        basis = [{{ citation = "番号法第9条第1項", valid_from = 2015-10-05 }}]
        [[system]]
        id = "pension"
        name = "国民年金システム"
        division = "保険年金課"
        roles = ["dataset_owner"]
        [[system]]
        id = "resident-tax"
        name = "市民税システム"
        division = "市民税課"
        roles = ["consumer"]
        [[rule]]
        id = "transfer-1"
        name = "移転先1"
        version = 1
        consumers = ["resident-tax"]
        affair = "市都民税賦課業務"
        valid_from = 2016-01-01
        basis = [{{ citation = "条例", valid_from = 2016-01-01 }}]
        [rule.release]
        payment = {fields:?}"#,
        owned.concat()
    );
    let today = date(2026, 11, 23);
    let policy = Policy::compile(&text, &catalog, today).unwrap();
    let (tax, affair) = (tax(), Affair::parse("市都民税賦課業務").unwrap());
    policy.authorize_release(&tax, &affair, Dataset::Payment, today).unwrap()
}

fn tax() -> SystemId {
    SystemId::parse("resident-tax").unwrap()
}

pub(crate) async fn open(store: &Store, permit: &ReleasePermit) -> Feed {
    let mut transaction = store.begin_write("open").await.unwrap();
    let feed = transaction.open_feed(permit).await.unwrap();
    transaction.commit().await.unwrap();
    feed
}

async fn push(store: &Store, revisions: &[NewRevision]) {
    let mut transaction = store.begin_write("push").await.unwrap();
    transaction.insert_revisions(revisions).await.unwrap();
    transaction.commit().await.unwrap();
}

fn seen(revision: NewRevision, by: &[&Feed]) -> NewRevision {
    NewRevision { seen: by.iter().map(|feed| feed.number).collect(), ..revision }
}

async fn a_reader_finds_its_own_changes_and_no_others(database: Database) {
    let store = database.open("132098").await;
    let people: Vec<_> = (1..=3).map(|body| UnifiedAddressNumber::from_body(body).unwrap()).collect();
    push(&store, &[revision("OLD", 1, &people[2], false)]).await;
    let (one, other) = (open(&store, &permit(&["f1"])).await, open(&store, &permit(&["f1", "f2"])).await);
    assert_eq!((one.since, other.since), (1, 1), "what was before is not in it");
    assert_eq!(open(&store, &permit(&["f1"])).await, one, "a feed is opened once");
    assert_eq!(store.feeds_of(&tax()).await.unwrap(), [one.clone(), other.clone()]);

    // Hidden from both; seen by the second; seen by both, and changed and deleted again in one
    // commit.
    push(&store, &[revision("A", 1, &people[0], false)]).await;
    push(&store, &[seen(revision("B", 1, &people[0], false), &[&other])]).await;
    let both = [&one, &other];
    let deleted = NewRevision { deleted: true, ..revision("C", 3, &people[1], true) };
    push(
        &store,
        &[
            seen(revision("C", 1, &people[1], false), &both),
            seen(revision("C", 2, &people[1], true), &[&other]),
            seen(deleted, &both),
        ],
    )
    .await;
    let until = store.last_change_sequence().await.unwrap();
    assert_eq!(until, 6);
    let of_one = store.feed_changes(std::slice::from_ref(&one), 1, until, 100).await.unwrap();
    assert_eq!(of_one.until, until);
    assert_eq!(of_one.people.keys().collect::<Vec<_>>(), [&people[1]]);
    assert_eq!((of_one.people[&people[1]].linked, &of_one.people[&people[1]].records[..]), (false, &[4][..]));
    let of_other = store.feed_changes(std::slice::from_ref(&other), 1, until, 100).await.unwrap();
    assert_eq!(of_other.people.keys().collect::<Vec<_>>(), [&people[0], &people[1]]);
    // The number of a record is that of its first change, also where it changed three times at
    // once.
    let records = store.numbered_records(&[permit(&["f1"])], &people).await.unwrap();
    let numbers: Vec<_> =
        records.iter().map(|one| (one.stored.record_key.as_str(), one.record_number, one.change)).collect();
    assert_eq!(numbers, [("A", 2, 2), ("B", 3, 3), ("C", 4, 6), ("OLD", 1, 1)]);
    assert!(records[2].stored.deleted);

    // A window ends with a commit, and the next goes on from there.
    let first = store.feed_changes(std::slice::from_ref(&other), 1, until, 1).await.unwrap();
    assert_eq!((first.until, first.people.len()), (3, 1));
    let rest = store.feed_changes(std::slice::from_ref(&other), first.until, until, 100).await.unwrap();
    assert_eq!((rest.until, rest.people.len()), (until, 1));
    assert!(store.feed_changes(&[other], until, until, 100).await.unwrap().people.is_empty());
}

async fn a_link_is_noted_in_the_feeds_of_its_system_alone(database: Database) {
    let store = database.open("132098").await;
    let feed = open(&store, &permit(&["f1"])).await;
    let person = UnifiedAddressNumber::from_body(1).unwrap();
    for system in ["welfare", "resident-tax"] {
        let mut transaction = store.begin_write("link").await.unwrap();
        transaction.insert_links(&[link(system, "L1", &person)]).await.unwrap();
        transaction.commit().await.unwrap();
        let until = store.last_change_sequence().await.unwrap();
        let changes = store.feed_changes(std::slice::from_ref(&feed), 0, until, 100).await.unwrap();
        let linked = changes.people.get(&person).is_some_and(|changes| changes.linked);
        assert_eq!(linked, system == "resident-tax");
    }
    let mut transaction = store.begin_write("look").await.unwrap();
    let systems = ["welfare", "resident-tax", "pension"].map(|system| SystemId::parse(system).unwrap());
    let linked = transaction.linked_in(&systems.iter().collect::<BTreeSet<_>>(), &[person]).await.unwrap();
    assert_eq!(linked.keys().collect::<BTreeSet<_>>(), systems[..2].iter().collect());
}

async fn the_oldest_feed_makes_room_for_a_new_one(database: Database) {
    let store = database.open("132098").await;
    let person = UnifiedAddressNumber::from_body(1).unwrap();
    let fields = ["f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"];
    let oldest = open(&store, &permit(&fields[..1])).await;
    push(&store, &[seen(revision("A", 1, &person, false), &[&oldest])]).await;
    for count in 2..=9 {
        open(&store, &permit(&fields[..count])).await;
    }
    let left = store.feeds_of(&tax()).await.unwrap();
    assert_eq!((left.len(), left.contains(&oldest)), (8, false));
    assert_eq!(database.count("SELECT count(*) FROM feed_change").await, 0);
    // Opened again, it is another one: what is older than it is not in it.
    let again = open(&store, &permit(&fields[..1])).await;
    assert!(again.number != oldest.number && again.since == 1);
}

async fn entries_are_kept_for_some_days_and_an_older_cursor_is_found_out(database: Database) {
    let store = database.open("132098").await;
    let person = UnifiedAddressNumber::from_body(1).unwrap();
    let feed = open(&store, &permit(&["f1"])).await;
    let at = async |day: i64, until: Option<i64>| {
        let mut transaction = store.begin_write("upkeep").await.unwrap();
        transaction.mark_feed_day(day).await.unwrap();
        if let Some(until) = until {
            let feeds = transaction.feeds(&Dataset::PENSION.into_iter().collect()).await.unwrap();
            transaction.prune_feeds(&feeds, until).await.unwrap();
        }
        transaction.commit().await.unwrap();
    };
    let entries = async || database.count("SELECT count(*) FROM feed_change").await;
    push(&store, &[seen(revision("A", 1, &person, false), &[&feed])]).await;
    at(100, None).await;
    push(&store, &[seen(revision("B", 1, &person, false), &[&feed])]).await;
    // The second look of a day does not move its mark.
    at(100, Some(99)).await;
    assert_eq!((entries().await, store.feeds_of(&tax()).await.unwrap()[0].since), (2, 0));
    at(101, Some(100)).await;
    assert_eq!((entries().await, store.feeds_of(&tax()).await.unwrap()[0].since), (1, 1));
    // Days without a gateway.
    at(200, Some(150)).await;
    assert_eq!((entries().await, store.feeds_of(&tax()).await.unwrap()[0].since), (0, 2));
    at(201, Some(150)).await;
    assert_eq!(database.count("SELECT count(*) FROM feed_day").await, 2);
}

async fn an_erased_person_is_gone_from_the_feeds(database: Database) {
    let store = database.open("132098").await;
    let people: Vec<_> = (1..=2).map(|body| UnifiedAddressNumber::from_body(body).unwrap()).collect();
    let feed = open(&store, &permit(&["f1"])).await;
    push(&store, &[seen(revision("A", 1, &people[0], false), &[&feed])]).await;
    let both = [("B", &people[0]), ("C", &people[1])];
    push(&store, &both.map(|(key, person)| seen(revision(key, 1, person, false), &[&feed]))).await;
    let mut transaction = store.begin_write("link").await.unwrap();
    transaction.insert_links(&[link("resident-tax", "L1", &people[0])]).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = store.begin_write("erase").await.unwrap();
    transaction.erase_person(&people[0]).await.unwrap();
    transaction.commit().await.unwrap();
    let until = store.last_change_sequence().await.unwrap();
    let changes = store.feed_changes(&[feed], 0, until, 100).await.unwrap();
    assert_eq!(changes.people.keys().collect::<Vec<_>>(), [&people[1]]);
    assert_eq!(database.count("SELECT count(*) FROM feed_change").await, 1);
    assert_eq!(database.count("SELECT count(*) FROM feed_change WHERE entries LIKE '%000000000000019%'").await, 0);
}

async fn the_change_of_a_link_is_known(database: Database) {
    let store = database.open("132098").await;
    let person = UnifiedAddressNumber::from_body(1).unwrap();
    push(&store, &[revision("A", 1, &person, false)]).await;
    for system in ["resident-tax", "welfare"] {
        let mut transaction = store.begin_write("link").await.unwrap();
        transaction.insert_links(&[link(system, "L1", &person)]).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let other = UnifiedAddressNumber::from_body(2).unwrap();
    let linked = store.link_changes(&tax(), &[person.clone(), other]).await.unwrap();
    assert_eq!(linked.into_iter().collect::<Vec<_>>(), [(person, 2)]);
}

crate::on_both_engines!(
    entries_are_kept_for_some_days_and_an_older_cursor_is_found_out,
    an_erased_person_is_gone_from_the_feeds,
    the_change_of_a_link_is_known,
    a_reader_finds_its_own_changes_and_no_others,
    a_link_is_noted_in_the_feeds_of_its_system_alone,
    the_oldest_feed_makes_room_for_a_new_one,
);
