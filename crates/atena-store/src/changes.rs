//! The feed of changes that incremental pulls follow.

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use sqlx::QueryBuilder;

use crate::error::StoreError;
use crate::records::{STORED, StoredRecord, push_datasets, stored_record};
use crate::rows::{count, signed, text};
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
        const QUERY: &str = "SELECT last FROM change_sequence WHERE municipality_code = ?";
        let row = sqlx::query(QUERY).bind(self.code()).fetch_optional(&self.readers).await?;
        row.map_or(Ok(0), |row| count(&row, 0, "change_sequence"))
    }

    /// What changed for the permits' caller, sequences after `after` up to `until`, in order, at most `limit`. Records of people who
    /// were linked after `since` are left out: their [`Change::Linked`] stands for all of them.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.changes")]
    pub async fn changes(
        &self,
        permits: &[ReleasePermit],
        since: u64,
        after: u64,
        until: u64,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let Some(permit) = permits.first() else {
            return Ok(Vec::new());
        };
        let system = permit.caller().as_str();
        let mut query = QueryBuilder::new("SELECT link.local_address_number, ");
        query
            .push(STORED)
            .push(
                // By what changed: without statistics SQLite may walk through the whole dataset instead.
                " FROM record_head AS head INDEXED BY record_head_by_change JOIN link INDEXED BY link_by_person ON link.municipality_code = head.municipality_code \
                 AND link.unified_address_number = head.unified_address_number \
                 JOIN record_revision AS revision ON revision.municipality_code = head.municipality_code \
                 AND revision.dataset = head.dataset AND revision.record_key = head.record_key \
                 AND revision.revision = head.revision WHERE head.municipality_code = ",
            )
            .push_bind(self.code())
            .push(" AND head.change_sequence > ")
            .push_bind(signed(after))
            .push(" AND head.change_sequence <= ")
            .push_bind(signed(until))
            .push(" AND link.change_sequence <= ")
            .push_bind(signed(since))
            .push(" AND link.system_id = ")
            .push_bind(system);
        push_datasets(&mut query, " AND head.dataset", permits);
        query.push(" ORDER BY head.change_sequence LIMIT ").push_bind(limit);
        let mut found = Vec::new();
        for row in &query.build().fetch_all(&self.readers).await? {
            let local = LocalAddressNumber::parse(text(row, 0)?).map_err(StoreError::corrupt("link"))?;
            let stored = stored_record(row, 1)?;
            found.push(Change::Record { sequence: stored.change_sequence, local_address_number: local, stored });
        }

        const LINKS: &str = "SELECT change_sequence, local_address_number, unified_address_number FROM link \
            WHERE municipality_code = ? AND system_id = ? AND change_sequence > ? AND change_sequence <= ? \
            ORDER BY change_sequence LIMIT ?";
        let links = sqlx::query(LINKS)
            .bind(self.code())
            .bind(system)
            .bind(signed(after))
            .bind(signed(until))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        for row in &links {
            let corrupt = StoreError::corrupt("link");
            found.push(Change::Linked {
                sequence: count(row, 0, "link")?,
                local_address_number: LocalAddressNumber::parse(text(row, 1)?).map_err(&corrupt)?,
                unified_address_number: UnifiedAddressNumber::parse_migrated(text(row, 2)?).map_err(&corrupt)?,
            });
        }
        found.sort_by_key(Change::sequence);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }
}
