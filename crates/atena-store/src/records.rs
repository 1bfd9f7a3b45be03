//! Pension records: immutable revisions, and the newest of each.

use std::collections::HashMap;

use atena_domain::{Dataset, RecordKey, UnifiedAddressNumber};
use atena_policy::{PushPermit, ReconstructPermit, ReleasePermit};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};

use crate::error::StoreError;
use crate::rows::{BINDS_MAX, LIST_MAX, bytes32, count, into_map, push_list, signed, text};
use crate::store::Store;
use crate::write::WriteTransaction;

/// A revision to add.
pub struct NewRevision {
    /// The dataset.
    pub dataset: Dataset,
    /// The owner's key.
    pub record_key: RecordKey,
    /// The owner's revision.
    pub revision: u64,
    /// Whom it is about.
    pub unified_address_number: UnifiedAddressNumber,
    /// Whether it ends the record.
    pub deleted: bool,
    /// The content, sealed; empty for a deletion.
    pub sealed: Vec<u8>,
    /// Keyed digest of the content.
    pub content_mac: [u8; 32],
    /// When.
    pub stored_at: Timestamp,
}

/// What is compared with a revision that comes in.
pub struct RecordHead {
    /// Whom the record is about.
    pub unified_address_number: UnifiedAddressNumber,
    /// The newest revision.
    pub revision: u64,
    /// Whether it ended the record.
    pub deleted: bool,
    /// Keyed digest of its content.
    pub content_mac: [u8; 32],
}

/// A stored revision.
#[derive(Clone)]
pub struct StoredRecord {
    /// Whom it is about.
    pub unified_address_number: UnifiedAddressNumber,
    /// The dataset.
    pub dataset: Dataset,
    /// The owner's key.
    pub record_key: RecordKey,
    /// The owner's revision.
    pub revision: u64,
    /// Its place in the municipality's changes.
    pub change_sequence: u64,
    /// Whether it ended the record.
    pub deleted: bool,
    /// The content, sealed; empty for a deletion.
    pub sealed: Vec<u8>,
}

/// What is held of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushStatus {
    /// Records whose newest revision is not a deletion.
    pub current_records: u64,
    /// Records whose newest revision is a deletion.
    pub deleted_records: u64,
    /// Revisions in all.
    pub revisions: u64,
    /// The highest revision of any record.
    pub last_revision: u64,
    /// The change sequence of the last stored revision.
    pub last_change_sequence: u64,
}

/// Columns of a stored revision, in the order that [`stored_record`] reads them.
pub(crate) const STORED: &str = "revision.unified_address_number, revision.dataset, revision.record_key, \
    revision.revision, revision.change_sequence, revision.deleted, revision.sealed";

// === impl Store ===

impl Store {
    /// Given revisions of a dataset, deletions included, in the order asked for; those that are no longer there are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record_revision.exact")]
    pub async fn exact_revisions(
        &self,
        _permit: &ReconstructPermit,
        dataset: Dataset,
        rows: &[(RecordKey, u64)],
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let mut found = Vec::with_capacity(rows.len());
        for (key, revision) in rows {
            let mut query = QueryBuilder::new("SELECT ");
            query
                .push(STORED)
                .push(" FROM record_revision AS revision WHERE revision.municipality_code = ")
                .push_bind(self.code())
                .push(" AND revision.dataset = ")
                .push_bind(dataset.as_str())
                .push(" AND revision.record_key = ")
                .push_bind(key.as_str())
                .push(" AND revision.revision = ")
                .push_bind(signed(*revision));
            let row = query.build().fetch_optional(&self.readers).await?;
            found.extend(row.map(|row| stored_record(&row, 0)).transpose()?);
        }
        Ok(found)
    }

