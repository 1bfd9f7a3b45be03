//! What changed since a cursor. It is read from the consumer's own feeds, so that the work is the
//! same however much else changed, and it is delivered in the order of the consumer's own numbers,
//! so that the order says nothing about when a change came in.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use atena_store::{Feed, NumberedRecord, PersonChanges, RecordChange, Store, StoredRecord};
use atena_vault::PersonKey;
use tracing::Instrument;

use super::deliver::Addressee;
use super::pull_records::Pull;
use crate::ahead::take_turns;
use crate::call::Call;
use crate::cursor::Position;
use crate::error::CallError;

/// Soft limit of changes that are put in the consumer's order at once. Of more, only the parts are
/// in the order in which they were stored.
const WINDOW_CHANGES: usize = 131_072;

/// People read in one query.
const PEOPLE_PER_QUERY: usize = 512;

/// The feeds of a pull. The first pull of its kind opens them.
pub(super) async fn feeds(call: &Call, permits: &[ReleasePermit]) -> Result<Vec<Feed>, CallError> {
    let Some(first) = permits.first() else { return Ok(Vec::new()) };
    let store = &call.hall.store;
    let known = store.feeds_of(first.caller()).await?;
    let find = |permit: &ReleasePermit| known.iter().find(|feed| feed.is_of(permit)).cloned();
    if let Some(feeds) = permits.iter().map(find).collect() {
        return Ok(feeds);
    }
    let mut transaction = store.begin_write("open_feeds").await?;
    let mut feeds = Vec::with_capacity(permits.len());
    for permit in permits {
        feeds.push(transaction.open_feed(permit).await?);
    }
    transaction.commit().await?;
    Ok(feeds)
}

/// The oldest change after which all these feeds are whole.
pub(super) fn whole_since(feeds: &[Feed]) -> u64 {
    feeds.iter().map(|feed| feed.since).max().unwrap_or(0)
}

/// The changes after `since` up to `until`, for people after `after`.
pub(super) struct Window {
    pub(super) since: u64,
    /// What was sent before may have been as new as this change.
    pub(super) seen: u64,
    pub(super) until: u64,
    pub(super) after: Option<LocalAddressNumber>,
}

/// A person about which something changed.
struct Changed {
    local: LocalAddressNumber,
    person: UnifiedAddressNumber,
    changes: PersonChanges,
}

// === impl Pull ===

