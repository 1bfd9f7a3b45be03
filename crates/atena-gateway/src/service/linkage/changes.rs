//! What changed since a cursor. It is read from the consumer's own feeds, so that the work is the
//! same however much else changed, and it is delivered in the order of the consumer's own numbers,
//! so that the order says nothing about when a change came in.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use atena_store::{Feed, NumberedRecord, PersonChanges, Store, StoredRecord};
use atena_vault::PersonKey;
use tracing::Instrument;

use super::deliver::Addressee;
use super::pull_records::{Pull, now_or_after};
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
    pub(super) async fn changes(&mut self, feeds: &[Feed], mut since: u64) -> Result<u64, CallError> {
        let until = self.call.hall.store.as_new_as(since).await.last_change_sequence().await?;
        // Asked once at least: whether anything at all changed must not be seen by the work either.
        loop {
            let window = Window { since, until, after: None };
            since = match self.window(feeds, window, WINDOW_CHANGES).await? {
                Some(end) => end,
                None => return self.everything_again(since, whole_since(feeds)).await,
            };
            if since >= until {
                return Ok(since);
            }
        }
    }

    /// Delivers the changes of a window, of about `limit` changes at most. Returns where it ends;
    /// none where the feeds are not whole any more, and nothing was delivered.
    pub(super) async fn window(
        &mut self,
        feeds: &[Feed],
        Window { since, until, after }: Window,
        limit: usize,
    ) -> Result<Option<u64>, CallError> {
        let store = self.call.hall.store.as_new_as(until).await;
        let work = async {
            let changes = store.feed_changes(feeds, since, until, limit).await?;
            let end = changes.until;
            let mut people = self.own(&store, changes.people.into_iter().collect()).await?;
            people.retain(|one| after.as_ref().is_none_or(|after| one.local > *after));
            Ok::<_, CallError>((end, people))
        };
        let (end, people) = work.instrument(tracing::info_span!("read")).await?;
        if !self.are_whole(feeds, since).await? {
            return Ok(None);
        }
        for page in people.chunks(PEOPLE_PER_QUERY) {
            let (keys, mut records) = self.read_page(&store, page).await?;
            for (place, one) in page.iter().enumerate() {
                take_turns(place).await;
                let records = records.remove(&one.person).unwrap_or_default();
                let records: Vec<_> = records.into_iter().filter_map(|record| news(one, record)).collect();
                self.pack_person(&one.local, &one.person, keys.get(&one.person), &records)?;
                if self.is_full() {
                    let after = Some(one.local.clone());
                    self.send(Position::Window { since, until: end, after }, false).await?;
                }
            }
        }
        Ok(Some(end))
    }

    /// Whether these feeds have everything after `since`, still after they were read: a feed may be
    /// closed, or lose old entries, at any time.
    async fn are_whole(&self, feeds: &[Feed], since: u64) -> Result<bool, CallError> {
        let Some(first) = feeds.first() else { return Ok(true) };
        let known = self.call.hall.store.feeds_of(&first.system_id).await?;
        let is_whole = |feed: &Feed| known.iter().any(|known| known.number == feed.number && known.since <= since);
        Ok(feeds.iter().all(is_whole))
    }

    /// As [`Self::again`], as of now or of `whole`, from where the feeds have everything.
    pub(super) async fn everything_again(&mut self, since: u64, whole: u64) -> Result<u64, CallError> {
        let as_of = now_or_after(self.call, whole).await?;
        self.again(since, as_of, None).await
    }

    /// Everything about the consumer's people once more, with tombstones of what ended after
    /// `since`: for a cursor that is older than the consumer's feeds. What ended before, or before
    /// the person was linked, was never the consumer's, or it knows.
    pub(super) async fn again(
        &mut self,
        since: u64,
        as_of: u64,
        mut after: Option<LocalAddressNumber>,
    ) -> Result<u64, CallError> {
        loop {
            let store = self.call.hall.store.as_new_as(as_of).await;
            let limit = u32::try_from(PEOPLE_PER_QUERY).unwrap_or(u32::MAX);
            let people = store.links_after(&self.allowed.permits, after.as_ref(), limit).await?;
            let Some((last, _)) = people.last() else { return Ok(as_of) };
            after = Some(last.clone());
            let numbers: Vec<_> = people.iter().map(|(_, person)| person.clone()).collect();
            let linked = store.link_changes(&self.call.caller.system_id, &numbers).await?;
            let whole = PersonChanges::default();
            let page = people.into_iter().map(|(local, person)| Changed { local, person, changes: whole.clone() });
            let page: Vec<_> = page.collect();
            let (keys, mut records) = self.read_page(&store, &page).await?;
            for (place, one) in page.iter().enumerate() {
                take_turns(place).await;
                let ended_after = linked.get(&one.person).map_or(since, |linked| since.max(*linked));
                let records = records.remove(&one.person).unwrap_or_default().into_iter();
                let records = records.filter(|record| !record.stored.deleted || record.change > ended_after);
                let records: Vec<_> = records.map(|record| record.stored).collect();
                self.pack_person(&one.local, &one.person, keys.get(&one.person), &records)?;
                if self.is_full() {
                    let after = Some(one.local.clone());
                    self.send(Position::Again { since, as_of, after }, false).await?;
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
            let keys = self.call.hall.vault.unwrap_person_keys(&store.person_keys(&people).await?)?;
            let mut records = Records::with_capacity(people.len());
            for record in store.numbered_records(&self.allowed.permits, &people).await? {
                records.entry(record.stored.unified_address_number.clone()).or_default().push(record);
            }
            Ok((keys, records))
        };
        work.instrument(tracing::info_span!("read")).await
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

/// A record as it is delivered, if it is: every one that changed, and of a person who was linked
/// every one that is there. What the consumer has is not asked: it may have stored what it was
/// sent, or not, before it goes on from an older cursor.
fn news(one: &Changed, NumberedRecord { record_number, stored, .. }: NumberedRecord) -> Option<StoredRecord> {
    let is_new = one.changes.linked && !stored.deleted;
    (is_new || one.changes.records.contains(&record_number)).then_some(stored)
}

type Keys = HashMap<UnifiedAddressNumber, Arc<PersonKey>>;

type Records = HashMap<UnifiedAddressNumber, Vec<NumberedRecord>>;