    /// The newest revisions of people's records in the permitted datasets, without those deleted, ordered by person, dataset and
    /// record key.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.current")]
    pub async fn current_records(
        &self,
        permits: &[ReleasePermit],
        people: &[UnifiedAddressNumber],
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let mut found = Vec::new();
        for people in people.chunks(LIST_MAX) {
            let mut query = QueryBuilder::new("SELECT ");
            query
                .push(STORED)
                .push(
                    // By the person: without statistics SQLite may walk through the whole dataset instead.
                    " FROM record_head AS head INDEXED BY record_head_of_person JOIN record_revision AS revision \
                     ON revision.municipality_code = head.municipality_code AND revision.dataset = head.dataset \
                     AND revision.record_key = head.record_key AND revision.revision = head.revision \
                     WHERE head.deleted = 0 AND head.municipality_code = ",
                )
                .push_bind(self.code());
            push_datasets(&mut query, " AND head.dataset", permits);
            query.push(" AND head.unified_address_number");
            push_list(&mut query, people.iter().map(UnifiedAddressNumber::as_str));
            query.push(" ORDER BY head.unified_address_number, head.dataset, head.record_key");
            for row in &query.build().fetch_all(&self.readers).await? {
                found.push(stored_record(row, 0)?);
            }
        }
        Ok(found)
    }

    /// The newest revisions that were there at a change sequence, of records of the permitted datasets.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.as_of")]
    pub async fn revisions_as_of(
        &self,
        permits: &[ReleasePermit],
        keys: &[(Dataset, RecordKey)],
        sequence: u64,
    ) -> Result<HashMap<(Dataset, RecordKey), StoredRecord>, StoreError> {
        let mut found = HashMap::new();
        for permit in permits {
            let keys: Vec<_> = keys.iter().filter(|(dataset, _)| *dataset == permit.dataset()).collect();
            for keys in keys.chunks(LIST_MAX) {
                let mut query = QueryBuilder::new("SELECT ");
                query
                    .push(STORED)
                    .push(" FROM record_revision AS revision WHERE revision.municipality_code = ")
                    .push_bind(self.code())
                    .push(" AND revision.dataset = ")
                    .push_bind(permit.dataset().as_str())
                    .push(" AND revision.record_key");
                push_list(&mut query, keys.iter().map(|(_, key)| key.as_str()));
                query
                    .push(
                        " AND revision.revision = (SELECT max(older.revision) FROM record_revision AS older \
                         WHERE older.municipality_code = revision.municipality_code AND older.dataset = revision.dataset \
                         AND older.record_key = revision.record_key AND older.change_sequence <= ",
                    )
                    .push_bind(signed(sequence))
                    .push(")");
                into_map(query.build().fetch_all(&self.readers).await?, &mut found, |row| {
                    let record = stored_record(row, 0)?;
                    Ok(((record.dataset, record.record_key.clone()), record))
                })?;
            }
        }
        Ok(found)
    }

