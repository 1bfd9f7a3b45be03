//! The feed of changes that incremental pulls follow.

use std::collections::HashSet;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::ReleasePermit;

use crate::change_log::About;
use crate::engine::{Row, Sql, Statement, signed, sql};
use crate::error::StoreError;
use crate::people::person_in;
use crate::records::{StoredRecord, datasets, stored_record};
use crate::store::Store;

/// Something that changed for one consumer.
pub enum Change {
    /// A record has a new newest revision.
    Record {
        /// Its place in the municipality's changes.
        sequence: u64,
        /// The consumer's number of the person.
        local_address_number: LocalAddressNumber,
        /// The newest revision, a deletion included.
        stored: StoredRecord,
    },
    /// A person was linked in the consumer's system: everything about them is new to it.
    Linked {
        /// Its place in the municipality's changes.
        sequence: u64,
        /// The consumer's number of the person.
        local_address_number: LocalAddressNumber,
        /// The person.
        unified_address_number: UnifiedAddressNumber,
    },
}

// === impl Change ===

impl Change {
    /// Its place in the municipality's changes.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Record { sequence, .. } | Self::Linked { sequence, .. } => *sequence,
        }
    }

    /// Whom it is about.
    #[must_use]
    pub fn unified_address_number(&self) -> &UnifiedAddressNumber {
        match self {
            Self::Record { stored, .. } => &stored.unified_address_number,
            Self::Linked { unified_address_number, .. } => unified_address_number,
        }
    }
}

// === impl Store ===

impl Store {
    /// The last change sequence of the municipality; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.change_sequence.last")]
    pub async fn last_change_sequence(&self) -> Result<u64, StoreError> {
        const LAST: Sql = sql!(all "SELECT last FROM change_sequence WHERE municipality_code = $1");
        let row = self.engine.fetch_optional(&Statement::about(self.code(), LAST)).await?;
        row.map_or(Ok(0), |row| row.count(0, "change_sequence"))
    }

    /// What changed for the permits' caller, sequences after `after` up to `until`, in order, about `limit` at most. Records of people who
    /// were linked after `since` are left out: their [`Change::Linked`] stands for all of them.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.changes")]
    pub async fn changes(
        &self,
        permits: &[ReleasePermit],
        since: u64,
        mut after: u64,
        until: u64,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let Some(permit) = permits.first() else {
            return Ok(Vec::new());
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        loop {
            let (mut records, mut links, mut last) = (HashSet::new(), HashSet::new(), after);
            for entry in self.change_entries(after, until).await? {
                last = entry.sequence;
                match entry.about {
                    About::Record(dataset) if datasets(permits).any(|permitted| permitted == dataset.as_str()) => {
                        records.insert(entry.person);
                    }
                    About::Link(system) if system == *permit.caller() => {
                        links.insert(entry.person);
                    }
                    About::Record(_) | About::Link(_) => {}
                }
                if records.len() + links.len() >= limit {
                    break;
                }
            }
            let mut found = self.changed_records(permits, &records, since, (after, last)).await?;
            found.extend(self.new_links(permit, &links, (after, last)).await?);
            if !found.is_empty() {
                found.sort_by_key(Change::sequence);
                return Ok(found);
            }
            if last == after {
                return Ok(Vec::new());
            }
            after = last;
        }
    }

    /// Records of these people, linked in the caller's system since `since` or before, whose newest revision is a change of this range.
    async fn changed_records(
        &self,
        permits: &[ReleasePermit],
        people: &HashSet<UnifiedAddressNumber>,
        since: u64,
        (after, last): (u64, u64),
    ) -> Result<Vec<Change>, StoreError> {
        const CHANGED: Sql = sql!(each "$3::text[]" all "SELECT link.local_address_number, record.change_sequence, " stored "record"
            all " FROM link JOIN record ON record.municipality_code = link.municipality_code \
                AND record.unified_address_number = link.unified_address_number \
            WHERE link.municipality_code = $1 AND record.municipality_code = $1 AND link.system_id = $2 \
                AND link.change_sequence <= $4 AND record.change_sequence > $5 AND record.change_sequence <= $6 \
                AND record.dataset" texts "$7" all " AND link.unified_address_number" wanted "$3" done "");
        let Some(permit) = permits.first() else { return Ok(Vec::new()) };
        let changed = Statement::about(self.code(), CHANGED)
            .text(permit.caller().as_str())
            .texts(people.iter().map(UnifiedAddressNumber::as_str))
            .integer(signed(since))
            .integer(signed(after))
            .integer(signed(last))
            .texts(datasets(permits));
        let change = |row: &Row| {
            let local = LocalAddressNumber::parse(row.text(0)?).map_err(StoreError::corrupt("link"))?;
            let (sequence, stored) = (row.count(1, "record")?, stored_record(row, 2)?);
            Ok(Change::Record { sequence, local_address_number: local, stored })
        };
        self.engine.fetch_all(&changed).await?.iter().map(change).collect()
    }

    async fn new_links(
        &self,
        permit: &ReleasePermit,
        people: &HashSet<UnifiedAddressNumber>,
        (after, last): (u64, u64),
    ) -> Result<Vec<Change>, StoreError> {
        const NEW: Sql = sql!(each "$3::text[]" all "SELECT change_sequence, local_address_number, unified_address_number FROM link \
            WHERE municipality_code = $1 AND system_id = $2 AND change_sequence > $4 AND change_sequence <= $5 \
                AND unified_address_number" wanted "$3" done "");
        let new = Statement::about(self.code(), NEW)
            .text(permit.caller().as_str())
            .texts(people.iter().map(UnifiedAddressNumber::as_str))
            .integer(signed(after))
            .integer(signed(last));
        let change = |row: &Row| {
            Ok(Change::Linked {
                sequence: row.count(0, "link")?,
                local_address_number: LocalAddressNumber::parse(row.text(1)?).map_err(StoreError::corrupt("link"))?,
                unified_address_number: person_in(row, 2, "link")?,
            })
        };
        self.engine.fetch_all(&new).await?.iter().map(change).collect()
    }
}
