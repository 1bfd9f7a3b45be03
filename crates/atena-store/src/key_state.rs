//! Which keys are in use, and which rows are still under older ones.

use atena_domain::UnifiedAddressNumber;
use atena_vault::WrappedKey;

use crate::engine::{Row, Sql, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::people::{person_in, wrapped_key};
use crate::personal_numbers::sequence;
use crate::store::Store;
use crate::write::WriteTransaction;

/// The keys that rows are made with and looked up by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// Name of the key that wraps new data keys.
    pub wrapping_id: String,
    /// Versions of the blind index to ask for, oldest first; new ones are made with the last.
    pub index_versions: Vec<u32>,
}

/// A personal number whose index is of an older version.
pub struct OldIndex {
    /// The person.
    pub unified_address_number: UnifiedAddressNumber,
    /// Ordinal among the person's numbers.
    pub sequence: u32,
    /// The number, sealed.
    pub sealed: Vec<u8>,
    /// What it is found by now.
    pub blind_index: [u8; 32],
}

/// How many rows a key is used by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// Name of the wrapping key, or version of the blind index key.
    pub key: String,
    /// Rows.
    pub rows: u64,
}

const STATE: Sql = Sql::same("SELECT wrapping_id, index_versions FROM key_state WHERE municipality_code = $1");

const ENSURE: Sql = Sql::same(
    "INSERT INTO key_state (municipality_code, wrapping_id, index_versions)
    VALUES ($1, $2, $3)
    ON CONFLICT (municipality_code) DO NOTHING",
);

const KEY_USE: Sql = Sql::same(
    "SELECT kek_id, count(*) FROM person_key
    WHERE municipality_code = $1 GROUP BY kek_id ORDER BY kek_id",
);

const INDEX_USE: Sql = Sql::same(
    "SELECT index_version, count(*) FROM personal_number
    WHERE municipality_code = $1 GROUP BY index_version ORDER BY index_version",
);

const STATE_LOCKED: Sql = Sql::per_engine(
    "SELECT wrapping_id, index_versions FROM key_state WHERE municipality_code = $1",
    "SELECT wrapping_id, index_versions FROM key_state WHERE municipality_code = $1 FOR SHARE",
);

const SET: Sql = Sql::same(
    "INSERT INTO key_state (municipality_code, wrapping_id, index_versions)
    VALUES ($1, $2, $3)
    ON CONFLICT (municipality_code) DO UPDATE
        SET wrapping_id = excluded.wrapping_id, index_versions = excluded.index_versions",
);

const OLD_KEYS: Sql = Sql::same(
    "SELECT unified_address_number, kek_id, wrapped_key FROM person_key
    WHERE municipality_code = $1 AND kek_id <> $2 AND unified_address_number > $3
    ORDER BY unified_address_number LIMIT $4",
);

const REPLACE_KEY: Sql = Sql::same(
    "UPDATE person_key SET kek_id = $3, wrapped_key = $4
    WHERE municipality_code = $1 AND unified_address_number = $2",
);

const OLD_INDICES: Sql = Sql::same(
    "SELECT unified_address_number, sequence, sealed, blind_index FROM personal_number
    WHERE municipality_code = $1 AND index_version <> $2 AND blind_index > $3
    ORDER BY blind_index LIMIT $4",
);

const REPLACE_INDEX: Sql = Sql::same(
    "UPDATE personal_number SET blind_index = $3, index_version = $4
    WHERE municipality_code = $1 AND blind_index = $2",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.key_state.read", Listed::Sql(STATE)),
    ("db.key_state.ensure", Listed::Sql(ENSURE)),
    ("db.person_key.use", Listed::Sql(KEY_USE)),
    ("db.personal_number.use", Listed::Sql(INDEX_USE)),
    ("db.key_state.read: in a transaction", Listed::Sql(STATE_LOCKED)),
    ("db.key_state.set", Listed::Sql(SET)),
    ("db.person_key.old", Listed::Sql(OLD_KEYS)),
    ("db.person_key.replace", Listed::Sql(REPLACE_KEY)),
    ("db.personal_number.old", Listed::Sql(OLD_INDICES)),
    ("db.personal_number.replace_index", Listed::Sql(REPLACE_INDEX)),
];

// === impl KeyState ===

impl KeyState {
    /// The version that new indexes are made with.
    #[must_use]
    pub fn newest_index(&self) -> u32 {
        self.index_versions.last().copied().unwrap_or_default()
    }

    /// The versions as the table keeps them; [`state`] reads them.
    fn versions_text(&self) -> String {
        self.index_versions.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
    }
}

// === impl Store ===