    /// What is held of the permit's dataset.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.status")]
    pub async fn push_status(&self, permit: &PushPermit) -> Result<PushStatus, StoreError> {
        const HEADS: &str = "SELECT coalesce(sum(deleted = 0), 0), coalesce(sum(deleted = 1), 0), \
                coalesce(max(revision), 0), coalesce(max(change_sequence), 0) \
            FROM record_head WHERE municipality_code = ? AND dataset = ?";
        const REVISIONS: &str = "SELECT count(*) FROM record_revision WHERE municipality_code = ? AND dataset = ?";
        let dataset = permit.dataset().as_str();
        let mut transaction = self.readers.begin().await?;
        let heads = sqlx::query(HEADS).bind(self.code()).bind(dataset).fetch_one(&mut *transaction).await?;
        let revisions = sqlx::query(REVISIONS).bind(self.code()).bind(dataset).fetch_one(&mut *transaction).await?;
        Ok(PushStatus {
            current_records: count(&heads, 0, "record_head")?,
            deleted_records: count(&heads, 1, "record_head")?,
            last_revision: count(&heads, 2, "record_head")?,
            last_change_sequence: count(&heads, 3, "record_head")?,
            revisions: count(&revisions, 0, "record_revision")?,
        })
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// The newest revisions of records.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.heads")]
    pub async fn record_heads(
        &mut self,
        dataset: Dataset,
        keys: &[RecordKey],
    ) -> Result<HashMap<RecordKey, RecordHead>, StoreError> {
        let mut found = HashMap::with_capacity(keys.len());
        for keys in keys.chunks(LIST_MAX) {
            let mut query = QueryBuilder::new(
                "SELECT head.record_key, head.unified_address_number, head.revision, head.deleted, revision.content_mac \
                 FROM record_head AS head JOIN record_revision AS revision \
                 ON revision.municipality_code = head.municipality_code AND revision.dataset = head.dataset \
                 AND revision.record_key = head.record_key AND revision.revision = head.revision \
                 WHERE head.municipality_code = ",
            );
            query
                .push_bind(self.municipality.as_str())
                .push(" AND head.dataset = ")
                .push_bind(dataset.as_str())
                .push(" AND head.record_key");
            push_list(&mut query, keys.iter().map(RecordKey::as_str));
            into_map(query.build().fetch_all(&mut *self.transaction).await?, &mut found, |row| {
                let corrupt = StoreError::corrupt("record_head");
                let head = RecordHead {
                    unified_address_number: UnifiedAddressNumber::parse_migrated(text(row, 1)?).map_err(&corrupt)?,
                    revision: count(row, 2, "record_head")?,
                    deleted: row.try_get(3)?,
                    content_mac: bytes32(row, 4, "record_revision")?,
                };
                Ok((RecordKey::parse(text(row, 0)?).map_err(&corrupt)?, head))
            })?;
        }
        Ok(found)
    }

    /// Adds revisions; each takes a change sequence, in order, and becomes the newest of its record.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] for a revision that exists already: revisions are immutable.
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.insert")]
    pub async fn insert_revisions(&mut self, revisions: &[NewRevision]) -> Result<(), StoreError> {
        let first = self.take_change_sequences(revisions.len()).await?;
        let sequenced: Vec<(i64, &NewRevision)> = (first..).zip(revisions).collect();
        let code = self.municipality.as_str();
        for revisions in sequenced.chunks(BINDS_MAX / 10) {
            let mut query = QueryBuilder::new(
                "INSERT INTO record_revision (municipality_code, dataset, record_key, revision, \
                 unified_address_number, change_sequence, deleted, sealed, content_mac, stored_at) ",
            );
            query.push_values(revisions, |mut row, (sequence, revision)| {
                row.push_bind(code)
                    .push_bind(revision.dataset.as_str())
                    .push_bind(revision.record_key.as_str())
                    .push_bind(signed(revision.revision))
                    .push_bind(revision.unified_address_number.as_str())
                    .push_bind(*sequence)
                    .push_bind(revision.deleted)
                    .push_bind(&revision.sealed)
                    .push_bind(revision.content_mac.as_slice())
                    .push_bind(revision.stored_at.as_microsecond());
            });
            query.build().execute(&mut *self.transaction).await?;
            let mut query = QueryBuilder::new(
                "INSERT INTO record_head (municipality_code, dataset, record_key, revision, \
                 unified_address_number, change_sequence, deleted) ",
            );
            query.push_values(revisions, |mut row, (sequence, revision)| {
                row.push_bind(code)
                    .push_bind(revision.dataset.as_str())
                    .push_bind(revision.record_key.as_str())
                    .push_bind(signed(revision.revision))
                    .push_bind(revision.unified_address_number.as_str())
                    .push_bind(*sequence)
                    .push_bind(revision.deleted);
            });
            query.push(
                " ON CONFLICT (municipality_code, dataset, record_key) DO UPDATE SET revision = excluded.revision, \
                 change_sequence = excluded.change_sequence, deleted = excluded.deleted",
            );
            query.build().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }
}

/// ` … IN (datasets of the permits)`.
pub(crate) fn push_datasets(query: &mut QueryBuilder<Sqlite>, column: &'static str, permits: &[ReleasePermit]) {
    query.push(column);
    push_list(query, permits.iter().map(|permit| permit.dataset().as_str()));
}

/// Reads the columns of [`STORED`], the first at `index`.
pub(crate) fn stored_record(row: &SqliteRow, index: usize) -> Result<StoredRecord, StoreError> {
    let corrupt = StoreError::corrupt("record_revision");
    Ok(StoredRecord {
        unified_address_number: UnifiedAddressNumber::parse_migrated(text(row, index)?).map_err(&corrupt)?,
        dataset: Dataset::parse(text(row, index + 1)?).map_err(&corrupt)?,
        record_key: RecordKey::parse(text(row, index + 2)?).map_err(&corrupt)?,
        revision: count(row, index + 3, "record_revision")?,
        change_sequence: count(row, index + 4, "record_revision")?,
        deleted: row.try_get(index + 5)?,
        sealed: row.try_get(index + 6)?,
    })
}
