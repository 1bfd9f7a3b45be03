//! Everything that a caller can ask, and what it is told, byte for byte.

use atena_domain::Dataset;
use atena_policy::{Policy, Rule};
use atena_proto::{RECORD_DATASETS, v1};
use prost::Message;
use tonic::Status;

use super::world::{PEOPLE, Secret, World, local, personal_number};
use crate::client::Client;
use crate::error::CliError;

/// Records in a page: several pages, so that their number and their sizes are compared as well.
const PAGE_SIZE: u32 = 7;

/// Letters of a UUID as text.
const UUID_LENGTH: usize = 36;

/// The answers of a town to one caller, each with the question.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) answers: Vec<(String, Vec<u8>)>,
    /// Where its pulls go on.
    places: Vec<Place>,
}

/// A pull and its cursor.
struct Place {
    affair: String,
    dataset: i32,
    cursor: Vec<u8>,
}

// === impl Answers ===

impl Answers {
    /// Asks a town everything as a system.
    pub(super) async fn of(world: &World, policy: &Policy, system: &str) -> Result<Self, CliError> {
        let client = world.client(system).await?;
        let mut told = Self::default();
        let everybody: Vec<_> = (0..=PEOPLE).map(local).collect();
        let affairs = affairs(policy);

        told.keep("ListEntitlements", client.linkage().list_entitlements(v1::ListEntitlementsRequest {}).await);
        for affair in &affairs {
            // Of an affair that no rule gives the system, one question of each kind: the answer is a refusal.
            let granted = is_granted(policy, system, affair);
            for dataset in RECORD_DATASETS.map(i32::from) {
                let question = |what: &str| format!("{what} {affair} {dataset}");
                let request = v1::GetRecordsRequest {
                    affair: affair.clone(),
                    datasets: vec![dataset],
                    local_address_numbers: everybody.clone(),
                    ..Default::default()
                };
                told.keep(&question("GetRecords"), client.linkage().get_records(request).await);
                let mut place = Place { affair: affair.clone(), dataset, cursor: Vec::new() };
                if granted {
                    // Everything, and then what has changed since.
                    for what in ["PullRecords", "PullRecords since"] {
                        told.pull(&client, &question(what), &mut place).await;
                    }
                    told.places.push(place);
                } else if dataset == i32::from(RECORD_DATASETS[0]) {
                    told.pull(&client, &question("PullRecords"), &mut place).await;
                }
            }
            for person in 0..if granted { 3 } else { 1 } {
                for include_personal_number in [false, true] {
                    let request = v1::GetPersonRequest {
                        local_address_number: local(person),
                        affair: affair.clone(),
                        include_personal_number,
                        ..Default::default()
                    };
                    let question = format!("GetPerson {affair} {person} {include_personal_number}");
                    told.keep(&question, client.address().get_person(request).await);
                }
            }
        }
        let request = v1::ResolveNumbersRequest { local_address_numbers: everybody, ..Default::default() };
        told.keep("ResolveNumbers", client.address().resolve_numbers(request).await);
        for dataset in RECORD_DATASETS.map(i32::from) {
            let request = v1::GetPushStatusRequest { dataset };
            told.keep(&format!("GetPushStatus {dataset}"), client.records().get_push_status(request).await);
        }
        if !policy.systems().any(|known| known.id().as_str() == system && !known.personal_number_bases().is_empty()) {
            // A number that one of the towns knows and the other does not.
            for secrets in [&[][..], &[Secret::PersonalNumbers]] {
                let request = v1::ReplacePersonalNumberRequest {
                    local_address_number: local(1),
                    new_personal_number: personal_number(1, secrets),
                    effective_date: "2026-01-01".to_owned(),
                    ..Default::default()
                };
                let question = format!("ReplacePersonalNumber {}", !secrets.is_empty());
                told.keep(&question, client.address().replace_personal_number(request).await);
            }
        }
        told.keep(
            "SummarizeTransfers",
            client.transfer_log().summarize_transfers(v1::SummarizeTransfersRequest::default()).await,
        );
        Ok(told)
    }

    /// Goes on with every pull, after more has been pushed.
    pub(super) async fn go_on(&mut self, world: &World, system: &str) -> Result<(), CliError> {
        let client = world.client(system).await?;
        let mut places = std::mem::take(&mut self.places);
        for place in &mut places {
            let question = format!("PullRecords after more {} {}", place.affair, place.dataset);
            self.pull(&client, &question, place).await;
        }
        self.places = places;
        Ok(())
    }

