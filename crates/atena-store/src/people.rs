//! People, their unified numbers and their keys.

use std::collections::{HashMap, HashSet};

use atena_domain::UnifiedAddressNumber;
use atena_vault::WrappedKey;
use jiff::Timestamp;

use crate::engine::{Batch, BatchRow, BatchSql, Insert, Kind, List, Row, Spacing, Sql, Statement, signed};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::store::Store;
use crate::write::WriteTransaction;
use bytes::Bytes;

/// A person to add.
pub struct NewPerson {
    /// 団体内統合宛名番号, issued or migrated.
    pub unified_address_number: UnifiedAddressNumber,
    /// The person's data key.
    pub wrapped_key: WrappedKey,
    /// Whether the number came in by migration.
    pub migrated: bool,
    /// When.
    pub created_at: Timestamp,
}

static PERSON_KEYS: BatchSql = BatchSql::of_list(
    &[("unified_address_number", Kind::Text), ("kek_id", Kind::Text), ("wrapped_key", Kind::Bytes)],
    Sql::same(
        "FROM person_key
        WHERE municipality_code = $1 AND unified_address_number = ANY($2)",
    ),
    List::range_read(Spacing::CheckDigit, "$2"),
);

static BETWEEN: BatchSql = BatchSql::all(
    &[("unified_address_number", Kind::Text)],
    Sql::same(
        "FROM person
        WHERE municipality_code = $1 AND unified_address_number >= $2
            AND unified_address_number <= $3",
    ),
);

static EXISTING: BatchSql = BatchSql::of_list(
    &[("unified_address_number", Kind::Text)],
    Sql::same("FROM person WHERE municipality_code = $1 AND unified_address_number = ANY($2)"),
    List::range_read(Spacing::CheckDigit, "$2"),
);

const TAKE_BODIES: Sql = Sql::same(
    "INSERT INTO number_sequence (municipality_code, next_body)
    VALUES ($1, 1 + CAST($2 AS bigint))
    ON CONFLICT (municipality_code)
        DO UPDATE SET next_body = number_sequence.next_body + excluded.next_body - 1
    RETURNING next_body",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.person_key.list", Listed::Batch(&PERSON_KEYS)),
    ("db.number_sequence.issue: people between", Listed::Batch(&BETWEEN)),
    ("db.person.existing", Listed::Batch(&EXISTING)),
    ("db.number_sequence.issue", Listed::Sql(TAKE_BODIES)),
    ("db.person.insert", Listed::Insert(|| person_rows("", &[]))),
    ("db.person.insert: keys", Listed::Insert(|| key_rows("", &[]))),
];

// === impl Store ===

impl Store {
    /// The wrapped data keys of people.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_key.list")]
    pub async fn person_keys(
        &self,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, WrappedKey>, StoreError> {
        self.person_key_rows(people).await?.into_map(keyed)
    }

    /// As [`Store::person_keys`], each to be read as [`keyed`].
    pub(crate) async fn person_key_rows(&self, people: &[UnifiedAddressNumber]) -> Result<Batch, StoreError> {
        self.engine.fetch_batch(&PERSON_KEYS, &keys_of(self.code(), people)).await
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// As [`Store::person_keys`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn person_keys(
        &mut self,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, WrappedKey>, StoreError> {
        let keys = keys_of(self.municipality.as_str(), people);
        self.transaction.fetch_batch(&PERSON_KEYS, &keys).await?.into_map(keyed)
    }

    /// Issues unified numbers: sequential, never twice, and none that a person has by migration.
    ///
    /// # Errors
    /// [`StoreError::NumbersExhausted`] when the 14 digits are used up.
    #[tracing::instrument(level = "debug", skip(self), name = "db.number_sequence.issue")]
    pub async fn issue_unified_numbers(&mut self, count: u32) -> Result<Vec<UnifiedAddressNumber>, StoreError> {
        let mut issued = Vec::new();
        loop {
            let missing = usize::try_from(count).unwrap_or(usize::MAX) - issued.len();
            if missing == 0 {
                return Ok(issued);
            }
            let taken = self.take_bodies(missing).await?;
            let candidates = taken
                .map(UnifiedAddressNumber::from_body)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| StoreError::NumbersExhausted)?;
            let existing = self.people_among(&candidates).await?;
            issued.extend(candidates.into_iter().filter(|number| !existing.contains(number)));
        }
    }

    /// Skips unified numbers and change sequences, so that they are never given. A backup does not
    /// know which were given after it was made.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip(self), name = "db.number_sequence.pass_over")]
    pub async fn pass_over(&mut self, count: u64) -> Result<(), StoreError> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.take_bodies(count).await?;
        self.take_change_sequences(count).await?;
        Ok(())
    }

