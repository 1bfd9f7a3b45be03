//! Pension records: immutable revisions, and the newest of each.

use std::collections::{HashMap, HashSet};

use atena_domain::{Dataset, RecordKey, UnifiedAddressNumber};
use atena_policy::{PushPermit, ReleasePermit};
use jiff::Timestamp;

use crate::engine::{Batch, BatchRow, BatchSql, Insert, Kind, List, ListOf, Spacing, Sql, Statement, signed};
use crate::error::StoreError;
use crate::feed::{FeedNumber, Notes};
#[cfg(test)]
use crate::listed::Listed;
use crate::people::person_of;
use crate::store::Store;
use crate::write::WriteTransaction;
use bytes::Bytes;

/// A revision to add.
pub struct NewRevision {
    /// The dataset.
    pub dataset: Dataset,
    /// The owner's key.
    pub record_key: RecordKey,
    /// The owner's revision.
    pub revision: u64,
    /// The person.
    pub unified_address_number: UnifiedAddressNumber,
    /// Whether it ends the record.
    pub deleted: bool,
    /// The content, sealed; empty for a deletion.
    pub sealed: Bytes,
    /// Keyed digest of the content.
    pub content_mac: [u8; 32],
    /// When.
    pub stored_at: Timestamp,
    /// Whether the record had a revision before.
    pub supersedes: bool,
    /// The record's number, where it has one already.
    pub record_number: Option<u64>,
    /// The feeds whose readers can see this change.
    pub seen: Vec<FeedNumber>,
}

/// A revision that comes in, as what is stored of its record is looked for.
pub struct ComingRecord<'r> {
    /// The person.
    pub unified_address_number: &'r UnifiedAddressNumber,
    /// The owner's key.
    pub record_key: &'r RecordKey,
    /// The owner's revision.
    pub revision: u64,
}

/// The newest revision of a record, to be compared with one that comes in.
pub struct RecordHead {
    /// The person of the record.
    pub unified_address_number: UnifiedAddressNumber,
    /// The newest revision.
    pub revision: u64,
    /// Whether it ended the record.
    pub deleted: bool,
    /// Keyed digest of its content.
    pub content_mac: [u8; 32],
    /// Its content, sealed; empty for a deletion.
    pub sealed: Bytes,
    /// The record's number, where it has one already.
    pub record_number: Option<u64>,
}

/// A stored revision.
#[derive(Clone)]
pub struct StoredRecord {
    /// The person.
    pub unified_address_number: UnifiedAddressNumber,
    /// The dataset.
    pub dataset: Dataset,
    /// The owner's key.
    pub record_key: RecordKey,
    /// The owner's revision.
    pub revision: u64,
    /// Whether it ended the record.
    pub deleted: bool,
    /// The content, sealed; empty for a deletion.
    pub sealed: Bytes,
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
}

/// The revision that a new record mostly has.
const FIRST_REVISION: u64 = 1;

/// Records that change at a time. In a large town each record lies on a page that was not in
/// memory. The page must still be in memory when the record is replaced, after its former revision
/// was copied.
const CHANGED_AT_ONCE: usize = 256;

/// What a new revision does to its record.
const BECOMES_NEWEST: &str = " ON CONFLICT (municipality_code, unified_address_number, dataset, record_key) DO UPDATE
    SET revision = excluded.revision, change_sequence = excluded.change_sequence,
        deleted = excluded.deleted, sealed = excluded.sealed,
        content_mac = excluded.content_mac, stored_at = excluded.stored_at,
        record_number = excluded.record_number";

static CURRENT: BatchSql = BatchSql::of_list(
    &[
        ("unified_address_number", Kind::Text),
        ("dataset", Kind::Text),
        ("record_key", Kind::Text),
        ("revision", Kind::Integer),
        ("sealed", Kind::Bytes),
    ],
    Sql::same(
        "FROM record
        WHERE municipality_code = $1 AND deleted = 0 AND dataset = ANY($2)
            AND unified_address_number = ANY($3)",
    ),
    List::range_read(Spacing::CheckDigit, "$3"),
);