    /// Pulls from a place to the end.
    async fn pull(&mut self, client: &Client, question: &str, place: &mut Place) {
        let request = v1::PullRecordsRequest {
            affair: place.affair.clone(),
            datasets: vec![place.dataset],
            cursor: place.cursor.clone(),
            page_size: PAGE_SIZE,
            ..Default::default()
        };
        let mut chunks = match client.linkage().pull_records(request).await {
            Err(status) => return self.refused(question, &status),
            Ok(answer) => answer.into_inner(),
        };
        loop {
            match chunks.message().await {
                Ok(None) => return,
                Err(status) => return self.refused(question, &status),
                Ok(Some(mut chunk)) => {
                    // Sealed under a random nonce: only its length can be the same.
                    let next = std::mem::take(&mut chunk.next_cursor);
                    chunk.next_cursor = vec![0; next.len()];
                    place.cursor = next;
                    self.answer(question, &chunk);
                }
            }
        }
    }

    /// The first question to which another town answers otherwise.
    pub(super) fn difference<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        let pairs = self.answers.iter().zip(&other.answers);
        let first = pairs.into_iter().find(|(one, another)| one != another).map(|((question, _), _)| question.as_str());
        first.or((self.answers.len() != other.answers.len()).then_some("the number of answers"))
    }

    /// Bytes in all.
    pub(super) fn bytes(&self) -> usize {
        self.answers.iter().map(|(_, answer)| answer.len()).sum()
    }

    fn keep<A: Message>(&mut self, question: &str, answer: Result<tonic::Response<A>, Status>) {
        match answer {
            Ok(answer) => self.answer(question, answer.get_ref()),
            Err(status) => self.refused(question, &status),
        }
    }

    fn answer(&mut self, question: &str, answer: &impl Message) {
        self.answers.push((question.to_owned(), without_ids(answer.encode_to_vec())));
    }

    fn refused(&mut self, question: &str, status: &Status) {
        let told = format!("{:?} {} ", status.code(), status.message());
        self.answers.push((question.to_owned(), without_ids([told.as_bytes(), status.details()].concat())));
    }
}

/// Whether a rule names the system with the affair, or the system owns what it asks for.
fn is_granted(policy: &Policy, system: &str, affair: &str) -> bool {
    let is_consumer = |rule: &Rule| {
        rule.affair().as_str() == affair && rule.consumers().iter().any(|consumer| consumer.as_str() == system)
    };
    policy.rules().any(is_consumer) || Dataset::ALL.iter().any(|dataset| owns(policy, system, *dataset))
}

fn owns(policy: &Policy, system: &str, dataset: Dataset) -> bool {
    policy.owner(dataset).is_some_and(|owner| owner.as_str() == system)
}

/// Every affair that the rules name.
fn affairs(policy: &Policy) -> Vec<String> {
    let mut affairs: Vec<_> = policy.rules().map(|rule| rule.affair().as_str().to_owned()).collect();
    affairs.push("知られていない事務".to_owned());
    affairs.sort();
    affairs.dedup();
    affairs
}

/// Random ids (of transfers) are the only thing that two towns may tell otherwise: they are made the same, their place and length stay.
fn without_ids(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(letters) = bytes.get_mut(at..at + UUID_LENGTH) {
        let is_id = letters.iter().enumerate().all(|(place, letter)| match place {
            8 | 13 | 18 | 23 => *letter == b'-',
            _ => letter.is_ascii_hexdigit(),
        });
        if is_id {
            letters.fill(b'0');
            at += UUID_LENGTH;
        } else {
            at += 1;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_the_same_and_nothing_else_is() {
        let one = without_ids(b"a 0199c2a4-0000-7000-8000-000000000001 b".to_vec());
        assert_eq!(one, without_ids(b"a 0199c2a5-1111-7222-8333-999999999999 b".to_vec()));
        assert_ne!(one, without_ids(b"a 0199c2a4-0000-7000-8000-000000000001 c".to_vec()));
        assert_eq!(without_ids(b"0199c2a4-0000".to_vec()), b"0199c2a4-0000");
    }
}
