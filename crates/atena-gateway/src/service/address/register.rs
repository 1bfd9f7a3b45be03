//! Registers chunks of people in one transaction: what `RegisterPerson` and `RegisterPersons` share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, UnifiedAddressNumber};
use atena_ledger::Outcome;
use atena_policy::RegistrationPermit;
use atena_proto::v1;
use atena_store::{KeyState, NewLink, NewPerson, NewPersonalNumber, NewView, ReviewKind, ViewHead, WriteTransaction};
use atena_vault::{PersonKey, SealContext};
use tracing::Instrument;
use uuid::Uuid;

use super::inbound::{heading, refusal, under};
use super::number::{indexes, seal_number};
use super::plan::{Index, Known, Numbers, PersonRef, Plan};
use super::review::open_case;
use crate::call::Call;
use crate::convert::person::{Registration, parse_registration};
use crate::convert::view_row;
use crate::error::{CallError, Reason};
use crate::log;
use crate::transfer::{Heading, TransferRecord, sha256};

/// What became of one registration.
pub(super) struct Registered {
    pub(super) local: Option<LocalAddressNumber>,
    pub(super) result: Result<Success, CallError>,
    pub(super) transfer_id: Uuid,
}

/// A registration that went through.
pub(super) struct Success {
    pub(super) outcome: v1::RegistrationOutcome,
    pub(super) unified: Option<UnifiedAddressNumber>,
    pub(super) review_case: Option<Uuid>,
}

/// A registration that passed every check of its own.
struct Candidate {
    allowed: Arc<Allowed>,
    /// Among all registrations of the transaction.
    position: usize,
    registration: Registration,
    /// Under every version of the key that is in use, oldest first.
    indexes: Vec<Index>,
    content_mac: [u8; 32],
}

// === impl Candidate ===

impl Candidate {
    /// What the number is found by from here on.
    fn index(&self) -> Option<Index> {
        self.indexes.last().copied()
    }
}

/// What has to be written.
#[derive(Default)]
struct Writes {
    people: Vec<NewPerson>,
    numbers: Vec<NewPersonalNumber>,
    links: Vec<NewLink>,
    views: Vec<NewView>,
}

/// What a call may do, and what its records have in common.
struct Allowed {
    permit: RegistrationPermit,
    heading: Arc<Heading>,
}

/// Registrations with every check of their own done.
pub(super) struct Checked {
    candidates: Vec<Candidate>,
    /// A place for each registration; those that were refused have their result already.
    done: Vec<Option<Registered>>,
    records: Vec<TransferRecord>,
}

/// Checks registrations one by one, before their turn to be stored.
pub(super) fn check(call: &Call, items: Vec<v1::PersonRegistration>) -> Result<Checked, CallError> {
    let permit = call.hall.policy().authorize_registration(&call.caller.system_id, call.hall.today())?;
    let heading = heading(call, &permit);
    let allowed = Arc::new(Allowed { permit, heading });
    let mut done: Vec<Option<Registered>> = Vec::with_capacity(items.len());
    let mut candidates = Vec::with_capacity(items.len());
    let mut records = Vec::new();
    for (position, item) in items.into_iter().enumerate() {
        let local = LocalAddressNumber::parse(&item.local_address_number).ok();
        match parse_registration(item, &allowed.permit, may_migrate(call)) {
            Ok(registration) => {
                #[cfg(feature = "test-leaks")]
                crate::leak::leak(call, registration.personal_number.as_ref(), &allowed.permit)?;
                let content_mac = call.hall.vault.content_mac("person_view", &registration.content);
                let allowed = Arc::clone(&allowed);
                candidates.push(Candidate { allowed, position, registration, indexes: Vec::new(), content_mac });
                done.push(None);
            }
            Err(error) => {
                let record = refusal(&allowed.heading, local.clone(), error.reason);
                done.push(Some(Registered { local, result: Err(error), transfer_id: record.transfer_id }));
                records.push(record);
            }
        }
    }
    Ok(Checked { candidates, done, records })
}

