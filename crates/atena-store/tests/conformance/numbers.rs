//! one-person-one-number where it is enforced last: in the database.

use std::collections::BTreeSet;

use atena_domain::{SystemId, UnifiedAddressNumber};
use atena_store::{NewLink, NewPerson, NewPersonalNumber, StoreError};
use atena_vault::WrappedKey;
use jiff::Timestamp;

use crate::Database;

pub(crate) fn person(number: &UnifiedAddressNumber) -> NewPerson {
    NewPerson {
        unified_address_number: number.clone(),
        wrapped_key: WrappedKey { kek_id: "kek-1".into(), bytes: vec![1, 2, 3].into() },
        migrated: false,
        created_at: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn link(system: &str, local: &str, number: &UnifiedAddressNumber) -> NewLink {
    NewLink {
        system_id: SystemId::parse(system).unwrap(),
        local_address_number: atena_domain::LocalAddressNumber::parse(local).unwrap(),
        unified_address_number: number.clone(),
    }
}

async fn numbers_rise_skip_migrated_ones_and_are_not_lost_or_doubled_by_a_rollback(database: Database) {
    let store = database.open("132098").await;
    let migrated = UnifiedAddressNumber::parse_migrated("000000000000027").unwrap();
    let mut transaction = store.begin_write("migrate").await.unwrap();
    transaction.insert_people(&[person(&migrated)]).await.unwrap();
    transaction.commit().await.unwrap();

    let mut dropped = store.begin_write("dropped").await.unwrap();
    dropped.issue_unified_numbers(3).await.unwrap();
    drop(dropped);

    let mut transaction = store.begin_write("issue").await.unwrap();
    let issued = transaction.issue_unified_numbers(3).await.unwrap();
    transaction.commit().await.unwrap();
    let bodies: Vec<&str> = issued.iter().map(|number| &number.as_str()[..14]).collect();
    assert_eq!(bodies, ["00000000000001", "00000000000003", "00000000000004"], "the body that migrated is skipped");
}

async fn what_may_have_been_given_in_a_lost_time_is_never_given_again(database: Database) {
    let store = database.open("132098").await;
    let mut transaction = store.begin_write("issue").await.unwrap();
    let before = transaction.issue_unified_numbers(1).await.unwrap();
    transaction.pass_over(1000).await.unwrap();
    let after = transaction.issue_unified_numbers(1).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!((&before[0].as_str()[..14], &after[0].as_str()[..14]), ("00000000000001", "00000000001002"));
    assert_eq!(store.last_change_sequence().await.unwrap(), 1000);
}

async fn one_person_one_number_also_when_many_issue_at_once(database: Database) {
    let store = database.open("132098").await;
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut numbers = Vec::new();
                for _ in 0..25 {
                    let mut transaction = store.begin_write("issue").await.unwrap();
                    numbers.extend(transaction.issue_unified_numbers(4).await.unwrap());
                    transaction.commit().await.unwrap();
                }
                numbers
            })
        })
        .collect();
    let mut all = BTreeSet::new();
    for task in tasks {
        for number in task.await.unwrap() {
            assert!(all.insert(number.as_str().to_owned()), "{} was issued twice", number.as_str());
        }
    }
    assert_eq!(all.len(), 400);
}

async fn one_person_has_one_current_number_and_one_number_one_person(database: Database) {
    let store = database.open("132098").await;
    let mut transaction = store.begin_write("people").await.unwrap();
    let people = transaction.issue_unified_numbers(2).await.unwrap();
    transaction.insert_people(&[person(&people[0]), person(&people[1])]).await.unwrap();
    let number = |person: &UnifiedAddressNumber, sequence, index| NewPersonalNumber {
        index_version: 1,
        unified_address_number: person.clone(),
        blind_index: [index; 32],
        sequence,
        sealed: vec![9],
        effective_date: None,
    };
    transaction.insert_personal_numbers(&[number(&people[0], 1, 1)]).await.unwrap();
    transaction.commit().await.unwrap();
    for (twice, why) in [
        (number(&people[1], 1, 1), "one number, two people"),
        (number(&people[0], 2, 2), "one person, two current numbers"),
    ] {
        let mut transaction = store.begin_write("twice").await.unwrap();
        let refused = transaction.insert_personal_numbers(&[twice]).await;
        assert!(matches!(refused, Err(StoreError::Constraint(_))), "{why}");
    }
    let mut transaction = store.begin_write("replace").await.unwrap();
    transaction.supersede_personal_number(&people[0], Timestamp::UNIX_EPOCH).await.unwrap();
    transaction.insert_personal_numbers(&[number(&people[0], 2, 2)]).await.unwrap();
    transaction.commit().await.unwrap();
    let mut transaction = store.begin_write("look").await.unwrap();
    let current = transaction.current_number_index(&people[..1]).await.unwrap();
    assert_eq!(current.get(&people[0]), Some(&[2; 32]), "the former number is kept, and not current");
    assert_eq!(transaction.people_by_index(&[[1; 32], [2; 32]]).await.unwrap().len(), 2, "both lead to the person");
}

