//! People, their numbers and their keys.

use std::collections::{HashMap, HashSet};

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use atena_policy::PersonalNumberPermit;
use atena_vault::WrappedKey;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::engine::{Batch, BatchRow, BatchSql, Insert, Row, Sql, Statement, batch, signed, sql};
use crate::error::StoreError;
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

/// A personal number to add, sealed.
pub struct NewPersonalNumber {
    /// Whose.
    pub unified_address_number: UnifiedAddressNumber,
    /// What it is found by.
    pub blind_index: [u8; 32],
    /// Version of the key that it was made with.
    pub index_version: u32,
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

const LINKS_BY_LOCAL: BatchSql = batch!(near "$3::text[]" select text "local_address_number", text "unified_address_number"; all " FROM link WHERE municipality_code = $1 AND system_id = $2 AND local_address_number" wanted "$3" done "");

const LINKS_BY_UNIFIED: BatchSql = batch!(near_unified "$3::text[]" select text "unified_address_number", text "local_address_number"; all " FROM link WHERE municipality_code = $1 AND system_id = $2 AND unified_address_number" wanted "$3" done "");

const PERSON_KEYS: BatchSql = batch!(near_unified "$2::text[]" select text "unified_address_number", text "kek_id", bytes "wrapped_key"; 
    all " FROM person_key WHERE municipality_code = $1 AND unified_address_number" wanted "$2" done "");

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
        self.engine.fetch_batch(&LINKS_BY_LOCAL, &by_local(self.code(), system, locals)).await?.into_map(link)
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
        self.engine
            .fetch_batch(&LINKS_BY_UNIFIED, &by_unified(self.code(), system, people))
            .await?
            .into_map(turned_link)
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
        self.person_key_rows(people).await?.into_map(keyed)
    }

    /// As [`Store::person_keys`], each to be read as [`keyed`].
    pub(crate) async fn person_key_rows(&self, people: &[UnifiedAddressNumber]) -> Result<Batch, StoreError> {
        self.engine.fetch_batch(&PERSON_KEYS, &keys_of(self.code(), people)).await
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
        const CURRENT: Sql = sql!(all "SELECT sequence, sealed FROM personal_number \
            WHERE municipality_code = $1 AND unified_address_number = $2 AND superseded_at = 0");
        let current = Statement::about(self.code(), CURRENT).text(person.as_str());
        let row = self.engine.fetch_optional(&current).await?;
        row.map(|row| Ok(StoredPersonalNumber { sequence: sequence(&row, 0)?, sealed: row.bytes(1)?.to_vec() }))
            .transpose()
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
        let links = by_local(self.municipality.as_str(), system, locals);
        self.transaction.fetch_batch(&LINKS_BY_LOCAL, &links).await?.into_map(link)
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
        let links = by_unified(self.municipality.as_str(), system, people);
        self.transaction.fetch_batch(&LINKS_BY_UNIFIED, &links).await?.into_map(turned_link)
    }

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

    /// The people who have, or had, these personal numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.by_index")]
    pub async fn people_by_index(
        &mut self,
        indices: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], UnifiedAddressNumber>, StoreError> {
        const BY_INDEX: BatchSql = batch!(each "$2::bytea[]" select bytes "blind_index", text "unified_address_number";
            all " FROM personal_number WHERE municipality_code = $1 AND blind_index" wanted_blob "$2" done "");
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
        const CURRENT: BatchSql = batch!(near_unified "$2::text[]" select text "unified_address_number", bytes "blind_index";
            all " FROM personal_number WHERE municipality_code = $1 AND superseded_at = 0 AND unified_address_number" wanted "$2" done "");
        let current = CURRENT.about(self.municipality.as_str()).texts(people.iter().map(UnifiedAddressNumber::as_str));
        self.transaction
            .fetch_batch(&CURRENT, &current)
            .await?
            .into_map(|row| Ok((person_of(row.text(0)?, "personal_number")?, row.bytes32(1, "personal_number")?)))
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
            let existing = self.people_among(&candidates).await?;
            issued.extend(candidates.into_iter().filter(|number| !existing.contains(number)));
        }
    }

    /// Passes over unified numbers and change sequences that may have been given in a time that was lost: they are never given again.
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

    /// Who has a number between the first and the last of these, which follow each other: migrated people, mostly nobody.
    async fn people_among(
        &mut self,
        numbers: &[UnifiedAddressNumber],
    ) -> Result<HashSet<UnifiedAddressNumber>, StoreError> {
        const AMONG: BatchSql = batch!(select text "unified_address_number"; all " FROM person \
            WHERE municipality_code = $1 AND unified_address_number >= $2 AND unified_address_number <= $3");
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Ok(HashSet::new()) };
        let among = AMONG.about(self.municipality.as_str()).text(first.as_str()).text(last.as_str());
        let found = self.transaction.fetch_batch(&AMONG, &among).await?;
        found.rows().map(|row| person_of(row.text(0)?, "person")).collect()
    }

    /// Which of these unified numbers somebody has.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person.existing")]
    pub async fn existing_people(
        &mut self,
        numbers: &[UnifiedAddressNumber],
    ) -> Result<HashSet<UnifiedAddressNumber>, StoreError> {
        const EXISTING: BatchSql = batch!(near_unified "$2::text[]" select text "unified_address_number"; all " FROM person \
            WHERE municipality_code = $1 AND unified_address_number" wanted "$2" done "");
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
        let numbers = || people.iter().map(|person| person.unified_address_number.as_str());
        let rows = Insert::into("person", self.municipality.as_str(), people.len())
            .texts("unified_address_number", numbers())
            .integers("migrated", people.iter().map(|person| person.migrated.into()))
            .integers("created_at", people.iter().map(|person| person.created_at.as_microsecond()));
        self.transaction.insert(&rows).await?;
        let keys = Insert::into("person_key", self.municipality.as_str(), people.len())
            .texts("unified_address_number", numbers())
            .texts("kek_id", people.iter().map(|person| person.wrapped_key.kek_id.as_str()))
            .bytes("wrapped_key", people.iter().map(|person| person.wrapped_key.bytes.as_ref()));
        self.transaction.insert(&keys).await
    }

    /// Adds personal numbers.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when a number is, or was, somebody's already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.insert")]
    pub async fn insert_personal_numbers(&mut self, numbers: &[NewPersonalNumber]) -> Result<(), StoreError> {
        let rows = Insert::into("personal_number", self.municipality.as_str(), numbers.len())
            .texts("unified_address_number", numbers.iter().map(|number| number.unified_address_number.as_str()))
            .integers("sequence", numbers.iter().map(|number| number.sequence.into()))
            .integers("index_version", numbers.iter().map(|number| number.index_version.into()))
            .bytes("blind_index", numbers.iter().map(|number| number.blind_index.as_slice()))
            .bytes("sealed", numbers.iter().map(|number| number.sealed.as_slice()))
            .maybe_texts(
                "effective_date",
                numbers.iter().map(|number| number.effective_date.map(|day| day.to_string())),
            );
        self.transaction.insert(&rows).await
    }

    /// The sequence of a person's next personal number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_number_sequence(&mut self, person: &UnifiedAddressNumber) -> Result<u32, StoreError> {
        const NEXT: Sql = sql!(all "SELECT coalesce(max(sequence), 0) + 1 FROM personal_number \
            WHERE municipality_code = $1 AND unified_address_number = $2");
        let next = Statement::about(self.municipality.as_str(), NEXT).text(person.as_str());
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
        const SUPERSEDE: Sql = sql!(all "UPDATE personal_number SET superseded_at = $3 \
            WHERE municipality_code = $1 AND unified_address_number = $2 AND superseded_at = 0");
        // 0 stands for "not superseded".
        let at = at.as_microsecond().max(1);
        let supersede = Statement::about(self.municipality.as_str(), SUPERSEDE).text(person.as_str()).integer(at);
        self.transaction.execute(&supersede).await
    }

    /// Makes a person's former number the current one again, and forgets the numbers that came
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
        const FORMER: Sql = sql!(all "SELECT sequence FROM personal_number \
            WHERE municipality_code = $1 AND unified_address_number = $2 AND blind_index = $3");
        const FORGET: Sql = sql!(all "DELETE FROM personal_number \
            WHERE municipality_code = $1 AND unified_address_number = $2 AND sequence > $3");
        const RESTORE: Sql = sql!(all "UPDATE personal_number SET superseded_at = 0 \
            WHERE municipality_code = $1 AND unified_address_number = $2 AND sequence = $3");
        let code = self.municipality.as_str();
        let former = Statement::about(code, FORMER).text(person.as_str()).bytes(former);
        let former = sequence(&self.transaction.fetch_one(&former).await?, 0)?;
        // The numbers after it go first: a person has one current number.
        let forget = Statement::about(code, FORGET).text(person.as_str()).integer(former.into());
        self.transaction.execute(&forget).await?;
        let restore = Statement::about(code, RESTORE).text(person.as_str()).integer(former.into());
        self.transaction.execute(&restore).await
    }

    /// Adds links; each takes a change sequence.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when the local number or the person is linked in that system already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.insert")]
    pub async fn insert_links(&mut self, links: &[NewLink]) -> Result<(), StoreError> {
        if links.is_empty() {
            return Ok(());
        }
        let first = self.take_change_sequences(links.len()).await?;
        let rows = Insert::into("link", self.municipality.as_str(), links.len())
            .texts("system_id", links.iter().map(|link| link.system_id.as_str()))
            .texts("local_address_number", links.iter().map(|link| link.local_address_number.as_str()))
            .texts("unified_address_number", links.iter().map(|link| link.unified_address_number.as_str()))
            .integers("change_sequence", (first..).take(links.len()));
        self.transaction.insert(&rows).await?;
        let last = first - 1 + signed(links.len() as u64);
        let linked: Vec<_> = links.iter().map(|link| (&link.system_id, &link.unified_address_number)).collect();
        self.note_links(last, &linked).await
    }

    async fn take_bodies(&mut self, count: usize) -> Result<std::ops::Range<u64>, StoreError> {
        const TAKE: Sql = sql!(all "INSERT INTO number_sequence (municipality_code, next_body) VALUES ($1, 1 + CAST($2 AS bigint)) \
            ON CONFLICT (municipality_code) DO UPDATE SET next_body = number_sequence.next_body + excluded.next_body - 1 \
            RETURNING next_body");
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let take = Statement::about(self.municipality.as_str(), TAKE).integer(signed(count));
        let next = self.transaction.fetch_one(&take).await?.integer(0)?;
        let next = u64::try_from(next).map_err(|_| StoreError::NumbersExhausted)?;
        Ok(next - count..next)
    }
}

