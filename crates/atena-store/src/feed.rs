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

/// What changed about one person, as one reader sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonChanges {
    /// Whether the person was linked in the reader's system: all about them is new to it.
    pub linked: bool,
    /// The numbers of records that changed.
    pub records: SmallVec<[u64; 2]>,
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
    /// The change that made the revision.
    pub change: u64,
    /// The revision, which may be a deletion.
    pub stored: StoredRecord,
}

/// The changes of one commit, feed by feed, as they are stored.
#[derive(Default)]
pub(crate) struct Notes(pub(crate) BTreeMap<FeedNumber, String>);

// === impl FeedChanges ===

impl FeedChanges {
    /// Takes in an entry, unless it is damaged.
    pub(crate) fn add(&mut self, line: &str) -> Option<()> {
        let (person, record) = parse(line)?;
        let of_person = self.people.entry(person).or_default();
        match record {
            None => of_person.linked = true,
            Some(record) if of_person.records.contains(&record) => {}
            Some(record) => of_person.records.push(record),
        }
        Some(())
    }
}

/// Reads an entry: whom it is about, and which record; none for a link.
fn parse(line: &str) -> Option<(UnifiedAddressNumber, Option<u64>)> {
    let mut letters = line.chars();
    let kind = letters.next()?;
    let mut words = letters.as_str().split(' ');
    let person = person_of(words.next()?, TABLE).ok()?;
    let record = match kind {
        'L' => None,
        'R' => Some(words.next()?.parse().ok()?),
        _ => return None,
    };
    words.next().is_none().then_some((person, record))
}

/// Entries without those about a person, unless one of them is damaged.
pub(crate) fn without(entries: &str, person: &UnifiedAddressNumber) -> Option<String> {
    let mut left = String::with_capacity(entries.len());
    for line in entries.lines() {
        if parse(line)?.0 != *person {
            if !left.is_empty() {
                left.push('\n');
            }
            left.push_str(line);
        }
    }
    Some(left)
}

// === impl Notes ===

impl Notes {
    /// Notes a change of a record.
    pub(crate) fn record(&mut self, feed: FeedNumber, person: &UnifiedAddressNumber, number: i64) {
        let (entries, person) = (self.line(feed), person.as_str());
        // Writing to a String does not fail.
        let _ = write!(entries, "R{person} {number}");
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
        let [one, other] = [1, 2].map(|body| UnifiedAddressNumber::from_body(body).unwrap());
        let mut notes = Notes::default();
        let feed = FeedNumber(3);
        for (person, number) in [(&one, 7), (&other, 8), (&one, 7), (&one, 9)] {
            notes.record(feed, person, number);
        }
        notes.link(feed, &one);
        let entries = &notes.0[&feed];
        let mut changes = FeedChanges::default();
        entries.lines().for_each(|line| changes.add(line).unwrap());
        let of_one = PersonChanges { linked: true, records: SmallVec::from_slice(&[7, 9]) };
        assert_eq!(changes.people[&one], of_one);
        assert_eq!(without(entries, &one), Some(format!("R{} 8", other.as_str())));
        assert_eq!(without(&without(entries, &one).unwrap(), &other), Some(String::new()));
        for wrong in
            ["", "L", "L19", "R000000000000019", "+000000000000019 7", "R000000000000019 x", "R000000000000019 7 8"]
        {
            assert!(
                FeedChanges::default().add(wrong).is_none() && (wrong.is_empty() || without(wrong, &one).is_none())
            );
        }
    }
}