/// Registers everything that is good of some chunks, and everything of it or nothing (one transaction, acknowledged-is-durable). Tells what
/// became of each registration of each chunk.
pub(super) async fn register(call: &Call, chunks: Vec<Checked>) -> Result<Vec<Vec<Registered>>, CallError> {
    let lengths: Vec<_> = chunks.iter().map(|chunk| chunk.done.len()).collect();
    let (mut candidates, mut done, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for chunk in chunks {
        let before = done.len();
        candidates.extend(
            chunk
                .candidates
                .into_iter()
                .map(|candidate| Candidate { position: before + candidate.position, ..candidate }),
        );
        done.extend(chunk.done);
        records.extend(chunk.records);
    }
    let mut transaction = call.hall.store.begin_write("register_people").await?;
    let work = async {
        let keys = call.hall.key_state(&mut transaction).await?;
        for candidate in &mut candidates {
            if let (Some(number), Some(permit)) =
                (&candidate.registration.personal_number, candidate.allowed.permit.personal_number())
            {
                candidate.indexes = indexes(call, &keys, number, &permit)?;
            }
        }
        let writes = decide(call, &keys, &mut transaction, candidates, &mut done, &mut records).await?;
        let count = records.len();
        let sealing = log::seal(&call.hall, &mut transaction, records).await?;
        transaction.insert_people(&writes.people).await?;
        transaction.insert_personal_numbers(&writes.numbers).await?;
        transaction.insert_links(&writes.links).await?;
        transaction.insert_views(&writes.views).await?;
        Ok::<_, CallError>((sealing, count))
    };
    let (sealing, count) = work.instrument(tracing::info_span!("register")).await?;
    log::commit(&call.hall, transaction, sealing).await?;
    call.hall.metrics.records(
        u64::try_from(count).unwrap_or(u64::MAX),
        call.caller.system_id.as_str(),
        Dataset::Person.as_str(),
        "inbound",
    );
    // Every place was filled by the checks or by `decide`.
    let mut done = done.into_iter();
    Ok(lengths.into_iter().map(|length| done.by_ref().take(length).flatten().collect()).collect())
}

fn may_migrate(call: &Call) -> bool {
    call.hall.policy().system(&call.caller.system_id).is_some_and(|system| system.receives_unified_address_number())
}

/// Decides what becomes of each candidate, seals what has to be written for it and writes down its transfer.
async fn decide(
    call: &Call,
    key_state: &KeyState,
    transaction: &mut WriteTransaction,
    candidates: Vec<Candidate>,
    done: &mut [Option<Registered>],
    records: &mut Vec<TransferRecord>,
) -> Result<Writes, CallError> {
    let mut known = look_up(call, transaction, &candidates).await?;
    let mut planned = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let numbers = Numbers {
            local: candidate.registration.local_address_number.clone(),
            index: candidate.index(),
            new_without_personal_number: candidate.registration.new_without_personal_number,
            migrated: candidate.registration.migrated.clone(),
        };
        match known.plan(&numbers) {
            Ok(plan) => planned.push((candidate, plan)),
            Err(error) => {
                let local = Some(candidate.registration.local_address_number);
                let record = refusal(&candidate.allowed.heading, local.clone(), error.reason);
                if let Some(place) = done.get_mut(candidate.position) {
                    *place = Some(Registered { local, result: Err(error), transfer_id: record.transfer_id });
                }
                records.push(record);
            }
        }
    }

    let new_people = number_new_people(transaction, &planned).await?;
    let mut keys = unwrap_keys(call, transaction, &planned).await?;
    let mut writes = Writes::default();
    for (unified, migrated) in &new_people {
        let (key, wrapped) = call.hall.vault.new_person_key(unified, &key_state.wrapping_id)?;
        keys.insert(unified.clone(), Arc::new(key));
        writes.people.push(NewPerson {
            unified_address_number: unified.clone(),
            wrapped_key: wrapped,
            migrated: *migrated,
            created_at: call.requested_at,
        });
    }
    // Who is new to the system has no view in it.
    let known = planned.iter().filter(|(_, plan)| matches!(plan, Plan::Update { .. }));
    let locals: Vec<_> = known.map(|(candidate, _)| candidate.registration.local_address_number.clone()).collect();
    let mut heads = transaction.views(&call.caller.system_id, &locals).await?;

    for (candidate, plan) in planned {
        let position = candidate.position;
        let local = candidate.registration.local_address_number.clone();
        let digest = sha256(&candidate.registration.content);
        let success = match &plan {
            Plan::Issue(person) | Plan::Link(person) | Plan::Update { person, .. } => {
                let unified = resolve(person, &new_people)?;
                let key = key_of(&keys, &unified)?;
                let changed = keep_view(call, key, &candidate, &mut heads, &mut writes)?;
                let outcome = match &plan {
                    Plan::Issue(_) => v1::RegistrationOutcome::Issued,
                    Plan::Link(_) => v1::RegistrationOutcome::Linked,
                    Plan::Update { attach, .. } if *attach || changed => v1::RegistrationOutcome::Updated,
                    _ => v1::RegistrationOutcome::Unchanged,
                };
                let takes_number = matches!(&plan, Plan::Issue(_) | Plan::Update { attach: true, .. });
                if let (true, Some(number), Some(index)) =
                    (takes_number, &candidate.registration.personal_number, candidate.index())
                {
                    writes.numbers.push(seal_number(key, &unified, 1, number, (index, key_state.newest_index()))?);
                    #[cfg(feature = "test-leaks")]
                    if let Some((leaked, row)) =
                        crate::leak::digits("database", Some(number), &candidate.allowed.permit)
                            .zip(writes.numbers.last_mut())
                    {
                        row.sealed.extend_from_slice(leaked.as_bytes());
                    }
                }
                if !matches!(&plan, Plan::Update { .. }) {
                    writes.links.push(NewLink {
                        system_id: call.caller.system_id.clone(),
                        local_address_number: local.clone(),
                        unified_address_number: unified.clone(),
                    });
                }
                Success { outcome, unified: Some(unified), review_case: None }
            }
            Plan::SecondLocalNumber { person } => {
                let unified = resolve(person, &new_people)?;
                open_case(call, transaction, ReviewKind::SecondLocalNumber, &candidate.registration, unified, None)
                    .await?
            }
            Plan::MaybeOnePerson { person, other } => {
                let unified = resolve(person, &new_people)?;
                let other = Some(resolve(other, &new_people)?);
                open_case(call, transaction, ReviewKind::MaybeOnePerson, &candidate.registration, unified, other)
                    .await?
            }
        };
        let mut record = under(&candidate.allowed.heading, Some(local.clone()));
        record.person_key = success.unified.as_ref().and_then(|unified| keys.get(unified)).cloned();
        record.unified_address_number = success.unified.clone();
        if success.review_case.is_some() {
            record.reason = Some("REVIEW_REQUIRED");
        }
        record.outcome = Outcome::Received;
        record.content_sha256 = Some(digest);
        #[cfg(feature = "test-leaks")]
        if let Some(leaked) =
            crate::leak::digits("leaf", candidate.registration.personal_number.as_ref(), &candidate.allowed.permit)
        {
            record.heading_mut().affair = Some(leaked.into());
        }
        if let Some(place) = done.get_mut(position) {
            *place = Some(Registered { local: Some(local), result: Ok(success), transfer_id: record.transfer_id });
        }
        records.push(record);
    }
    Ok(writes)
}

