//! People, their numbers and their keys.

use std::collections::HashMap;

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use atena_policy::PersonalNumberPermit;
use atena_vault::WrappedKey;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::{QueryBuilder, Row, SqliteConnection};

use crate::error::StoreError;
use crate::rows::{BINDS_MAX, LIST_MAX, bytes32, into_map, push_list, text};
use crate::store::Store;
use crate::write::WriteTransaction;

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

/// A personal number to add, sealed.
pub struct NewPersonalNumber {
    /// Whose.
    pub unified_address_number: UnifiedAddressNumber,
    /// What it is found by.
    pub blind_index: [u8; 32],
    /// The person's how-manieth, from 1.
    pub sequence: u32,
    /// The number, sealed.
    pub sealed: Vec<u8>,
    /// 変更年月日, for a replacement.
    pub effective_date: Option<Date>,
}

/// A link to add.
pub struct NewLink {
    /// The system.
    pub system_id: SystemId,
    /// Its number of the person.
    pub local_address_number: LocalAddressNumber,
    /// The person.
    pub unified_address_number: UnifiedAddressNumber,
}

/// A sealed personal number.
pub struct StoredPersonalNumber {
    /// The person's how-manieth, from 1.
    pub sequence: u32,
    /// The number, sealed.
    pub sealed: Vec<u8>,
}

// === impl Store ===

impl Store {
    /// The people behind a system's own local numbers; those not linked are not in the answer.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.by_local")]
    pub async fn links_by_local(
        &self,
        system: &SystemId,
        locals: &[LocalAddressNumber],
    ) -> Result<HashMap<LocalAddressNumber, UnifiedAddressNumber>, StoreError> {
        links_by_local(&mut *self.readers.acquire().await?, self.code(), system, locals).await
    }