// The last condition is true of every record: PostgreSQL uses the index by key only for statements
// that bind the key.
const STATUS: Sql = Sql::per_engine(
    "SELECT count(*) FILTER (WHERE deleted = 0), count(*) FILTER (WHERE deleted = 1),
        coalesce(max(revision), 0),
        (SELECT count(*) FROM record_history WHERE municipality_code = $1 AND dataset = $2)
    FROM record WHERE municipality_code = $1 AND dataset = $2",
    "SELECT count(*) FILTER (WHERE deleted = 0), count(*) FILTER (WHERE deleted = 1),
        coalesce(max(revision), 0),
        (SELECT count(*) FROM record_history WHERE municipality_code = $1 AND dataset = $2)
    FROM record WHERE municipality_code = $1 AND dataset = $2 AND record_key >= ''",
);

/// What [`record_head`] reads.
const HEAD_COLUMNS: &[(&str, Kind)] = &[
    ("record_key", Kind::Text),
    ("unified_address_number", Kind::Text),
    ("revision", Kind::Integer),
    ("deleted", Kind::Integer),
    ("content_mac", Kind::Bytes),
    ("sealed", Kind::Bytes),
    ("record_number", Kind::Integer),
];

static BY_PLACE: BatchSql = BatchSql::of_list(
    HEAD_COLUMNS,
    Sql::same(
        "FROM record
        WHERE municipality_code = $1 AND dataset = $2
            AND (unified_address_number, record_key) = ANY($3)",
    ),
    List::new(ListOf::Places, "$3"),
);

static BY_KEY: BatchSql = BatchSql::of_list(
    HEAD_COLUMNS,
    Sql::per_engine(
        "FROM record INDEXED BY record_by_key
        WHERE municipality_code = $1 AND dataset = $2 AND record_key = ANY($3)",
        "FROM record
        WHERE municipality_code = $1 AND dataset = $2 AND record_key = ANY($3)",
    ),
    List::new(ListOf::Texts, "$3"),
);

const KEYS_BETWEEN: Sql = Sql::per_engine(
    "SELECT 1 FROM record INDEXED BY record_by_key
    WHERE municipality_code = $1 AND dataset = $2 AND record_key BETWEEN $3 AND $4
    ORDER BY record_key LIMIT 1",
    "SELECT 1 FROM record
    WHERE municipality_code = $1 AND dataset = $2 AND record_key BETWEEN $3 AND $4
    ORDER BY record_key LIMIT 1",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.record.current", Listed::Batch(&CURRENT)),
    ("db.record.status", Listed::Sql(STATUS)),
    ("db.record.heads: by person and key", Listed::Batch(&BY_PLACE)),
    ("db.record.heads: by key", Listed::Batch(&BY_KEY)),
    ("db.record.heads: keys between", Listed::Sql(KEYS_BETWEEN)),
    ("db.record.insert: new records", Listed::Insert(|| new_rows("", &[]))),
    ("db.record.insert: newer revisions", Listed::Insert(|| newer_rows("", &[]))),
];

// === impl StoredRecord ===

impl StoredRecord {
    /// Where it stands among others: by person, dataset and record key.
    pub(crate) fn place(&self) -> (&UnifiedAddressNumber, &str, &RecordKey) {
        (&self.unified_address_number, self.dataset.as_str(), &self.record_key)
    }
}

// === impl Store ===

impl Store {
    /// The newest revisions of people's records in the permitted datasets, without those deleted;
    /// those of a person stand together, ordered by dataset and record key.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.current")]
    pub async fn current_records(
        &self,
        permits: &[ReleasePermit],
        people: &[UnifiedAddressNumber],
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let current =
            CURRENT.about(self.code()).texts(datasets(permits)).texts(people.iter().map(UnifiedAddressNumber::as_str));
        let mut records = current_records(&self.engine.fetch_batch(&CURRENT, &current).await?)?;
        records.sort_by(|one, other| one.place().cmp(&other.place()));
        Ok(records)
    }