impl Pull<'_> {
    /// Everything that the consumer can see of what changed after `since`.
    pub(super) async fn changes(&mut self, feeds: &[Feed], mut since: u64, mut seen: u64) -> Result<u64, CallError> {
        let until = self.call.hall.store.as_new_as(since).await.last_change_sequence().await?;
        // Asked once at least: whether anything at all changed must not be seen by the work either.
        loop {
            since = self.window(feeds, Window { since, seen, until, after: None }, WINDOW_CHANGES).await?;
            if since >= until {
                return Ok(since);
            }
            seen = self.last_change().await?;
        }
    }

    /// Delivers the changes of a window, of about `limit` changes at most. Returns where it ends.
    pub(super) async fn window(
        &mut self,
        feeds: &[Feed],
        Window { since, seen, until, after }: Window,
        limit: usize,
    ) -> Result<u64, CallError> {
        let store = self.call.hall.store.as_new_as(until).await;
        let work = async {
            let changes = store.feed_changes(feeds, since, until, limit).await?;
            let end = changes.until;
            let mut people = self.own(&store, changes.people.into_iter().collect()).await?;
            people.retain(|one| after.as_ref().is_none_or(|after| one.local > *after));
            Ok::<_, CallError>((end, people))
        };
        let (end, people) = work.instrument(tracing::info_span!("read")).await?;
        for page in people.chunks(PEOPLE_PER_QUERY) {
            let (keys, mut records) = self.read_page(&store, page).await?;
            for (place, one) in page.iter().enumerate() {
                take_turns(place).await;
                let key = keys.get(&one.person);
                let records = records.remove(&one.person).unwrap_or_default();
                let records = self.news(one, key, records, seen)?;
                self.pack_person(&one.local, &one.person, key, &records)?;
                if self.is_full() {
                    let after = Some(one.local.clone());
                    self.send(Position::Window { since, seen, until: end, after }, false).await?;
                }
            }
        }
        Ok(end)
    }

    /// Everything about the consumer's people once more, with tombstones of all that ended: for a
    /// cursor that is older than the consumer's feeds.
    pub(super) async fn again(&mut self, as_of: u64, mut after: Option<LocalAddressNumber>) -> Result<u64, CallError> {
        loop {
            let store = self.call.hall.store.as_new_as(as_of).await;
            let limit = u32::try_from(PEOPLE_PER_QUERY).unwrap_or(u32::MAX);
            let people = store.links_after(&self.allowed.permits, after.as_ref(), limit).await?;
            let Some((last, _)) = people.last() else { return Ok(as_of) };
            after = Some(last.clone());
            let whole = PersonChanges::default();
            let page = people.into_iter().map(|(local, person)| Changed { local, person, changes: whole.clone() });
            let page: Vec<_> = page.collect();
            let (keys, mut records) = self.read_page(&store, &page).await?;
            for (place, one) in page.iter().enumerate() {
                take_turns(place).await;
                let records = records.remove(&one.person).unwrap_or_default();
                let records: Vec<_> = records.into_iter().map(|record| record.stored).collect();
                self.pack_person(&one.local, &one.person, keys.get(&one.person), &records)?;
                if self.is_full() {
                    self.send(Position::Again { as_of, after: Some(one.local.clone()) }, false).await?;
                }
            }
        }
    }

    /// Those of the people that the consumer knows, in the order of its own numbers.
    async fn own(
        &self,
        store: &Store,
        people: Vec<(UnifiedAddressNumber, PersonChanges)>,
    ) -> Result<Vec<Changed>, CallError> {
        let system = &self.call.caller.system_id;
        let mut own = Vec::with_capacity(people.len());
        let mut people = people.into_iter().peekable();
        while people.peek().is_some() {
            let page: Vec<_> = people.by_ref().take(PEOPLE_PER_QUERY).collect();
            let numbers: Vec<_> = page.iter().map(|(person, _)| person.clone()).collect();
            let mut locals = store.links_by_unified(system, &numbers).await?;
            own.extend(page.into_iter().filter_map(|(person, changes)| {
                locals.remove(&person).map(|local| Changed { local, person, changes })
            }));
        }
        own.sort_unstable_by(|one, other| one.local.cmp(&other.local));
        Ok(own)
    }

    /// Keys and records of people. Keys come first: who is erased in between has no record then.
    async fn read_page(&self, store: &Store, page: &[Changed]) -> Result<(Keys, Records), CallError> {
        let work = async {
            let people: Vec<_> = page.iter().map(|one| one.person.clone()).collect();
            let keys = self.call.hall.open_keys(&store.person_keys(&people).await?)?;
            let mut records = Records::with_capacity(people.len());
            for record in store.numbered_records(&self.allowed.permits, &people).await? {
                records.entry(record.stored.unified_address_number.clone()).or_default().push(record);
            }
            Ok((keys, records))
        };
        work.instrument(tracing::info_span!("read")).await
    }

    /// What of a person's records is delivered: what is not as the consumer had it. A change may have
    /// been seen before its time. Then what the consumer has is not known, and it gets what is there.
    fn news(
        &mut self,
        one: &Changed,
        key: Option<&Arc<PersonKey>>,
        records: Vec<NumberedRecord>,
        seen: u64,
    ) -> Result<Vec<StoredRecord>, CallError> {
        let mut news = Vec::new();
        for NumberedRecord { record_number, stored } in records {
            let mut changes = one.changes.records.iter();
            let change = changes.find(|change| change.record_number == record_number);
            let is_told = match (one.changes.linked, change) {
                (Some(commit), _) => commit <= seen || !stored.deleted,
                (None, None) => false,
                (None, Some(RecordChange { commit, .. })) if *commit <= seen => true,
                // It can be gone again: then the consumer never had it.
                (None, Some(RecordChange { before: None, .. })) => !stored.deleted,
                (None, Some(change)) => stored.deleted || self.packer.digest(key, &stored)? != change.before,
            };
            if is_told {
                news.push(stored);
            }
        }
        Ok(news)
    }

    /// Packs records of one person, a delivery for each dataset.
    fn pack_person(
        &mut self,
        local: &LocalAddressNumber,
        person: &UnifiedAddressNumber,
        key: Option<&Arc<PersonKey>>,
        records: &[StoredRecord],
    ) -> Result<(), CallError> {
        if records.is_empty() {
            return Ok(());
        }
        let to = Addressee::new(local.clone(), person.clone(), key.cloned());
        for of_dataset in records.chunk_by(|one, next| one.dataset == next.dataset) {
            let Some(dataset) = of_dataset.first().map(|record| record.dataset) else { continue };
            self.pack(&to, dataset, of_dataset)?;
        }
        Ok(())
    }
}

type Keys = HashMap<UnifiedAddressNumber, Arc<PersonKey>>;

type Records = HashMap<UnifiedAddressNumber, Vec<NumberedRecord>>;