/// What the database knows about the numbers of this chunk.
async fn look_up(
    call: &Call,
    transaction: &mut WriteTransaction,
    candidates: &[Candidate],
) -> Result<Known, CallError> {
    let system = &call.caller.system_id;
    let locals: Vec<_> =
        candidates.iter().map(|candidate| candidate.registration.local_address_number.clone()).collect();
    let indices: Vec<Index> = candidates.iter().flat_map(|candidate| candidate.indexes.iter().copied()).collect();
    let by_local = transaction.links_by_local(system, &locals).await?;
    let mut by_index = transaction.people_by_index(&indices).await?;
    for candidate in candidates {
        // Found under an older version of the key: the same as under the newest.
        let found = candidate.indexes.iter().find_map(|index| by_index.get(index).cloned());
        if let (Some(person), Some(newest)) = (found, candidate.index()) {
            by_index.insert(newest, person);
        }
    }
    let people: HashSet<_> = by_local.values().chain(by_index.values()).cloned().collect();
    let people: Vec<_> = people.into_iter().collect();
    let local_of = transaction.links_by_unified(system, &people).await?;
    let numbered = transaction.current_number_index(&people).await?;
    let migrated: Vec<_> = candidates.iter().filter_map(|candidate| candidate.registration.migrated.clone()).collect();
    let taken = transaction.existing_people(&migrated).await?;
    Ok(Known {
        by_local: by_local.into_iter().map(|(local, person)| (local, PersonRef::Known(person))).collect(),
        local_of: local_of.into_iter().map(|(person, local)| (PersonRef::Known(person), local)).collect(),
        by_index: by_index.into_iter().map(|(index, person)| (index, PersonRef::Known(person))).collect(),
        numbered: numbered.into_keys().map(PersonRef::Known).collect(),
        taken,
        new_people: 0,
    })
}

