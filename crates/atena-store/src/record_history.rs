//! Former revisions of records. Each is stored under the change that superseded it. So the change
//! sequence of the newest revision leads to the one before it, and so on.

use std::collections::HashMap;

use atena_domain::{Dataset, RecordKey, UnifiedAddressNumber};
use atena_policy::ReconstructPermit;

use crate::engine::{Batch, BatchRow, BatchSql, Kind, List, ListOf, Sql, Statement, signed};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::people::person_of;
use crate::records::{Numbered, StoredRecord, place};
use crate::store::Store;
use crate::write::WriteTransaction;

/// What [`Former::read`] reads.
const COLUMNS: &[(&str, Kind)] = &[
    ("change_sequence", Kind::Integer),
    ("unified_address_number", Kind::Text),
    ("dataset", Kind::Text),
    ("record_key", Kind::Text),
    ("revision", Kind::Integer),
    ("deleted", Kind::Integer),
    ("sealed", Kind::Bytes),
];

/// Former revisions by the changes that superseded them.
static FORMER: BatchSql = BatchSql::of_list(
    COLUMNS,
    Sql::same("FROM record_history WHERE municipality_code = $1 AND superseded_by = ANY($2)"),
    List::new(ListOf::Integers, "$2"),
);

static NEWEST: BatchSql = BatchSql::of_list(
    COLUMNS,
    Sql::same(
        "FROM record
        WHERE municipality_code = $1 AND dataset = $2 AND record_key = ANY($3)",
    ),
    List::new(ListOf::Texts, "$3"),
);

const KEEP_FORMER: Sql = Sql::per_engine(
    "INSERT INTO record_history (
        municipality_code, superseded_by, dataset, record_key, revision,
        unified_address_number, change_sequence, deleted, sealed, content_mac, stored_at)
    SELECT record.municipality_code, $4 + listed.key, record.dataset, record.record_key,
        record.revision, record.unified_address_number, record.change_sequence,
        record.deleted, record.sealed, record.content_mac, record.stored_at
    FROM json_each($3) AS listed CROSS JOIN record
    WHERE record.municipality_code = $1 AND record.dataset = $2
        AND (record.unified_address_number, record.record_key)
            = (substr(listed.value, 1, 15), substr(listed.value, 16))",
    "INSERT INTO record_history (
        municipality_code, superseded_by, dataset, record_key, revision,
        unified_address_number, change_sequence, deleted, sealed, content_mac, stored_at)
    SELECT record.municipality_code, $4 + listed.place - 1, record.dataset, record.record_key,
        record.revision, record.unified_address_number, record.change_sequence,
        record.deleted, record.sealed, record.content_mac, record.stored_at
    FROM unnest($3::text[]) WITH ORDINALITY AS listed (value, place)
    CROSS JOIN LATERAL (
        SELECT * FROM record
        WHERE record.municipality_code = $1 AND record.dataset = $2
            AND (record.unified_address_number, record.record_key)
                = (substr(listed.value, 1, 15), substr(listed.value, 16))
        OFFSET 0) AS record",
);

const NEWEST_OF_PERSON: Sql = Sql::same(
    "SELECT change_sequence FROM record
    WHERE municipality_code = $1 AND unified_address_number = $2",
);

const ERASE_FORMER: Sql = Sql::same(
    "DELETE FROM record_history
    WHERE municipality_code = $1 AND superseded_by = $2 RETURNING change_sequence",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.record.exact: former", Listed::Batch(&FORMER)),
    ("db.record.exact", Listed::Batch(&NEWEST)),
    ("db.record.insert: former", Listed::Sql(KEEP_FORMER)),
    ("db.person.erase: newest records", Listed::Sql(NEWEST_OF_PERSON)),
    ("db.person.erase: former records", Listed::Sql(ERASE_FORMER)),
];

// === impl Store ===

impl Store {
    /// Given revisions of a dataset, deletions included, in the order asked for; those that are no
    /// longer there are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.exact")]
    pub async fn exact_revisions(
        &self,
        _permit: &ReconstructPermit,
        dataset: Dataset,
        rows: &[(RecordKey, u64)],
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let newest = NEWEST.about(self.code()).text(dataset.as_str()).texts(rows.iter().map(|(key, _)| key.as_str()));
        let mut found: HashMap<(RecordKey, u64), StoredRecord> = HashMap::new();
        let mut at = self.engine.fetch_batch(&NEWEST, &newest).await?;
        loop {
            let mut before = Vec::new();
            for row in at.rows() {
                let revision = Former::read(row)?;
                let older = |(key, wanted): &(RecordKey, u64)| {
                    *key == revision.record.record_key && *wanted < revision.record.revision
                };
                if rows.iter().any(older) {
                    before.push(revision.sequence);
                }
                found.insert((revision.record.record_key.clone(), revision.record.revision), revision.record);
            }
            if before.is_empty() {
                break;
            }
            at = self.superseded_by(&before).await?;
        }
        Ok(rows.iter().filter_map(|row| found.get(row).cloned()).collect())
    }

    async fn superseded_by(&self, changes: &[u64]) -> Result<Batch, StoreError> {
        let former = FORMER.about(self.code()).integers(changes.iter().map(|change| signed(*change)));
        self.engine.fetch_batch(&FORMER, &former).await
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Copies the newest revisions of a dataset's records into the history, before these revisions
    /// replace them. The change sequences of these follow each other.
    pub(crate) async fn keep_former(&mut self, replaced_by: &[Numbered<'_>]) -> Result<(), StoreError> {
        let Some(first) = replaced_by.first() else { return Ok(()) };
        let places: Vec<_> = replaced_by
            .iter()
            .map(|one| place(&one.revision.unified_address_number, &one.revision.record_key))
            .collect();
        let keep = Statement::about(self.municipality.as_str(), KEEP_FORMER)
            .text(first.revision.dataset.as_str())
            .texts(places.iter().map(String::as_str))
            .integer(first.sequence);
        self.transaction.execute(&keep).await
    }

    /// Erases the former revisions of a person's records.
    pub(crate) async fn erase_history(&mut self, person: &UnifiedAddressNumber) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        let newest =
            self.transaction.fetch_all(&Statement::about(code, NEWEST_OF_PERSON).text(person.as_str())).await?;
        for row in newest {
            let mut from = Some(row.integer(0)?);
            while let Some(superseded_by) = from {
                let former = self
                    .transaction
                    .fetch_optional(&Statement::about(code, ERASE_FORMER).integer(superseded_by))
                    .await?;
                from = former.map(|row| row.integer(0)).transpose()?;
            }
        }
        Ok(())
    }
}

/// A revision and the change sequence that it took.
struct Former {
    sequence: u64,
    record: StoredRecord,
}

// === impl Former ===

impl Former {
    fn read(row: BatchRow<'_>) -> Result<Self, StoreError> {
        const TABLE: &str = "record_history";
        let corrupt = StoreError::corrupt(TABLE);
        Ok(Self {
            sequence: row.count(0, TABLE)?,
            record: StoredRecord {
                unified_address_number: person_of(row.text(1)?, TABLE)?,
                dataset: Dataset::parse(row.text(2)?).map_err(&corrupt)?,
                record_key: RecordKey::parse(row.text(3)?).map_err(&corrupt)?,
                revision: row.count(4, TABLE)?,
                deleted: row.integer(5)? != 0,
                sealed: row.bytes(6)?,
            },
        })
    }
}
