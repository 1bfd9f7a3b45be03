//! Personal numbers (個人番号): sealed, found by a blind index.

use std::collections::HashMap;

use atena_domain::UnifiedAddressNumber;
use atena_policy::PersonalNumberPermit;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::engine::{BatchSql, Insert, Kind, List, ListOf, Row, Spacing, Sql, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::people::person_of;
use crate::store::Store;
use crate::write::WriteTransaction;

/// A personal number to add, sealed.
pub struct NewPersonalNumber {
    /// The person.
    pub unified_address_number: UnifiedAddressNumber,
    /// What it is found by.
    pub blind_index: [u8; 32],
    /// Version of the key that it was made with.
    pub index_version: u32,
    /// Ordinal among this person's numbers, from 1.
    pub sequence: u32,
    /// The number, sealed.
    pub sealed: Vec<u8>,
    /// 変更年月日, for a replacement.
    pub effective_date: Option<Date>,
}

/// A sealed personal number.
pub struct StoredPersonalNumber {
    /// Ordinal among this person's numbers, from 1.
    pub sequence: u32,
    /// The number, sealed.
    pub sealed: Vec<u8>,
}

const CURRENT: Sql = Sql::same(
    "SELECT sequence, sealed FROM personal_number
    WHERE municipality_code = $1 AND unified_address_number = $2 AND superseded_at = 0",
);

static BY_INDEX: BatchSql = BatchSql::of_list(
    &[("blind_index", Kind::Bytes), ("unified_address_number", Kind::Text)],
    Sql::same("FROM personal_number WHERE municipality_code = $1 AND blind_index = ANY($2)"),
    List::new(ListOf::Blobs, "$2"),
);

static CURRENT_INDEX: BatchSql = BatchSql::of_list(
    &[("unified_address_number", Kind::Text), ("blind_index", Kind::Bytes)],
    Sql::same(
        "FROM personal_number
        WHERE municipality_code = $1 AND superseded_at = 0 AND unified_address_number = ANY($2)",
    ),
    List::range_read(Spacing::CheckDigit, "$2"),
);

const NEXT_SEQUENCE: Sql = Sql::same(
    "SELECT coalesce(max(sequence), 0) + 1 FROM personal_number
    WHERE municipality_code = $1 AND unified_address_number = $2",
);

const SUPERSEDE: Sql = Sql::same(
    "UPDATE personal_number SET superseded_at = $3
    WHERE municipality_code = $1 AND unified_address_number = $2 AND superseded_at = 0",
);

const FORMER: Sql = Sql::same(
    "SELECT sequence FROM personal_number
    WHERE municipality_code = $1 AND unified_address_number = $2 AND blind_index = $3",
);

const FORGET_LATER: Sql = Sql::same(
    "DELETE FROM personal_number
    WHERE municipality_code = $1 AND unified_address_number = $2 AND sequence > $3",
);

const RESTORE: Sql = Sql::same(
    "UPDATE personal_number SET superseded_at = 0
    WHERE municipality_code = $1 AND unified_address_number = $2 AND sequence = $3",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.personal_number.current", Listed::Sql(CURRENT)),
    ("db.personal_number.by_index", Listed::Batch(&BY_INDEX)),
    ("db.personal_number.current_index", Listed::Batch(&CURRENT_INDEX)),
    ("db.personal_number.next_sequence", Listed::Sql(NEXT_SEQUENCE)),
    ("db.personal_number.supersede", Listed::Sql(SUPERSEDE)),
    ("db.personal_number.take_back: former", Listed::Sql(FORMER)),
    ("db.personal_number.take_back: later ones", Listed::Sql(FORGET_LATER)),
    ("db.personal_number.take_back", Listed::Sql(RESTORE)),
    ("db.personal_number.insert", Listed::Insert(|| number_rows("", &[]))),
];

// === impl Store ===

