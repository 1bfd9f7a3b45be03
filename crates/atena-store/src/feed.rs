//! Feeds: which changes each consumer can see, decided when they are stored.
//!
//! A feed belongs to one system, one dataset and one set of fields. Its first pull opens it. From
//! then on every change that this consumer can see is noted in it, and no other change is. A pull
//! reads its own feeds only, so that what it may not see costs it nothing. No rule is looked at
//! when a change is stored: a feed stays right whatever the rules become.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use atena_domain::{Dataset, SystemId, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use smallvec::SmallVec;

use crate::engine::Row;
use crate::error::StoreError;
use crate::people::person_of;
use crate::records::StoredRecord;

/// The table of the changes of feeds.
pub(crate) const TABLE: &str = "feed_change";

/// Names a feed within its municipality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedNumber(pub(crate) i64);

/// What one system may have of one dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Its number.
    pub number: FeedNumber,
    /// The system that reads it.
    pub system_id: SystemId,
    /// The dataset.
    pub dataset: Dataset,
    /// Paths of the fields, in the order of the permit.
    pub field_names: Vec<String>,
    /// The last change before it was opened: every later one that can be seen is in it.
    pub since: u64,
}

/// What the reader of a feed sees of a change of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A record that was not there before.
    Appears,
    /// Another content than before.
    Changes(Before),
    /// A record that is not there any more.
    Ends(Before),
}

/// What the reader of a feed had of a record before it changed: a keyed digest, made by the
/// gateway. With it, a record that is again as it was counts as unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before(pub u64);

/// What changed about one person, as one reader sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonChanges {
    /// The commit in which the person was linked in the reader's system, if they were. Then all
    /// their records are new to it.
    pub linked: Option<u64>,
    /// Records that changed.
    pub records: SmallVec<[RecordChange; 1]>,
}

/// A record that changed, once or more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordChange {
    /// The record's number.
    pub record_number: u64,
    /// The commit of the first of the changes.
    pub commit: u64,
    /// What the reader had before the first of the changes; `None` where the record was not there.
    pub before: Option<Before>,
}

/// The changes between two sequences, by person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedChanges {
    /// Every change up to this sequence is in it.
    pub until: u64,
    /// The people.
    pub people: BTreeMap<UnifiedAddressNumber, PersonChanges>,
}

/// The newest revision of a record, with the number by which feeds name it.
pub struct NumberedRecord {
    /// The record's number.
    pub record_number: u64,
    /// The revision, which may be a deletion.
    pub stored: StoredRecord,
}

/// The changes of one commit, feed by feed, as they are stored.
#[derive(Default)]
pub(crate) struct Notes(pub(crate) BTreeMap<FeedNumber, String>);

// === impl FeedChanges ===

impl FeedChanges {
    /// Adds an entry; `None` if it is damaged. Entries of one feed must come in order.
    pub(crate) fn add(&mut self, commit: u64, line: &str) -> Option<()> {
        let mut letters = line.chars();
        let kind = letters.next()?;
        let mut words = letters.as_str().split(' ');
        let person = person_of(words.next()?, TABLE).ok()?;
        let change = match kind {
            'L' => None,
            '+' => Some(RecordChange { record_number: words.next()?.parse().ok()?, commit, before: None }),
            '=' | '-' => {
                let record_number = words.next()?.parse().ok()?;
                let before = Before(u64::from_str_radix(words.next()?, 16).ok()?);
                Some(RecordChange { record_number, commit, before: Some(before) })
            }
            _ => return None,
        };
        if words.next().is_some() {
            return None;
        }
        let of_person = self.people.entry(person).or_default();
        match change {
            None => of_person.linked = Some(commit),
            Some(change) => {
                let records = &mut of_person.records;
                if !records.iter().any(|record| record.record_number == change.record_number) {
                    records.push(change);
                }
            }
        }
        Some(())
    }
}

// === impl Notes ===

impl Notes {
    /// Notes a change of a record.
    pub(crate) fn record(&mut self, feed: FeedNumber, seen: Seen, person: &UnifiedAddressNumber, number: i64) {
        let (entries, person) = (self.line(feed), person.as_str());
        // Writing to a String does not fail.
        let _ = match seen {
            Seen::Appears => write!(entries, "+{person} {number}"),
            Seen::Changes(Before(digest)) => write!(entries, "={person} {number} {digest:x}"),
            Seen::Ends(Before(digest)) => write!(entries, "-{person} {number} {digest:x}"),
        };
    }

    /// Notes that a person was linked in the reader's system.
    pub(crate) fn link(&mut self, feed: FeedNumber, person: &UnifiedAddressNumber) {
        let entries = self.line(feed);
        entries.push('L');
        entries.push_str(person.as_str());
    }

    fn line(&mut self, feed: FeedNumber) -> &mut String {
        let entries = self.0.entry(feed).or_default();
        if !entries.is_empty() {
            entries.push('\n');
        }
        entries
    }
}

// === impl Feed ===

impl Feed {
    /// Whether it is the feed of what this permit releases.
    #[must_use]
    pub fn is_of(&self, permit: &ReleasePermit) -> bool {
        self.system_id == *permit.caller()
            && self.dataset == permit.dataset()
            && self.field_names[..] == permit.field_names()[..]
    }

    /// Reads the columns `feed_number, system_id, dataset, field_names, since_sequence`.
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        let corrupt = StoreError::corrupt("feed");
        Ok(Self {
            number: FeedNumber(row.integer(0)?),
            system_id: SystemId::parse(row.text(1)?).map_err(&corrupt)?,
            dataset: Dataset::parse(row.text(2)?).map_err(&corrupt)?,
            field_names: row.text(3)?.split_whitespace().map(str::to_owned).collect(),
            since: row.count(4, "feed")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_taken_in_or_refused() {
        let person = UnifiedAddressNumber::from_body(1).unwrap();
        let mut notes = Notes::default();
        let feed = FeedNumber(3);
        notes.record(feed, Seen::Appears, &person, 7);
        notes.record(feed, Seen::Ends(Before(0xab)), &person, 7);
        notes.record(feed, Seen::Changes(Before(u64::MAX)), &person, 9);
        notes.link(feed, &person);
        let mut changes = FeedChanges::default();
        for line in notes.0[&feed].lines() {
            changes.add(5, line).unwrap();
        }
        let found = &changes.people[&person];
        assert_eq!(found.linked, Some(5));
        // The first change of each record says what the reader had.
        let records = [(7, None), (9, Some(Before(u64::MAX)))];
        let records = records.map(|(record_number, before)| RecordChange { record_number, commit: 5, before });
        assert_eq!(found.records[..], records);
        for wrong in
            ["", "L", "L19", "+000000000000019", "*000000000000019 7", "+000000000000019 x", "=000000000000019 7"]
        {
            assert!(FeedChanges::default().add(5, wrong).is_none(), "{wrong}");
        }
    }
}