impl Store {
    /// As [`WriteTransaction::key_state`], without a lock.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn key_state(&self) -> Result<Option<KeyState>, StoreError> {
        let row = self.engine.fetch_optional(&Statement::about(self.code(), STATE)).await?;
        row.map(|row| state(row.text(0)?, row.text(1)?)).transpose()
    }

    /// Records which keys are in use, unless the row exists. With that row, a rotation and
    /// transactions that write wait for each other.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ensure_key_state(&self, state: &KeyState) -> Result<(), StoreError> {
        if self.key_state().await?.is_some() {
            return Ok(());
        }
        let mut transaction = self.begin_write("ensure_key_state").await?;
        let versions = state.versions_text();
        let ensure = Statement::about(self.code(), ENSURE).text(&state.wrapping_id).text(&versions);
        transaction.transaction.execute(&ensure).await?;
        transaction.commit().await
    }

    /// How many people's keys each wrapping key wraps.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_key.use")]
    pub async fn wrapping_key_use(&self) -> Result<Vec<KeyUse>, StoreError> {
        let rows = self.engine.fetch_all(&Statement::about(self.code(), KEY_USE)).await?;
        rows.iter().map(|row| Ok(KeyUse { key: row.text(0)?.to_owned(), rows: row.count(1, "person_key")? })).collect()
    }

    /// How many personal numbers are indexed under each version.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.use")]
    pub async fn index_use(&self) -> Result<Vec<KeyUse>, StoreError> {
        let rows = self.engine.fetch_all(&Statement::about(self.code(), INDEX_USE)).await?;
        let read = |row: &Row| Ok(KeyUse { key: row.integer(0)?.to_string(), rows: row.count(1, "personal_number")? });
        rows.iter().map(read).collect()
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// The keys in use; `None` as long as none was ever rotated. They are locked until this
    /// transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.key_state.read")]
    pub async fn key_state(&mut self) -> Result<Option<KeyState>, StoreError> {
        let row = self.transaction.fetch_optional(&Statement::about(self.municipality.as_str(), STATE_LOCKED)).await?;
        row.map(|row| state(row.text(0)?, row.text(1)?)).transpose()
    }

    /// Records which keys are in use from here on.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.key_state.set")]
    pub async fn set_key_state(&mut self, state: &KeyState) -> Result<(), StoreError> {
        let versions = state.versions_text();
        let set = Statement::about(self.municipality.as_str(), SET).text(&state.wrapping_id).text(&versions);
        self.transaction.execute(&set).await
    }

    /// The first `count` people after `after` whose keys another wrapping key than `wrapping_id`
    /// wraps.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_key.old")]
    pub async fn keys_wrapped_otherwise(
        &mut self,
        wrapping_id: &str,
        after: &str,
        count: u32,
    ) -> Result<Vec<(UnifiedAddressNumber, WrappedKey)>, StoreError> {
        let old =
            Statement::about(self.municipality.as_str(), OLD_KEYS).text(wrapping_id).text(after).integer(count.into());
        self.transaction.fetch_all(&old).await?.iter().map(wrapped_key).collect()
    }

    /// Replaces a person's wrapped key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_person_key(
        &mut self,
        person: &UnifiedAddressNumber,
        wrapped: &WrappedKey,
    ) -> Result<(), StoreError> {
        let replace = Statement::about(self.municipality.as_str(), REPLACE_KEY)
            .text(person.as_str())
            .text(&wrapped.kek_id)
            .bytes(&wrapped.bytes);
        self.transaction.execute(&replace).await
    }

    /// The first `count` personal numbers after `after` that are indexed under another version than
    /// `version`.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.old")]
    pub async fn numbers_indexed_otherwise(
        &mut self,
        version: u32,
        after: &[u8],
        count: u32,
    ) -> Result<Vec<OldIndex>, StoreError> {
        let old = Statement::about(self.municipality.as_str(), OLD_INDICES)
            .integer(version.into())
            .bytes(after)
            .integer(count.into());
        let rows = self.transaction.fetch_all(&old).await?;
        let read = |row: &Row| {
            Ok(OldIndex {
                unified_address_number: person_in(row, 0, "personal_number")?,
                sequence: sequence(row, 1)?,
                sealed: row.bytes(2)?.to_vec(),
                blind_index: row.bytes32(3, "personal_number")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Replaces the index of a personal number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_index(&mut self, old: &[u8; 32], new: &[u8; 32], version: u32) -> Result<(), StoreError> {
        let replace =
            Statement::about(self.municipality.as_str(), REPLACE_INDEX).bytes(old).bytes(new).integer(version.into());
        self.transaction.execute(&replace).await
    }
}

fn state(wrapping_id: &str, index_versions: &str) -> Result<KeyState, StoreError> {
    let versions: Result<Vec<u32>, _> = index_versions.split(',').map(str::parse).collect();
    let index_versions = versions.map_err(|_| StoreError::Corrupt { table: "key_state" })?;
    Ok(KeyState { wrapping_id: wrapping_id.to_owned(), index_versions })
}