impl Store {
    /// A person's current personal number, sealed; for a caller that the policy allows to use it.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.current")]
    pub async fn sealed_personal_number(
        &self,
        _permit: &PersonalNumberPermit,
        person: &UnifiedAddressNumber,
    ) -> Result<Option<StoredPersonalNumber>, StoreError> {
        let current = Statement::about(self.code(), CURRENT).text(person.as_str());
        let row = self.engine.fetch_optional(&current).await?;
        row.map(|row| Ok(StoredPersonalNumber { sequence: sequence(&row, 0)?, sealed: row.bytes(1)?.to_vec() }))
            .transpose()
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// The people who have, or had, these personal numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.by_index")]
    pub async fn people_by_index(
        &mut self,
        indices: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], UnifiedAddressNumber>, StoreError> {
        let people = BY_INDEX.about(self.municipality.as_str()).blobs(indices.iter().map(<[u8; 32]>::as_slice));
        self.transaction
            .fetch_batch(&BY_INDEX, &people)
            .await?
            .into_map(|row| Ok((row.bytes32(0, "personal_number")?, person_of(row.text(1)?, "personal_number")?)))
    }

    /// The blind indices of the current personal numbers of people who have one.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.current_index")]
    pub async fn current_number_index(
        &mut self,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, [u8; 32]>, StoreError> {
        let current =
            CURRENT_INDEX.about(self.municipality.as_str()).texts(people.iter().map(UnifiedAddressNumber::as_str));
        self.transaction
            .fetch_batch(&CURRENT_INDEX, &current)
            .await?
            .into_map(|row| Ok((person_of(row.text(0)?, "personal_number")?, row.bytes32(1, "personal_number")?)))
    }

    /// Adds personal numbers.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when a person has or had one of the numbers already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.insert")]
    pub async fn insert_personal_numbers(&mut self, numbers: &[NewPersonalNumber]) -> Result<(), StoreError> {
        self.transaction.insert(&number_rows(self.municipality.as_str(), numbers)).await
    }

    /// The sequence of a person's next personal number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_number_sequence(&mut self, person: &UnifiedAddressNumber) -> Result<u32, StoreError> {
        let next = Statement::about(self.municipality.as_str(), NEXT_SEQUENCE).text(person.as_str());
        sequence(&self.transaction.fetch_one(&next).await?, 0)
    }

    /// Makes a person's current personal number a former one.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.supersede")]
    pub async fn supersede_personal_number(
        &mut self,
        person: &UnifiedAddressNumber,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        // 0 stands for "not superseded".
        let at = at.as_microsecond().max(1);
        let supersede = Statement::about(self.municipality.as_str(), SUPERSEDE).text(person.as_str()).integer(at);
        self.transaction.execute(&supersede).await
    }

    /// Makes a person's former number the current one again, and deletes the numbers that came
    /// after it.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.take_back")]
    pub async fn take_back_personal_numbers(
        &mut self,
        person: &UnifiedAddressNumber,
        former: &[u8; 32],
    ) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        let former = Statement::about(code, FORMER).text(person.as_str()).bytes(former);
        let former = sequence(&self.transaction.fetch_one(&former).await?, 0)?;
        // The numbers after it go first: a person has one current number.
        let forget = Statement::about(code, FORGET_LATER).text(person.as_str()).integer(former.into());
        self.transaction.execute(&forget).await?;
        let restore = Statement::about(code, RESTORE).text(person.as_str()).integer(former.into());
        self.transaction.execute(&restore).await
    }
}

fn number_rows<'q>(code: &'q str, numbers: &'q [NewPersonalNumber]) -> Insert<'q> {
    Insert::into("personal_number", code, numbers.len())
        .texts("unified_address_number", numbers.iter().map(|number| number.unified_address_number.as_str()))
        .integers("sequence", numbers.iter().map(|number| number.sequence.into()))
        .integers("index_version", numbers.iter().map(|number| number.index_version.into()))
        .bytes("blind_index", numbers.iter().map(|number| number.blind_index.as_slice()))
        .bytes("sealed", numbers.iter().map(|number| number.sealed.as_slice()))
        .maybe_texts("effective_date", numbers.iter().map(|number| number.effective_date.map(|day| day.to_string())))
}

pub(crate) fn sequence(row: &Row, index: usize) -> Result<u32, StoreError> {
    u32::try_from(row.integer(index)?).map_err(|_| StoreError::Corrupt { table: "personal_number" })
}
