//! Copies from one database into another: everything of one municipality arrives, or nothing does.

use atena_domain::LocalAddressNumber;
use atena_ledger::Hash;
use atena_store::{
    CopyError, KeyState, Log, NewPersonalNumber, NewReviewCase, NewRevision, NewView, Part, ReviewKind, Store,
    StoredCheckpoint, WriteTransaction,
};
use jiff::Timestamp;
use sqlx::{Connection as _, Row as _};

use crate::feeds::permit;
use crate::numbers::{link, person};
use crate::records::revision;
use crate::{Database, log};

/// More than one page of every kind.
const PEOPLE: u32 = 1003;

/// Something in every table, of which some pages end exactly at their limit.
async fn fill(store: &Store) {
    let mut transaction = store.begin_write("fill").await.unwrap();
    let people = transaction.issue_unified_numbers(PEOPLE).await.unwrap();
    transaction.insert_people(&people.iter().map(person).collect::<Vec<_>>()).await.unwrap();
    let links: Vec<_> = (0..).zip(&people).map(|(local, one)| link("pension", &format!("{local:06}"), one)).collect();
    transaction.insert_links(&links).await.unwrap();
    let numbers = people[..1000].iter().enumerate().map(|(index, one)| NewPersonalNumber {
        index_version: 1,
        unified_address_number: one.clone(),
        blind_index: std::array::from_fn(|place| (index >> (8 * (place % 2)) & 0xff).try_into().unwrap()),
        sequence: 1,
        sealed: vec![7; 40],
        effective_date: (index % 2 == 0).then(|| jiff::civil::date(2026, 4, 1)),
    });
    transaction.insert_personal_numbers(&numbers.collect::<Vec<_>>()).await.unwrap();
    let feed = transaction.open_feed(&permit(&["f1"])).await.unwrap();
    transaction.mark_feed_day(20_000).await.unwrap();
    let first =
        people.iter().map(|one| NewRevision { seen: vec![feed.number], ..revision(one.as_str(), 1, one, false) });
    let first: Vec<_> = first.collect();
    transaction.insert_revisions(&first).await.unwrap();
    let second: Vec<_> = people[..10].iter().map(|one| revision(one.as_str(), 2, one, true)).collect();
    transaction.insert_revisions(&second).await.unwrap();
    let view = NewView {
        system_id: links[0].system_id.clone(),
        local_address_number: LocalAddressNumber::parse("000000").unwrap(),
        revision: 1,
        sealed: vec![1, 2, 3],
        content_mac: [4; 32],
        protected: true,
        stored_at: Timestamp::UNIX_EPOCH,
    };
    transaction.insert_views(&[view]).await.unwrap();
    let case = NewReviewCase {
        kind: ReviewKind::SecondLocalNumber,
        system_id: links[0].system_id.clone(),
        local_address_number: LocalAddressNumber::parse("000000").unwrap(),
        unified_address_number: people[0].clone(),
        other_unified_address_number: None,
        sealed: vec![5],
        content_mac: [6; 32],
        created_at: Timestamp::UNIX_EPOCH,
    };
    transaction.open_review_case(case).await.unwrap();
    transaction.commit().await.unwrap();
    for commit in 0..33 {
        log::append(store, commit * 17, 17).await;
    }
    let admin = store.about_log(Log::Administration);
    log::append(&admin, 0, 300).await;
    let mut transaction = admin.begin_write("sign").await.unwrap();
    let head = StoredCheckpoint { size: 300, root: Hash([2; 32]), note: "管理".into() };
    transaction.insert_checkpoint(&head, Timestamp::UNIX_EPOCH).await.unwrap();
    transaction.set_log_key(&log::log_key(1)).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = store.begin_write("derive").await.unwrap();
    let head = StoredCheckpoint { size: 561, root: Hash([1; 32]), note: "宛名".into() };
    transaction.insert_checkpoint(&head, Timestamp::UNIX_EPOCH).await.unwrap();
    transaction.extend_log_index(&[(people[0].clone(), 3)], 561).await.unwrap();
    transaction.set_retention_place("audits", 17).await.unwrap();
    let keys = KeyState { wrapping_id: "kek-2".to_owned(), index_versions: vec![1, 2] };
    transaction.set_key_state(&keys).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn copy(part: Part, from: &Store, to: &Store) -> Result<u64, CopyError> {
    let mut snapshot = from.snapshot().await?;
    let counted = snapshot.count(part).await?;
    let mut transaction: WriteTransaction = to.begin_write("copy").await?;
    let mut copied = 0;
    snapshot.copy(part, &mut transaction, |rows| copied += rows).await?;
    assert_eq!(copied, counted, "progress tells of every row");
    transaction.commit().await?;
    Ok(copied)
}

/// Rows that one file has and another has not, of every table but that of versions.
async fn differences(one: &Database, other: &Database, municipality: &str) -> Vec<String> {
    let mut connection = sqlx::SqliteConnection::connect(one.url()).await.unwrap();
    let attach = format!("ATTACH '{}' AS other", other.url().strip_prefix("sqlite:").unwrap());
    sqlx::raw_sql(sqlx::AssertSqlSafe(attach)).execute(&mut connection).await.unwrap();
    let tables = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'";
    let mut found = Vec::new();
    for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
        let table: String = table.get(0);
        for (has, has_not) in [("main", "other"), ("other", "main")] {
            let sql = format!(
                "SELECT count(*) FROM (SELECT * FROM {has}.{table} WHERE municipality_code = '{municipality}' EXCEPT \
                 SELECT * FROM {has_not}.{table})"
            );
            let rows: i64 = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap().get(0);
            let all = format!("SELECT count(*) FROM main.{table} WHERE municipality_code = '{municipality}'");
            let all: i64 = sqlx::query(sqlx::AssertSqlSafe(all)).fetch_one(&mut connection).await.unwrap().get(0);
            assert!(all > 0, "nothing in {table} to compare");
            if rows > 0 {
                found.push(format!("{rows} rows of {table} are in {has} alone"));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_municipality_arrives_whole_on_the_other_engine_and_back() {
    let (first, between, last) = (Database::sqlite(), Database::postgres(), Database::sqlite());
    let (from, neighbour) = (first.open("132098").await, first.open("131016").await);
    fill(&from).await;
    log::append(&neighbour, 0, 3).await;
    let (server, to) = (between.open("132098").await, last.open("132098").await);
    let there = copy(Part::Everything, &from, &server).await.unwrap();
    let back = copy(Part::Everything, &server, &to).await.unwrap();
    assert_eq!(there, back);
    for store in [&from, &to] {
        store.close().await;
    }
    assert_eq!(differences(&first, &last, "132098").await, Vec::<String>::new());
    assert_eq!(last.open("131016").await.log_size().await.unwrap(), 0, "municipality-apart");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_and_keys_are_copied_apart_and_together_make_a_whole() {
    let (first, content, keys, whole) =
        (Database::sqlite(), Database::sqlite(), Database::sqlite(), Database::postgres());
    let from = first.open("132098").await;
    fill(&from).await;
    let (content, keys, whole) = (content.open("132098").await, keys.open("132098").await, whole.open("132098").await);
    copy(Part::Content, &from, &content).await.unwrap();
    assert_eq!(copy(Part::PersonKeys, &from, &keys).await.unwrap(), u64::from(PEOPLE));
    assert_eq!(keys.log_size().await.unwrap(), 0, "nothing but the keys");
    let locals: Vec<_> = (0..5).map(|one| LocalAddressNumber::parse(&format!("{one:06}")).unwrap()).collect();
    let pension = atena_domain::SystemId::parse("pension").unwrap();
    let people: Vec<_> = from.links_by_local(&pension, &locals).await.unwrap().into_values().collect();
    assert!(content.person_keys(&people).await.unwrap().is_empty(), "no key in the content");
    copy(Part::Content, &content, &whole).await.unwrap();
    copy(Part::PersonKeys, &keys, &whole).await.unwrap();
    assert_eq!(whole.person_keys(&people).await.unwrap().len(), 5);
    assert_eq!(whole.log_size().await.unwrap(), from.log_size().await.unwrap());
    assert_eq!(whole.log_index_size().await.unwrap(), 0, "the search index is made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_copied_over_what_is_there_nor_from_a_damaged_log() {
    let (first, second) = (Database::sqlite(), Database::sqlite());
    let (from, to) = (first.open("132098").await, second.open("132098").await);
    log::append(&from, 0, 20).await;
    log::append(&to, 0, 1).await;
    let refused = copy(Part::Everything, &from, &to).await.unwrap_err();
    assert!(matches!(refused, CopyError::NotEmpty("log_chunk")), "{refused}");

    let third = Database::sqlite();
    let to = third.open("132098").await;
    first.change("DROP TRIGGER log_chunk_is_never_changed").await.unwrap();
    first.change("UPDATE log_chunk SET hashes = zeroblob(640)").await.unwrap();
    let refused = copy(Part::Everything, &from, &to).await.unwrap_err();
    assert!(matches!(refused, CopyError::RootDiffers), "{refused}");
    assert_eq!(to.log_size().await.unwrap(), 0, "nothing of it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_of_one_moment_whatever_is_written_meanwhile() {
    for database in [Database::sqlite(), Database::postgres()] {
        let store = database.open("132098").await;
        log::append(&store, 0, 5).await;
        let mut snapshot = store.snapshot().await.unwrap();
        assert_eq!(snapshot.log_frontier(Log::Transfers).await.unwrap().size(), 5);
        log::append(&store, 5, 5).await;
        assert_eq!(snapshot.log_frontier(Log::Transfers).await.unwrap().size(), 5);
        let elsewhere = Database::sqlite();
        let copy = elsewhere.open("132098").await;
        let mut transaction = copy.begin_write("copy").await.unwrap();
        snapshot.copy(Part::Content, &mut transaction, |_| {}).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!((copy.log_size().await.unwrap(), store.log_size().await.unwrap()), (5, 10));
    }
}
