//! Registers chunks of people in one transaction: what `RegisterPerson` and `RegisterPersons` share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, UnifiedAddressNumber};
use atena_ledger::Outcome;
use atena_proto::v1;
use atena_store::{KeyState, ReviewKind, ViewHead, WriteTransaction};
use atena_vault::PersonKey;
use tracing::Instrument;

use super::candidate::{Allowed, Candidate, Registered, inconsistent};
use super::inbound::{heading, refusal};
use super::merge::{Kept, Newest};
use super::number::indexes;
use super::plan::{Index, Known, Numbers, PersonRef, Plan};
use super::review::open_case;
use super::seal::{Accepted, Sealed, Unsealed};
use crate::ahead::{beside, take_turns};
use crate::call::Call;
use crate::convert::person::parse_registration;
use crate::error::CallError;
use crate::transfer::{Heading, TransferRecord, sha256};

/// Registrations with every check of their own done.
pub(super) struct Checked {
    candidates: Vec<Candidate>,
    /// A place for each registration; those that were refused have their result already.
    done: Vec<Option<Registered>>,
    records: Vec<TransferRecord>,
    /// Versions of the key under which the candidates' numbers can be found already.
    indexed: Vec<u32>,
}

// === impl Checked ===

impl Checked {
    /// Makes what numbers are found by ahead of the turn, as far as the keys are known that will be in use in it.
    pub(super) async fn index_ahead(&mut self, call: &Call) -> Result<(), CallError> {
        match call.hall.key_state_ahead().await? {
            Some(keys) => self.index(call, &keys),
            None => Ok(()),
        }
    }

    /// Makes what numbers are found by under these keys, unless that was done.
    fn index(&mut self, call: &Call, keys: &KeyState) -> Result<(), CallError> {
        if self.indexed == keys.index_versions {
            return Ok(());
        }
        for candidate in &mut self.candidates {
            if let (Some(number), Some(permit)) =
                (&candidate.registration.personal_number, candidate.allowed.permit.personal_number())
            {
                candidate.indexes = indexes(call, keys, number, &permit)?;
            }
        }
        self.indexed.clone_from(&keys.index_versions);
        Ok(())
    }
}

/// Checks the registrations of a chunk one by one, before their turn to be stored.
pub(super) fn check(
    call: &Call,
    request_id: Option<String>,
    items: Vec<v1::PersonRegistration>,
) -> Result<Checked, CallError> {
    let today = call.hall.today();
    let permit = call.hall.policy().authorize_registration(&call.caller.system_id, today)?;
    // Each chunk of a stream has a request id of its own.
    let request_id = request_id.map(Into::into);
    let heading = Arc::new(Heading { request_id, ..heading(call, &permit) });
    let allowed = Arc::new(Allowed { permit, heading });
    let mut done: Vec<Option<Registered>> = Vec::with_capacity(items.len());
    let mut candidates = Vec::with_capacity(items.len());
    let mut records = Vec::new();
    for (position, item) in items.into_iter().enumerate() {
        let local = LocalAddressNumber::parse(&item.local_address_number).ok();
        match parse_registration(item, &allowed.permit, may_migrate(call), today) {
            Ok(registration) => {
                #[cfg(feature = "test-leaks")]
                crate::leak::leak(call, registration.personal_number.as_ref(), &allowed.permit)?;
                candidates.push(Candidate {
                    allowed: Arc::clone(&allowed),
                    position,
                    indexes: Vec::new(),
                    view: Kept::of(&call.hall.vault, &registration.first),
                    registration,
                });
                done.push(None);
            }
            Err(error) => {
                let record = refusal(&allowed.heading, local.clone(), error.reason);
                done.push(Some(Registered { local, result: Err(error), transfer_id: record.transfer_id }));
                records.push(record);
            }
        }
    }
    Ok(Checked { candidates, done, records, indexed: Vec::new() })
}

