//! A stream of chunks: those that wait are stored together, and nobody can tell.

use std::collections::BTreeSet;

use atena_proto::v1;
use atena_proto::v1::RegistrationOutcome as Outcome;
use atena_proto::v1::pushed_record::Body;

use crate::people::{personal_number, qualification, record, registration};
use crate::town::{Town, reason};

/// Chunks of each stream: more than are stored together.
const CHUNKS: u64 = 11;

fn chunk(records: Vec<v1::PushedRecord>) -> v1::PushRecordsRequest {
    v1::PushRecordsRequest { request_id: String::new(), records }
}

/// acknowledged-is-durable: every chunk before the one that is refused is stored and answered, in order, and each sees what came before.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_a_push_follow_each_other_and_end_with_the_one_that_is_refused() {
    let town = Town::start();
    town.register("pension", registration("P1", Some(&personal_number(1)))).await.unwrap();
    let one = |revision| record("P1", "Q1", revision, Body::Qualification(qualification()));
    let mut sent: Vec<_> = (1..=CHUNKS).map(|revision| chunk(vec![one(revision), one(revision), one(0)])).collect();
    sent.push(chunk(vec![one(1); 1001]));
    sent.push(chunk(vec![one(CHUNKS + 1)]));

    let mut answers = town.records("pension").push_records(tokio_stream::iter(sent)).await.unwrap().into_inner();
    let mut transfer_ids = BTreeSet::new();
    for revision in 1..=CHUNKS {
        let results = answers.message().await.unwrap().unwrap().results;
        let [stored, again, never] = results.as_slice() else { panic!("three results") };
        assert_eq!((stored.revision, stored.outcome()), (revision, v1::PushOutcome::Stored));
        assert_eq!(again.outcome(), v1::PushOutcome::Unchanged);
        assert_eq!(never.outcome(), v1::PushOutcome::Rejected);
        assert_eq!(stored.transfer_id, again.transfer_id, "one transfer record for one person and chunk");
        transfer_ids.insert(stored.transfer_id.clone());
    }
    assert_eq!(transfer_ids.len() as u64, CHUNKS, "and one of its own for each chunk");
    let refused = answers.message().await.err().unwrap();
    assert_eq!(reason(&refused), "MESSAGE_TOO_LARGE");

    let status = v1::GetPushStatusRequest { dataset: v1::Dataset::Qualification.into() };
    let status = town.records("pension").get_push_status(status).await.unwrap().into_inner();
    assert_eq!((status.current_records, status.last_revision), (1, CHUNKS), "nothing after the refused chunk");
    let recorded: BTreeSet<_> = town.transfers("").await.into_iter().map(|transfer| transfer.transfer_id).collect();
    assert!(transfer_ids.is_subset(&recorded));
}

/// one-person-one-number: a person who comes up again in a later chunk of the stream is the same person.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_registrations_know_the_people_of_those_before_them() {
    let town = Town::start();
    let people = 1..=CHUNKS;
    let known = |person: u64| registration(&format!("A{person}"), Some(&personal_number(person)));
    let moved = |person| {
        let mut moved = known(person);
        moved.person.as_mut().unwrap().sex = Some(v1::Sex::Female.into());
        moved
    };
    let sent: Vec<_> = people
        .clone()
        .map(|person| {
            let mut registrations = vec![known(person)];
            if person > 1 {
                let other_number = registration(&format!("A{}", person - 1), Some(&personal_number(100 + person)));
                let second_local = registration(&format!("B{person}"), Some(&personal_number(person - 1)));
                registrations.extend([known(person - 1), moved(person - 1), second_local, other_number]);
            }
            v1::RegisterPersonsRequest { request_id: String::new(), registrations }
        })
        .collect();

    let mut answers =
        town.address_service("pension").register_persons(tokio_stream::iter(sent)).await.unwrap().into_inner();
    for person in people {
        let results = answers.message().await.unwrap().unwrap().results;
        let outcomes: Vec<_> = results.iter().map(v1::RegistrationResult::outcome).collect();
        assert_eq!(outcomes.first(), Some(&Outcome::Issued), "{person}");
        if person > 1 {
            assert_eq!(outcomes[1..4], [Outcome::Unchanged, Outcome::Updated, Outcome::ReviewRequired], "{person}");
            assert_eq!(results[4].error.as_ref().unwrap().reason, "LOCAL_NUMBER_CONFLICT");
        }
        for (index, result) in results.iter().enumerate() {
            let told = result.error.as_ref().map_or(index, |error| usize::try_from(error.index).unwrap());
            assert_eq!(told, index, "places are those in the chunk");
        }
    }
    assert!(answers.message().await.unwrap().is_none());
}
