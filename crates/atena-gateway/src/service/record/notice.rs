//! Who can notice a change: decided when a record is stored, for every feed of its dataset, by
//! comparing what the feed's fields let through of the revision before and of the new one.

use std::collections::{BTreeSet, HashMap, HashSet};

use atena_domain::{Dataset, SystemId, UnifiedAddressNumber};
use atena_policy::FieldFilter;
use atena_proto::v1;
use atena_store::{Feed, FeedNumber, RecordHead, WriteTransaction};
use atena_vault::SealContext;

use super::item::{Coming, Item};
use super::people::Person;
use super::push_records::Permits;
use crate::ahead::take_turns;
use crate::call::Call;
use crate::convert::record_row;
use crate::error::CallError;

/// A feed of one of the datasets that are pushed, and who is linked in its system.
struct Watch<'a> {
    feed: &'a Feed,
    /// What its reader sees; `None` where the contract no longer knows one of its fields.
    view: Option<FieldFilter>,
    linked: Option<&'a HashSet<UnifiedAddressNumber>>,
}

/// Fills in, for every item that changes a record, the feeds whose readers can see it.
pub(super) async fn decide<'i>(
    call: &Call,
    transaction: &mut WriteTransaction,
    permits: &Permits,
    items: impl Iterator<Item = &'i mut Item>,
) -> Result<(), CallError> {
    let mut changing: Vec<_> = items.filter_map(changing).collect();
    let datasets: BTreeSet<_> = changing.iter().map(|(_, coming)| coming.record.dataset).collect();
    let feeds = transaction.feeds(&datasets).await?;
    if feeds.is_empty() {
        return Ok(());
    }
    let systems: BTreeSet<_> = feeds.iter().map(|feed| &feed.system_id).collect();
    let people: BTreeSet<_> = changing.iter().map(|(person, _)| person.unified_address_number.clone()).collect();
    let people: Vec<_> = people.into_iter().collect();
    let linked = transaction.linked_in(&systems, &people).await?;
    let watches = watches(call, permits, &feeds, &linked);
    let mut buffers = Buffers::default();
    for (place, (person, coming)) in changing.iter_mut().enumerate() {
        take_turns(place).await;
        let Some(watches) = watches.get(&coming.record.dataset) else { continue };
        coming.seen = seen(person, coming, watches, &mut buffers);
    }
    Ok(())
}

/// A good record that is stored as a new revision, and whom it is about.
fn changing(item: &mut Item) -> Option<(&Person, &mut Coming)> {
    let (person, coming) = (item.person.as_ref()?, item.coming.as_mut().ok()?);
    matches!(coming.outcome, v1::PushOutcome::Stored | v1::PushOutcome::Deleted).then_some((person, coming))
}

fn watches<'a>(
    call: &Call,
    permits: &Permits,
    feeds: &'a [Feed],
    linked: &'a HashMap<SystemId, HashSet<UnifiedAddressNumber>>,
) -> HashMap<Dataset, Vec<Watch<'a>>> {
    let mut of_datasets: HashMap<Dataset, Vec<Watch<'a>>> = HashMap::new();
    for feed in feeds {
        let view = permits.get(&feed.dataset).and_then(|permit| permit.view(&call.hall.catalog, &feed.field_names));
        let watch = Watch { feed, view, linked: linked.get(&feed.system_id) };
        of_datasets.entry(feed.dataset).or_default().push(watch);
    }
    of_datasets
}

/// Memory that takes one record after the other.
#[derive(Default)]
struct Buffers {
    before: Vec<u8>,
    seen_before: Vec<u8>,
    seen_now: Vec<u8>,
}

/// The feeds whose readers can see that this record changes.
fn seen(person: &Person, coming: &Coming, watches: &[Watch<'_>], buffers: &mut Buffers) -> Vec<FeedNumber> {
    let number = &person.unified_address_number;
    let is_linked = |watch: &&Watch<'_>| watch.linked.is_some_and(|linked| linked.contains(number));
    let here = watches.iter().filter(is_linked);
    let before = coming.before.as_ref().filter(|before| !before.deleted);
    let (before, now) = match (before, &coming.record.content) {
        (None, None) => return Vec::new(),
        // A record that appears or ends is seen whatever its content.
        (None, Some(_)) | (Some(_), None) => return here.map(|watch| watch.feed.number).collect(),
        (Some(before), Some(now)) => (before, now),
    };
    let mut opened = None;
    let differs = |watch: &&Watch<'_>| {
        let opened = *opened.get_or_insert_with(|| open(person, coming, before, &mut buffers.before));
        match watch.view.as_ref().filter(|_| opened) {
            Some(view) => {
                let Buffers { before, seen_before, seen_now } = buffers;
                seen_before.clear();
                seen_now.clear();
                let filtered = view.apply(before, seen_before).and_then(|()| view.apply(now, seen_now));
                filtered.is_err() || seen_before != seen_now
            }
            // It is noted for all: each is sent what it may have in any case.
            None => true,
        }
    };
    here.filter(differs).map(|watch| watch.feed.number).collect()
}

/// Opens the revision before.
fn open(person: &Person, coming: &Coming, before: &RecordHead, content: &mut Vec<u8>) -> bool {
    content.clear();
    let row = record_row(coming.record.dataset, &coming.record.record_key, before.revision);
    let context = SealContext { table: "record", column: "sealed", row: &row };
    let opened = person.key.as_ref().is_some_and(|key| key.open_to(&context, &before.sealed, content).is_ok());
    if !opened {
        tracing::error!("the revision before can't be opened; all who may have the record are sent the new one");
    }
    opened
}