/// Registers everything that is good of some chunks, and everything of it or nothing (one transaction, acknowledged-is-durable). Tells what
/// became of each registration of each chunk.
pub(super) async fn register(call: &Arc<Call>, mut chunks: Vec<Checked>) -> Result<Vec<Vec<Registered>>, CallError> {
    let lengths: Vec<_> = chunks.iter().map(|chunk| chunk.done.len()).collect();
    let mut transaction = call.hall.store.begin_write("register_people").await?;
    let work = async {
        let keys = call.hall.key_state(&mut transaction).await?;
        let (mut candidates, mut done, mut records) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in &mut chunks {
            chunk.index(call, &keys)?;
            let before = done.len();
            let moved = |candidate: Candidate| Candidate { position: before + candidate.position, ..candidate };
            candidates.extend(std::mem::take(&mut chunk.candidates).into_iter().map(moved));
            done.append(&mut chunk.done);
            records.append(&mut chunk.records);
        }
        let mut fate = |position: usize, record: TransferRecord, registered: Registered| {
            if let Some(place) = done.get_mut(position) {
                *place = Some(registered);
            }
            records.push(record);
        };
        let unsealed = decide(call, keys, &mut transaction, candidates, &mut fate).await?;
        let links = unsealed.links(&call.caller.system_id);
        // Links have nothing to seal, and people nothing but their keys: each is written while the next is sealed.
        let keys = beside(unsealed.make_keys(Arc::clone(call)));
        transaction.insert_links(&links).await?;
        let (people, unsealed) = keys.await.map_err(|_| inconsistent())??;
        let sealing = beside(unsealed.seal(Arc::clone(call)));
        transaction.insert_people(&people).await?;
        let Sealed { numbers, views, registered } = sealing.await.map_err(|_| inconsistent())??;
        for (position, record, registered) in registered {
            fate(position, record, registered);
        }
        name_refused(call, &mut transaction, &mut records).await?;
        let count = records.len();
        let sealing = call.hall.log.seal(&mut transaction, records).await?;
        transaction.insert_personal_numbers(&numbers).await?;
        transaction.insert_views(&views).await?;
        Ok::<_, CallError>((sealing, count, done))
    };
    let (sealing, count, done) = work.instrument(tracing::info_span!("register")).await?;
    call.hall.log.commit(transaction, sealing).await?;
    call.hall.metrics.records(
        u64::try_from(count).unwrap_or(u64::MAX),
        call.caller.system_id.as_str(),
        Dataset::Person.as_str(),
        "inbound",
    );
    // Every place was filled by the checks or by `fate`.
    let mut done = done.into_iter();
    Ok(lengths.into_iter().map(|length| done.by_ref().take(length).flatten().collect()).collect())
}

/// Notes in the records of refused registrations whom the caller's numbers are linked to: an
/// auditor finds refusals by person too.
async fn name_refused(
    call: &Call,
    transaction: &mut WriteTransaction,
    records: &mut [TransferRecord],
) -> Result<(), CallError> {
    let unnamed =
        |record: &&mut TransferRecord| record.outcome == Outcome::Refused && record.unified_address_number.is_none();
    let locals: HashSet<_> =
        records.iter_mut().filter(unnamed).filter_map(|record| record.local_address_number.clone()).collect();
    if locals.is_empty() {
        return Ok(());
    }
    let locals: Vec<_> = locals.into_iter().collect();
    let linked = transaction.links_by_local(&call.caller.system_id, &locals).await?;
    for record in records.iter_mut().filter(unnamed) {
        let local = record.local_address_number.as_ref();
        record.unified_address_number = local.and_then(|local| linked.get(local)).cloned();
    }
    Ok(())
}

fn may_migrate(call: &Call) -> bool {
    call.hall.policy().system(&call.caller.system_id).is_some_and(|system| system.receives_unified_address_number())
}

/// Decides what becomes of each candidate. Whoever is refused or left to a person meets their fate here; the others are still to be sealed.
async fn decide(
    call: &Call,
    key_state: KeyState,
    transaction: &mut WriteTransaction,
    candidates: Vec<Candidate>,
    fate: &mut impl FnMut(usize, TransferRecord, Registered),
) -> Result<Unsealed, CallError> {
    let mut known = look_up(call, transaction, &candidates).await?;
    let Before { heads, mut newest, mut keys } = before(call, transaction, &candidates, &known).await?;
    let planned = plan_in_order(call, &mut known, &mut newest, candidates, fate).await;

    let new_people = number_new_people(transaction, &planned).await?;
    let more = unwrap_keys(call, transaction, &planned, &keys).await?;
    keys.extend(more);

    let mut accepted = Vec::with_capacity(planned.len());
    for (candidate, plan) in planned {
        let (kind, person, other) = match &plan {
            Plan::Issue(person) | Plan::Link(person) | Plan::Update { person, .. } => {
                let person = resolve(person, &new_people)?;
                accepted.push(Accepted { candidate, plan, person });
                continue;
            }
            Plan::SecondLocalNumber { person } => (ReviewKind::SecondLocalNumber, person, None),
            Plan::MaybeOnePerson { person, other } => (ReviewKind::MaybeOnePerson, person, Some(other)),
        };
        let person = resolve(person, &new_people)?;
        let other = other.map(|other| resolve(other, &new_people)).transpose()?;
        let success = open_case(call, transaction, kind, &candidate.registration, person, other).await?;
        let digest = sha256(&candidate.registration.given);
        let (record, registered) = candidate.received(success, None, digest);
        fate(candidate.position, record, registered);
    }
    Ok(Unsealed { accepted, new_people, keys, heads, key_state })
}