    /// What is held of the permit's dataset.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.status")]
    pub async fn push_status(&self, permit: &PushPermit) -> Result<PushStatus, StoreError> {
        let status = Statement::about(self.code(), STATUS).text(permit.dataset().as_str());
        let Some(row) = self.engine.fetch_optional(&status).await? else { return Ok(PushStatus::default()) };
        let (current, deleted) = (row.count(0, "record")?, row.count(1, "record")?);
        Ok(PushStatus {
            current_records: current,
            deleted_records: deleted,
            last_revision: row.count(2, "record")?,
            revisions: current + deleted + row.count(3, "record_history")?,
        })
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// The newest revisions of records. A record that has changed is looked up by person and key,
    /// where its next revision will be written. A record that is not found there, or is new, is
    /// looked up by its key alone, because it may be another person's.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.heads")]
    pub async fn record_heads(
        &mut self,
        dataset: Dataset,
        records: &[ComingRecord<'_>],
    ) -> Result<HashMap<RecordKey, RecordHead>, StoreError> {
        let changed = records.iter().filter(|record| record.revision > FIRST_REVISION);
        let places: Vec<_> = changed.map(|record| place(record.unified_address_number, record.record_key)).collect();
        let by_place =
            BY_PLACE.about(self.municipality.as_str()).text(dataset.as_str()).texts(places.iter().map(String::as_str));
        let mut heads = self.transaction.fetch_batch(&BY_PLACE, &by_place).await?.into_map(record_head)?;
        let unseen: Vec<_> = records
            .iter()
            .map(|record| record.record_key)
            .filter(|key| !heads.contains_key(*key))
            .map(RecordKey::as_str)
            .collect();
        if self.has_keys_between(dataset, &unseen).await? {
            let by_key = BY_KEY.about(self.municipality.as_str()).text(dataset.as_str()).texts(unseen.iter().copied());
            heads.extend(self.transaction.fetch_batch(&BY_KEY, &by_key).await?.into_map(record_head)?);
        }
        Ok(heads)
    }

    /// Whether there is any record whose key is one of these, or lies between them. New keys often
    /// come after all keys that there are. Then one question saves looking up each key.
    async fn has_keys_between(&mut self, dataset: Dataset, keys: &[&str]) -> Result<bool, StoreError> {
        let (Some(first), Some(last)) = (keys.iter().min(), keys.iter().max()) else { return Ok(false) };
        let between = Statement::about(self.municipality.as_str(), KEYS_BETWEEN);
        let between = between.text(dataset.as_str()).text(first).text(last);
        Ok(self.transaction.fetch_optional(&between).await?.is_some())
    }

    /// Adds revisions, each newer than those before it of its record. Each takes a change sequence;
    /// those of one record rise. The revision that was newest goes into the history. Changed
    /// records are written in the order of their key, not in that of the push.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where a record belongs to another person, or has a revision
    /// though it should have none.
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.insert")]
    pub async fn insert_revisions<'r>(&mut self, revisions: &'r [NewRevision]) -> Result<(), StoreError> {
        if revisions.is_empty() {
            return Ok(());
        }
        let first = self.take_change_sequences(revisions.len()).await?;
        let (mut next, mut notes) = (first, Notes::default());
        // Numbers of records that have another revision in `waiting`.
        let mut numbers: HashMap<(Dataset, &RecordKey), i64> = HashMap::new();
        let mut waiting: Vec<&NewRevision> = revisions.iter().collect();
        // A statement can change a record once: its next revision goes into the next statement.
        while !waiting.is_empty() {
            let mut seen = HashSet::with_capacity(waiting.len());
            let (now, later): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|revision| seen.insert((revision.dataset, &revision.record_key)));
            let (mut newer, new): (Vec<_>, Vec<_>) = now.into_iter().partition(|revision| revision.supersedes);
            newer.sort_by_key(|&newer| (newer.dataset.as_str(), &newer.unified_address_number, &newer.record_key));
            let mut numbered = |revisions: Vec<&'r NewRevision>| -> Vec<Numbered<'r>> {
                let number = |(sequence, revision): (i64, &'r NewRevision)| {
                    let before = numbers.get(&(revision.dataset, &revision.record_key)).copied();
                    let record_number = revision.record_number.map(signed).or(before).unwrap_or(sequence);
                    for feed in &revision.seen {
                        notes.record(*feed, &revision.unified_address_number, record_number);
                    }
                    Numbered { sequence, record_number, revision }
                };
                let numbered: Vec<_> = (next..).zip(revisions).map(number).collect();
                next += signed(numbered.len() as u64);
                numbered
            };
            let (newer, new) = (numbered(newer), numbered(new));
            self.transaction.insert(&new_rows(self.municipality.as_str(), &new)).await?;
            let of_datasets = newer.chunk_by(|one, next| one.revision.dataset == next.revision.dataset);
            for some in of_datasets.flat_map(|of_dataset| of_dataset.chunks(CHANGED_AT_ONCE)) {
                self.keep_former(some).await?;
                self.transaction.insert(&newer_rows(self.municipality.as_str(), some)).await?;
            }
            if !later.is_empty() {
                let all = newer.iter().chain(&new);
                numbers.extend(all.map(|one| ((one.revision.dataset, &one.revision.record_key), one.record_number)));
            }
            waiting = later;
        }
        self.note(next - 1, &notes).await
    }
}