    /// Which numbers between the first and the last of these are taken. The numbers follow each
    /// other; only migration can have taken one.
    async fn people_among(
        &mut self,
        numbers: &[UnifiedAddressNumber],
    ) -> Result<HashSet<UnifiedAddressNumber>, StoreError> {
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Ok(HashSet::new()) };
        let among = BETWEEN.about(self.municipality.as_str()).text(first.as_str()).text(last.as_str());
        let found = self.transaction.fetch_batch(&BETWEEN, &among).await?;
        found.rows().map(|row| person_of(row.text(0)?, "person")).collect()
    }

    /// Which of these unified numbers are taken.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person.existing")]
    pub async fn existing_people(
        &mut self,
        numbers: &[UnifiedAddressNumber],
    ) -> Result<HashSet<UnifiedAddressNumber>, StoreError> {
        let existing =
            EXISTING.about(self.municipality.as_str()).texts(numbers.iter().map(UnifiedAddressNumber::as_str));
        let found = self.transaction.fetch_batch(&EXISTING, &existing).await?;
        found.rows().map(|row| person_of(row.text(0)?, "person")).collect()
    }

    /// Adds people with their keys.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when a number exists already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.person.insert")]
    pub async fn insert_people(&mut self, people: &[NewPerson]) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        self.transaction.insert(&person_rows(code, people)).await?;
        self.transaction.insert(&key_rows(code, people)).await
    }

    async fn take_bodies(&mut self, count: usize) -> Result<std::ops::Range<u64>, StoreError> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let take = Statement::about(self.municipality.as_str(), TAKE_BODIES).integer(signed(count));
        let next = self.transaction.fetch_one(&take).await?.integer(0)?;
        let next = u64::try_from(next).map_err(|_| StoreError::NumbersExhausted)?;
        Ok(next - count..next)
    }
}

fn person_rows<'q>(code: &'q str, people: &'q [NewPerson]) -> Insert<'q> {
    Insert::into("person", code, people.len())
        .texts("unified_address_number", people.iter().map(|person| person.unified_address_number.as_str()))
        .integers("migrated", people.iter().map(|person| person.migrated.into()))
        .integers("created_at", people.iter().map(|person| person.created_at.as_microsecond()))
}

fn key_rows<'q>(code: &'q str, people: &'q [NewPerson]) -> Insert<'q> {
    Insert::into("person_key", code, people.len())
        .texts("unified_address_number", people.iter().map(|person| person.unified_address_number.as_str()))
        .texts("kek_id", people.iter().map(|person| person.wrapped_key.kek_id.as_str()))
        .bytes("wrapped_key", people.iter().map(|person| person.wrapped_key.bytes.as_ref()))
}

fn keys_of<'q>(code: &'q str, people: &'q [UnifiedAddressNumber]) -> Statement<'q> {
    PERSON_KEYS.about(code).texts(people.iter().map(UnifiedAddressNumber::as_str))
}

/// A person and their key.
pub(crate) fn keyed(row: BatchRow<'_>) -> Result<(UnifiedAddressNumber, WrappedKey), StoreError> {
    let key = WrappedKey { kek_id: row.text(1)?.into(), bytes: row.bytes(2)? };
    Ok((person_of(row.text(0)?, "person_key")?, key))
}

pub(crate) fn wrapped_key(row: &Row) -> Result<(UnifiedAddressNumber, WrappedKey), StoreError> {
    let key = WrappedKey { kek_id: row.text(1)?.into(), bytes: Bytes::copy_from_slice(row.bytes(2)?) };
    Ok((person_in(row, 0, "person_key")?, key))
}

/// A column with a unified number.
pub(crate) fn person_in(row: &Row, index: usize, table: &'static str) -> Result<UnifiedAddressNumber, StoreError> {
    person_of(row.text(index)?, table)
}

/// A unified number as a table has it.
pub(crate) fn person_of(text: &str, table: &'static str) -> Result<UnifiedAddressNumber, StoreError> {
    UnifiedAddressNumber::parse_migrated(text).map_err(StoreError::corrupt(table))
}