    /// A system's own local numbers of people.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.by_unified")]
    pub async fn links_by_unified(
        &self,
        system: &SystemId,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, LocalAddressNumber>, StoreError> {
        links_by_unified(&mut *self.readers.acquire().await?, self.code(), system, people).await
    }

    /// The people of a system in the order of its local numbers, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.after")]
    pub async fn linked_people_after(
        &self,
        system: &SystemId,
        after: Option<&LocalAddressNumber>,
        limit: u32,
    ) -> Result<Vec<(LocalAddressNumber, UnifiedAddressNumber)>, StoreError> {
        const QUERY: &str = "SELECT local_address_number, unified_address_number FROM link \
            WHERE municipality_code = ? AND system_id = ? AND local_address_number > ? \
            ORDER BY local_address_number LIMIT ?";
        let rows = sqlx::query(QUERY)
            .bind(self.code())
            .bind(system.as_str())
            .bind(after.map_or("", LocalAddressNumber::as_str))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let corrupt = StoreError::corrupt("link");
                let local = LocalAddressNumber::parse(text(row, 0)?).map_err(&corrupt)?;
                Ok((local, UnifiedAddressNumber::parse_migrated(text(row, 1)?).map_err(&corrupt)?))
            })
            .collect()
    }

    /// The wrapped data keys of people.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_key.list")]
    pub async fn person_keys(
        &self,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, WrappedKey>, StoreError> {
        person_keys(&mut *self.readers.acquire().await?, self.code(), people).await
    }

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
        const QUERY: &str = "SELECT sequence, sealed FROM personal_number \
            WHERE municipality_code = ? AND unified_address_number = ? AND superseded_at IS NULL";
        let row = sqlx::query(QUERY).bind(self.code()).bind(person.as_str()).fetch_optional(&self.readers).await?;
        row.map(|row| Ok(StoredPersonalNumber { sequence: row.try_get(0)?, sealed: row.try_get(1)? })).transpose()
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// As [`Store::links_by_local`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn links_by_local(
        &mut self,
        system: &SystemId,
        locals: &[LocalAddressNumber],
    ) -> Result<HashMap<LocalAddressNumber, UnifiedAddressNumber>, StoreError> {
        links_by_local(&mut self.transaction, self.municipality.as_str(), system, locals).await
    }

    /// As [`Store::links_by_unified`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn links_by_unified(
        &mut self,
        system: &SystemId,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, LocalAddressNumber>, StoreError> {
        links_by_unified(&mut self.transaction, self.municipality.as_str(), system, people).await
    }

    /// As [`Store::person_keys`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn person_keys(
        &mut self,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, WrappedKey>, StoreError> {
        person_keys(&mut self.transaction, self.municipality.as_str(), people).await
    }

    /// The people who have, or had, these personal numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.by_index")]
    pub async fn people_by_index(
        &mut self,
        indices: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], UnifiedAddressNumber>, StoreError> {
        let mut found = HashMap::new();
        for indices in indices.chunks(LIST_MAX) {
            let mut query = QueryBuilder::new(
                "SELECT blind_index, unified_address_number FROM personal_number WHERE municipality_code = ",
            );
            query.push_bind(self.municipality.as_str()).push(" AND blind_index IN (");
            let mut list = query.separated(", ");
            for index in indices {
                list.push_bind(index.as_slice());
            }
            query.push(")");
            let rows = query.build().fetch_all(&mut *self.transaction).await?;
            into_map(rows, &mut found, |row| {
                let person = UnifiedAddressNumber::parse_migrated(text(row, 1)?);
                Ok((bytes32(row, 0, "personal_number")?, person.map_err(StoreError::corrupt("personal_number"))?))
            })?;
        }
        Ok(found)
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
        let mut found = HashMap::new();
        for people in people.chunks(LIST_MAX) {
            let mut query = QueryBuilder::new(
                "SELECT unified_address_number, blind_index FROM personal_number WHERE superseded_at IS NULL AND municipality_code = ",
            );
            query.push_bind(self.municipality.as_str()).push(" AND unified_address_number");
            push_list(&mut query, people.iter().map(UnifiedAddressNumber::as_str));
            let rows = query.build().fetch_all(&mut *self.transaction).await?;
            into_map(rows, &mut found, |row| {
                let person = UnifiedAddressNumber::parse_migrated(text(row, 0)?);
                Ok((person.map_err(StoreError::corrupt("personal_number"))?, bytes32(row, 1, "personal_number")?))
            })?;
        }
        Ok(found)
    }

    /// Issues unified numbers: sequential, never twice, passing over every number that somebody has by migration.
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
            let existing = self.existing_people(&candidates).await?;
            issued.extend(candidates.into_iter().filter(|number| !existing.contains_key(number)));
        }
    }

    /// Whether somebody has this unified number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unified_number_exists(&mut self, number: &UnifiedAddressNumber) -> Result<bool, StoreError> {
        Ok(!self.existing_people(std::slice::from_ref(number)).await?.is_empty())
    }

    /// Adds people with their keys.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when a number exists already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.person.insert")]
    pub async fn insert_people(&mut self, people: &[NewPerson]) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        for people in people.chunks(BINDS_MAX / 4) {
            let mut query = QueryBuilder::new(
                "INSERT INTO person (municipality_code, unified_address_number, migrated, created_at) ",
            );
            query.push_values(people, |mut row, person| {
                row.push_bind(code)
                    .push_bind(person.unified_address_number.as_str())
                    .push_bind(person.migrated)
                    .push_bind(person.created_at.as_microsecond());
            });
            query.build().execute(&mut *self.transaction).await?;
            let mut query = QueryBuilder::new(
                "INSERT INTO person_key (municipality_code, unified_address_number, kek_id, wrapped_key) ",
            );
            query.push_values(people, |mut row, person| {
                row.push_bind(code)
                    .push_bind(person.unified_address_number.as_str())
                    .push_bind(&person.wrapped_key.kek_id)
                    .push_bind(&person.wrapped_key.bytes);
            });
            query.build().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// Adds personal numbers.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when a number is, or was, somebody's already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.insert")]
    pub async fn insert_personal_numbers(&mut self, numbers: &[NewPersonalNumber]) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        for numbers in numbers.chunks(BINDS_MAX / 6) {
            let mut query = QueryBuilder::new(
                "INSERT INTO personal_number \
                 (municipality_code, unified_address_number, sequence, blind_index, sealed, effective_date) ",
            );
            query.push_values(numbers, |mut row, number| {
                row.push_bind(code)
                    .push_bind(number.unified_address_number.as_str())
                    .push_bind(number.sequence)
                    .push_bind(number.blind_index.as_slice())
                    .push_bind(&number.sealed)
                    .push_bind(number.effective_date.map(|day| day.to_string()));
            });
            query.build().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    /// The sequence of a person's next personal number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_number_sequence(&mut self, person: &UnifiedAddressNumber) -> Result<u32, StoreError> {
        const QUERY: &str = "SELECT coalesce(max(sequence), 0) + 1 FROM personal_number \
            WHERE municipality_code = ? AND unified_address_number = ?";
        Ok(sqlx::query_scalar(QUERY)
            .bind(self.municipality.as_str())
            .bind(person.as_str())
            .fetch_one(&mut *self.transaction)
            .await?)
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
        const UPDATE: &str = "UPDATE personal_number SET superseded_at = ? \
            WHERE municipality_code = ? AND unified_address_number = ? AND superseded_at IS NULL";
        sqlx::query(UPDATE)
            .bind(at.as_microsecond())
            .bind(self.municipality.as_str())
            .bind(person.as_str())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Adds links; each takes a change sequence.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when the local number or the person is linked in that system already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.insert")]
    pub async fn insert_links(&mut self, links: &[NewLink]) -> Result<(), StoreError> {
        let mut sequence = self.take_change_sequences(links.len()).await?;
        let code = self.municipality.as_str();
        for links in links.chunks(BINDS_MAX / 5) {
            let mut query = QueryBuilder::new(
                "INSERT INTO link \
                 (municipality_code, system_id, local_address_number, unified_address_number, change_sequence) ",
            );
            query.push_values(links, |mut row, link| {
                row.push_bind(code)
                    .push_bind(link.system_id.as_str())
                    .push_bind(link.local_address_number.as_str())
                    .push_bind(link.unified_address_number.as_str())
                    .push_bind(sequence);
                sequence += 1;
            });
            query.build().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    async fn take_bodies(&mut self, count: usize) -> Result<std::ops::Range<u64>, StoreError> {
        const TAKE: &str = "INSERT INTO number_sequence (municipality_code, next_body) VALUES (?, 1 + ?) \
            ON CONFLICT (municipality_code) DO UPDATE SET next_body = next_body + excluded.next_body - 1 \
            RETURNING next_body";
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let next: i64 = sqlx::query_scalar(TAKE)
            .bind(self.municipality.as_str())
            .bind(crate::rows::signed(count))
            .fetch_one(&mut *self.transaction)
            .await?;
        let next = u64::try_from(next).map_err(|_| StoreError::NumbersExhausted)?;
        Ok(next - count..next)
    }

    async fn existing_people(
        &mut self,
        numbers: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, ()>, StoreError> {
        let mut found = HashMap::new();
        for numbers in numbers.chunks(LIST_MAX) {
            let mut query = QueryBuilder::new("SELECT unified_address_number FROM person WHERE municipality_code = ");
            query.push_bind(self.municipality.as_str()).push(" AND unified_address_number");
            push_list(&mut query, numbers.iter().map(UnifiedAddressNumber::as_str));
            let rows = query.build().fetch_all(&mut *self.transaction).await?;
            into_map(rows, &mut found, |row| {
                Ok((UnifiedAddressNumber::parse_migrated(text(row, 0)?).map_err(StoreError::corrupt("person"))?, ()))
            })?;
        }
        Ok(found)
    }
}

async fn links_by_local(
    connection: &mut SqliteConnection,
    code: &str,
    system: &SystemId,
    locals: &[LocalAddressNumber],
) -> Result<HashMap<LocalAddressNumber, UnifiedAddressNumber>, StoreError> {
    let mut found = HashMap::with_capacity(locals.len());
    for locals in locals.chunks(LIST_MAX) {
        let mut query = QueryBuilder::new(
            "SELECT local_address_number, unified_address_number FROM link WHERE municipality_code = ",
        );
        query.push_bind(code).push(" AND system_id = ").push_bind(system.as_str()).push(" AND local_address_number");
        push_list(&mut query, locals.iter().map(LocalAddressNumber::as_str));
        into_map(query.build().fetch_all(&mut *connection).await?, &mut found, |row| {
            let corrupt = StoreError::corrupt("link");
            let local = LocalAddressNumber::parse(text(row, 0)?).map_err(&corrupt)?;
            Ok((local, UnifiedAddressNumber::parse_migrated(text(row, 1)?).map_err(&corrupt)?))
        })?;
    }
    Ok(found)
}

async fn links_by_unified(
    connection: &mut SqliteConnection,
    code: &str,
    system: &SystemId,
    people: &[UnifiedAddressNumber],
) -> Result<HashMap<UnifiedAddressNumber, LocalAddressNumber>, StoreError> {
    let mut found = HashMap::with_capacity(people.len());
    for people in people.chunks(LIST_MAX) {
        let mut query = QueryBuilder::new(
            "SELECT unified_address_number, local_address_number FROM link WHERE municipality_code = ",
        );
        query.push_bind(code).push(" AND system_id = ").push_bind(system.as_str()).push(" AND unified_address_number");
        push_list(&mut query, people.iter().map(UnifiedAddressNumber::as_str));
        into_map(query.build().fetch_all(&mut *connection).await?, &mut found, |row| {
            let corrupt = StoreError::corrupt("link");
            let person = UnifiedAddressNumber::parse_migrated(text(row, 0)?).map_err(&corrupt)?;
            Ok((person, LocalAddressNumber::parse(text(row, 1)?).map_err(&corrupt)?))
        })?;
    }
    Ok(found)
}

async fn person_keys(
    connection: &mut SqliteConnection,
    code: &str,
    people: &[UnifiedAddressNumber],
) -> Result<HashMap<UnifiedAddressNumber, WrappedKey>, StoreError> {
    let mut found = HashMap::with_capacity(people.len());
    for people in people.chunks(LIST_MAX) {
        let mut query = QueryBuilder::new(
            "SELECT unified_address_number, kek_id, wrapped_key FROM person_key WHERE municipality_code = ",
        );
        query.push_bind(code).push(" AND unified_address_number");
        push_list(&mut query, people.iter().map(UnifiedAddressNumber::as_str));
        into_map(query.build().fetch_all(&mut *connection).await?, &mut found, |row| {
            let person = UnifiedAddressNumber::parse_migrated(text(row, 0)?);
            let key = WrappedKey { kek_id: row.try_get(1)?, bytes: row.try_get(2)? };
            Ok((person.map_err(StoreError::corrupt("person_key"))?, key))
        })?;
    }
    Ok(found)
}