async fn a_number_taken_back_is_current_again_and_those_after_it_are_free(database: Database) {
    let store = database.open("132098").await;
    let mut transaction = store.begin_write("people").await.unwrap();
    let people = transaction.issue_unified_numbers(2).await.unwrap();
    transaction.insert_people(&[person(&people[0]), person(&people[1])]).await.unwrap();
    let number = |person: &UnifiedAddressNumber, sequence, index| NewPersonalNumber {
        index_version: 1,
        unified_address_number: person.clone(),
        blind_index: [index; 32],
        sequence,
        sealed: vec![9],
        effective_date: None,
    };
    // A change by law, then two mistakes.
    for index in 1..=4u8 {
        let at = Timestamp::from_second(index.into()).unwrap();
        transaction.supersede_personal_number(&people[0], at).await.unwrap();
        transaction.insert_personal_numbers(&[number(&people[0], index.into(), index)]).await.unwrap();
    }
    transaction.commit().await.unwrap();

    let mut transaction = store.begin_write("take_back").await.unwrap();
    transaction.take_back_personal_numbers(&people[0], &[2; 32]).await.unwrap();
    transaction.commit().await.unwrap();

    let mut transaction = store.begin_write("look").await.unwrap();
    let current = transaction.current_number_index(&people).await.unwrap();
    assert_eq!(current.get(&people[0]), Some(&[2; 32]));
    let known = transaction.people_by_index(&[[1; 32], [2; 32], [3; 32], [4; 32]]).await.unwrap();
    assert_eq!(known.len(), 2, "the history before it is kept, what came after it is forgotten");
    assert_eq!(transaction.next_number_sequence(&people[0]).await.unwrap(), 3);
    let other = transaction.insert_personal_numbers(&[number(&people[1], 1, 3)]).await;
    assert!(other.is_ok(), "its right person can have it");
}

async fn one_system_has_one_local_number_for_one_person(database: Database) {
    let store = database.open("132098").await;
    let mut transaction = store.begin_write("people").await.unwrap();
    let people = transaction.issue_unified_numbers(2).await.unwrap();
    transaction.insert_people(&[person(&people[0]), person(&people[1])]).await.unwrap();
    transaction.insert_links(&[link("pension", "P1", &people[0]), link("welfare", "P1", &people[0])]).await.unwrap();
    transaction.commit().await.unwrap();
    for twice in [link("pension", "P2", &people[0]), link("pension", "P1", &people[1])] {
        let mut transaction = store.begin_write("twice").await.unwrap();
        assert!(matches!(transaction.insert_links(&[twice]).await, Err(StoreError::Constraint(_))));
    }
}

async fn municipality_apart_two_municipalities_on_one_file_do_not_see_each_other(database: Database) {
    let machida = database.open("132098").await;
    let chiyoda = database.open("131016").await;
    let mut transaction = machida.begin_write("people").await.unwrap();
    let people = transaction.issue_unified_numbers(1).await.unwrap();
    transaction.insert_people(&[person(&people[0])]).await.unwrap();
    transaction.insert_links(&[link("pension", "P1", &people[0])]).await.unwrap();
    transaction.commit().await.unwrap();
    let (system, local) = (SystemId::parse("pension").unwrap(), link("pension", "P1", &people[0]).local_address_number);
    let locals = std::slice::from_ref(&local);
    assert_eq!(machida.links_by_local(&system, locals).await.unwrap().len(), 1);
    assert!(chiyoda.links_by_local(&system, locals).await.unwrap().is_empty());
    assert!(chiyoda.person_keys(&people).await.unwrap().is_empty());
    let mut transaction = chiyoda.begin_write("issue").await.unwrap();
    assert_eq!(transaction.issue_unified_numbers(1).await.unwrap(), people, "each counts for itself");
}

crate::on_both_engines!(
    what_may_have_been_given_in_a_lost_time_is_never_given_again,
    numbers_rise_skip_migrated_ones_and_are_not_lost_or_doubled_by_a_rollback,
    one_person_one_number_also_when_many_issue_at_once,
    one_person_has_one_current_number_and_one_number_one_person,
    a_number_taken_back_is_current_again_and_those_after_it_are_free,
    one_system_has_one_local_number_for_one_person,
    municipality_apart_two_municipalities_on_one_file_do_not_see_each_other,
);