fn by_local<'q>(code: &'q str, system: &'q SystemId, locals: &'q [LocalAddressNumber]) -> Statement<'q> {
    LINKS_BY_LOCAL.about(code).text(system.as_str()).texts(locals.iter().map(LocalAddressNumber::as_str))
}

fn by_unified<'q>(code: &'q str, system: &'q SystemId, people: &'q [UnifiedAddressNumber]) -> Statement<'q> {
    LINKS_BY_UNIFIED.about(code).text(system.as_str()).texts(people.iter().map(UnifiedAddressNumber::as_str))
}

/// A person and their local number.
fn turned_link(row: BatchRow<'_>) -> Result<(UnifiedAddressNumber, LocalAddressNumber), StoreError> {
    let local = LocalAddressNumber::parse(row.text(1)?).map_err(StoreError::corrupt("link"))?;
    Ok((person_of(row.text(0)?, "link")?, local))
}

fn keys_of<'q>(code: &'q str, people: &'q [UnifiedAddressNumber]) -> Statement<'q> {
    PERSON_KEYS.about(code).texts(people.iter().map(UnifiedAddressNumber::as_str))
}

/// A local number and the person behind it.
pub(crate) fn link(row: BatchRow<'_>) -> Result<(LocalAddressNumber, UnifiedAddressNumber), StoreError> {
    let local = LocalAddressNumber::parse(row.text(0)?).map_err(StoreError::corrupt("link"))?;
    Ok((local, person_of(row.text(1)?, "link")?))
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

pub(crate) fn sequence(row: &Row, index: usize) -> Result<u32, StoreError> {
    u32::try_from(row.integer(index)?).map_err(|_| StoreError::Corrupt { table: "personal_number" })
}

/// A column with a unified number.
pub(crate) fn person_in(row: &Row, index: usize, table: &'static str) -> Result<UnifiedAddressNumber, StoreError> {
    person_of(row.text(index)?, table)
}

/// A unified number as a table has it.
pub(crate) fn person_of(text: &str, table: &'static str) -> Result<UnifiedAddressNumber, StoreError> {
    UnifiedAddressNumber::parse_migrated(text).map_err(StoreError::corrupt(table))
}