/// Merges and plans the registrations, each after what the one before it did: its view first, then
/// its numbers. Those that are refused meet their fate.
async fn plan_in_order(
    call: &Call,
    known: &mut Known,
    newest: &mut Newest,
    candidates: Vec<Candidate>,
    fate: &mut impl FnMut(usize, TransferRecord, Registered),
) -> Vec<(Candidate, Plan)> {
    let mut planned = Vec::with_capacity(candidates.len());
    let mut merged = 0;
    for mut candidate in candidates {
        if newest.is_changed_in_part(&candidate) {
            merged += 1;
            take_turns(merged).await;
        }
        let numbers = Numbers {
            local: candidate.registration.local_address_number.clone(),
            index: candidate.index(),
            new_without_personal_number: candidate.registration.new_without_personal_number,
            migrated: candidate.registration.migrated.clone(),
        };
        let view = newest.merge(&call.hall.vault, &mut candidate);
        match view.and_then(|()| known.plan(&numbers)) {
            Ok(plan) => {
                if matches!(plan, Plan::Issue(_) | Plan::Link(_) | Plan::Update { .. }) {
                    newest.keep(&candidate);
                }
                planned.push((candidate, plan));
            }
            Err(error) => {
                let local = Some(candidate.registration.local_address_number);
                let record = refusal(&candidate.allowed.heading, local.clone(), error.reason);
                let transfer_id = record.transfer_id;
                fate(candidate.position, record, Registered { local, result: Err(error), transfer_id });
            }
        }
    }
    planned
}

/// What the caller registered before about the people of some chunks.
struct Before {
    heads: HashMap<LocalAddressNumber, ViewHead>,
    newest: Newest,
    /// Keys of the people whose views were opened.
    keys: HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
}

/// Reads the newest views, and opens those that a registration leaves a part of as it is.
async fn before(
    call: &Call,
    transaction: &mut WriteTransaction,
    candidates: &[Candidate],
    known: &Known,
) -> Result<Before, CallError> {
    let system = &call.caller.system_id;
    // Who is new to the system has no view in it.
    let locals: HashSet<_> = candidates.iter().map(|candidate| &candidate.registration.local_address_number).collect();
    let repeated = locals.len() < candidates.len();
    let linked = |local: &LocalAddressNumber| match known.by_local.get(local) {
        Some(PersonRef::Known(person)) => Some(person.clone()),
        _ => None,
    };
    let locals: Vec<_> = locals.into_iter().filter(|local| linked(local).is_some()).cloned().collect();
    let heads = transaction.views(system, &locals).await?;
    let mut newest = Newest::new(&heads, repeated);
    let partial: HashSet<_> = candidates.iter().filter_map(|candidate| newest.needed_by(candidate)).collect();
    let partial: Vec<_> = partial.into_iter().collect();
    let mut keys = HashMap::new();
    if !partial.is_empty() {
        let people: HashSet<_> = partial.iter().filter_map(&linked).collect();
        let people: Vec<_> = people.into_iter().collect();
        keys = call.hall.vault.unwrap_person_keys(&transaction.person_keys(&people).await?)?;
        for (place, (local, view)) in transaction.sealed_views(system, &partial).await?.into_iter().enumerate() {
            take_turns(place).await;
            let key = linked(&local).and_then(|person| keys.get(&person));
            newest.open(system, &local, &view, key);
        }
    }
    Ok(Before { heads, newest, keys })
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
    there: &HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
) -> Result<HashMap<UnifiedAddressNumber, Arc<PersonKey>>, CallError> {
    let people: HashSet<_> = planned
        .iter()
        .filter_map(|(_, plan)| match plan {
            Plan::Link(PersonRef::Known(person))
            | Plan::Update { person: PersonRef::Known(person), .. }
            | Plan::SecondLocalNumber { person: PersonRef::Known(person) }
            | Plan::MaybeOnePerson { person: PersonRef::Known(person), .. } => Some(person),
            _ => None,
        })
        .filter(|person| !there.contains_key(*person))
        .cloned()
        .collect();
    let people: Vec<_> = people.into_iter().collect();
    Ok(call.hall.vault.unwrap_person_keys(&transaction.person_keys(&people).await?)?)
}

fn resolve(person: &PersonRef, new_people: &[(UnifiedAddressNumber, bool)]) -> Result<UnifiedAddressNumber, CallError> {
    match person {
        PersonRef::Known(unified) => Ok(unified.clone()),
        PersonRef::New(position) => {
            new_people.get(*position).map(|(unified, _)| unified.clone()).ok_or_else(inconsistent)
        }
    }
}