/// The unified numbers of the chunk's new people, in order, each with whether it was migrated.
async fn number_new_people(
    transaction: &mut WriteTransaction,
    planned: &[(Candidate, Plan)],
) -> Result<Vec<(UnifiedAddressNumber, bool)>, CallError> {
    let migrated: Vec<Option<UnifiedAddressNumber>> = planned
        .iter()
        .filter(|(_, plan)| matches!(plan, Plan::Issue(_)))
        .map(|(candidate, _)| candidate.registration.migrated.clone())
        .collect();
    let wanted = migrated.iter().filter(|number| number.is_none()).count();
    // Numbers that came in by migration within this very chunk must not be issued to somebody else of it.
    let mut reserved: HashSet<_> = migrated.iter().flatten().cloned().collect();
    let mut issued = Vec::with_capacity(wanted);
    while issued.len() < wanted {
        let missing = u32::try_from(wanted - issued.len()).unwrap_or(u32::MAX);
        let more = transaction.issue_unified_numbers(missing).await?;
        issued.extend(more.into_iter().filter(|number| reserved.insert(number.clone())));
    }
    let mut issued = issued.into_iter();
    migrated
        .into_iter()
        .map(|migrated| match migrated {
            Some(number) => Ok((number, true)),
            None => issued.next().map(|number| (number, false)).ok_or_else(inconsistent),
        })
        .collect()
}

async fn unwrap_keys(
    call: &Call,
    transaction: &mut WriteTransaction,
    planned: &[(Candidate, Plan)],
) -> Result<HashMap<UnifiedAddressNumber, Arc<PersonKey>>, CallError> {
    let people: HashSet<_> = planned
        .iter()
        .filter_map(|(_, plan)| match plan {
            Plan::Link(PersonRef::Known(person))
            | Plan::Update { person: PersonRef::Known(person), .. }
            | Plan::SecondLocalNumber { person: PersonRef::Known(person) }
            | Plan::MaybeOnePerson { person: PersonRef::Known(person), .. } => Some(person.clone()),
            _ => None,
        })
        .collect();
    let people: Vec<_> = people.into_iter().collect();
    Ok(call.hall.open_keys(&transaction.person_keys(&people).await?)?)
}

fn resolve(person: &PersonRef, new_people: &[(UnifiedAddressNumber, bool)]) -> Result<UnifiedAddressNumber, CallError> {
    match person {
        PersonRef::Known(unified) => Ok(unified.clone()),
        PersonRef::New(position) => {
            new_people.get(*position).map(|(unified, _)| unified.clone()).ok_or_else(inconsistent)
        }
    }
}

fn key_of<'a>(
    keys: &'a HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
    unified: &UnifiedAddressNumber,
) -> Result<&'a Arc<PersonKey>, CallError> {
    keys.get(unified).ok_or_else(inconsistent)
}

fn inconsistent() -> CallError {
    tracing::error!("a person among these has neither a number nor a key");
    CallError::new(Reason::Internal, "the registration could not be completed; nothing was changed; tell the operator")
}

/// Keeps the caller's view as a new revision, unless it is what is kept already. Tells whether it changed.
fn keep_view(
    call: &Call,
    key: &PersonKey,
    candidate: &Candidate,
    heads: &mut HashMap<LocalAddressNumber, ViewHead>,
    writes: &mut Writes,
) -> Result<bool, CallError> {
    let Candidate { registration, content_mac, .. } = candidate;
    let (local, content_mac) = (&registration.local_address_number, *content_mac);
    let revision = match heads.get(local) {
        Some(head) if head.content_mac == content_mac => return Ok(false),
        Some(head) => head.revision + 1,
        None => 1,
    };
    let row = view_row(&call.caller.system_id, local, revision);
    let context = SealContext { table: "person_view", column: "sealed", row: &row };
    writes.views.push(NewView {
        system_id: call.caller.system_id.clone(),
        local_address_number: local.clone(),
        revision,
        sealed: key.seal(&context, &registration.content)?,
        content_mac,
        protected: registration.protected,
        stored_at: call.requested_at,
    });
    heads.insert(local.clone(), ViewHead { revision, content_mac });
    Ok(true)
}
