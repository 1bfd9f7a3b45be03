//! The feed of changes that incremental pulls follow.

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::ReleasePermit;

use crate::engine::{Sql, Statement, signed, sql};
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
        // By what changed: without statistics SQLite may walk through the whole dataset instead.
        const RECORDS: Sql = sql!(all "SELECT link.local_address_number, record.change_sequence, " stored "record"
            all " FROM record"
            sqlite " INDEXED BY record_by_change"
            all " JOIN link"
            sqlite " INDEXED BY link_of_person"
            all " ON link.municipality_code = record.municipality_code \
                AND link.unified_address_number = record.unified_address_number \
            WHERE record.municipality_code = $1 AND link.municipality_code = $1 AND link.system_id = $2 \
                AND record.change_sequence > $3 AND record.change_sequence <= $4 AND link.change_sequence <= $5 \
                AND record.dataset" texts "$6"
            all " ORDER BY record.change_sequence LIMIT $7");
        const LINKS: Sql = sql!(all "SELECT change_sequence, local_address_number, unified_address_number FROM link \
            WHERE municipality_code = $1 AND system_id = $2 AND change_sequence > $3 AND change_sequence <= $4 \
            ORDER BY change_sequence LIMIT $5");
        let Some(permit) = permits.first() else {
            return Ok(Vec::new());
        };
        let between = |sql| {
            let statement = Statement::about(self.code(), sql).text(permit.caller().as_str());
            statement.integer(signed(after)).integer(signed(until))
        };
        let records = between(RECORDS).integer(signed(since)).texts(datasets(permits)).integer(limit.into());
        let mut found = Vec::new();
        for row in &self.engine.fetch_all(&records).await? {
            let local = LocalAddressNumber::parse(row.text(0)?).map_err(StoreError::corrupt("link"))?;
            let (sequence, stored) = (row.count(1, "record")?, stored_record(row, 2)?);
            found.push(Change::Record { sequence, local_address_number: local, stored });
        }
        for row in &self.engine.fetch_all(&between(LINKS).integer(limit.into())).await? {
            found.push(Change::Linked {
                sequence: row.count(0, "link")?,
                local_address_number: LocalAddressNumber::parse(row.text(1)?).map_err(StoreError::corrupt("link"))?,
                unified_address_number: person_in(row, 2, "link")?,
            });
        }
        found.sort_by_key(Change::sequence);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }
}