/// A revision with the sequence of its change and the number of its record.
pub(crate) struct Numbered<'r> {
    pub(crate) sequence: i64,
    pub(crate) record_number: i64,
    pub(crate) revision: &'r NewRevision,
}

/// Revisions that replace the newest of their records.
fn newer_rows<'q>(code: &'q str, revisions: &[Numbered<'q>]) -> Insert<'q> {
    new_rows(code, revisions).on_conflict(BECOMES_NEWEST)
}

/// The first revisions of their records.
fn new_rows<'q>(code: &'q str, revisions: &[Numbered<'q>]) -> Insert<'q> {
    let new = || revisions.iter().map(|one| one.revision);
    Insert::into("record", code, revisions.len())
        .texts("unified_address_number", new().map(|revision| revision.unified_address_number.as_str()))
        .texts("dataset", new().map(|revision| revision.dataset.as_str()))
        .texts("record_key", new().map(|revision| revision.record_key.as_str()))
        .integers("revision", new().map(|revision| signed(revision.revision)))
        .integers("change_sequence", revisions.iter().map(|one| one.sequence))
        .integers("deleted", new().map(|revision| revision.deleted.into()))
        .bytes("sealed", new().map(|revision| revision.sealed.as_ref()))
        .bytes("content_mac", new().map(|revision| revision.content_mac.as_slice()))
        .integers("stored_at", new().map(|revision| revision.stored_at.as_microsecond()))
        .integers("record_number", revisions.iter().map(|one| one.record_number))
}

/// The newest revision of a record, from [`HEAD_COLUMNS`].
fn record_head(row: BatchRow<'_>) -> Result<(RecordKey, RecordHead), StoreError> {
    let head = RecordHead {
        unified_address_number: person_of(row.text(1)?, "record")?,
        revision: row.count(2, "record")?,
        deleted: row.integer(3)? != 0,
        content_mac: row.bytes32(4, "record")?,
        sealed: row.bytes(5)?,
        // 0 for one that has not changed since feeds were introduced.
        record_number: Some(row.count(6, "record")?).filter(|number| *number > 0),
    };
    Ok((RecordKey::parse(row.text(0)?).map_err(StoreError::corrupt("record"))?, head))
}

/// A person and a key in one text, for [`ListOf::Places`]: all unified numbers have one length.
pub(crate) fn place(person: &UnifiedAddressNumber, key: &RecordKey) -> String {
    [person.as_str(), key.as_str()].concat()
}

/// The datasets of permits.
pub(crate) fn datasets(permits: &[ReleasePermit]) -> impl Iterator<Item = &str> {
    permits.iter().map(|permit| permit.dataset().as_str())
}

/// Newest revisions that are no deletions: person, dataset, key, revision and content of each row.
pub(crate) fn current_records(found: &Batch) -> Result<Vec<StoredRecord>, StoreError> {
    found.rows().map(|row| current_record(row, person_of(row.text(0)?, "record")?, 1)).collect()
}

/// A person's record, whose dataset, key, revision and content begin at this column.
pub(crate) fn current_record(
    row: BatchRow<'_>,
    person: UnifiedAddressNumber,
    column: usize,
) -> Result<StoredRecord, StoreError> {
    let corrupt = StoreError::corrupt("record");
    Ok(StoredRecord {
        unified_address_number: person,
        dataset: Dataset::parse(row.text(column)?).map_err(&corrupt)?,
        record_key: RecordKey::parse(row.text(column + 1)?).map_err(&corrupt)?,
        revision: row.count(column + 2, "record")?,
        deleted: false,
        sealed: row.bytes(column + 3)?,
    })
}
