//! Which keys are in use, and what is still under older ones.

use atena_domain::UnifiedAddressNumber;
use atena_vault::WrappedKey;

use crate::engine::{Sql, Statement, sql};
use crate::error::StoreError;
use crate::people::{person_in, sequence, wrapped_key};
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
    /// Whose.
    pub unified_address_number: UnifiedAddressNumber,
    /// The person's how-manieth.
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
    /// As [`WriteTransaction::key_state`], for whoever only looks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn key_state(&self) -> Result<Option<KeyState>, StoreError> {
        const STATE: Sql = sql!(all "SELECT wrapping_id, index_versions FROM key_state WHERE municipality_code = $1");
        let row = self.engine.fetch_optional(&Statement::about(self.code(), STATE)).await?;
        row.map(|row| state(row.text(0)?, row.text(1)?)).transpose()
    }

    /// Says which keys are in use, unless it is said already. From then on a rotation waits for those who write, and they for it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ensure_key_state(&self, state: &KeyState) -> Result<(), StoreError> {
        const ENSURE: Sql = sql!(all "INSERT INTO key_state (municipality_code, wrapping_id, index_versions) VALUES ($1, $2, $3) \
            ON CONFLICT (municipality_code) DO NOTHING");
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
        const USE: Sql = sql!(all "SELECT kek_id, count(*) FROM person_key WHERE municipality_code = $1 GROUP BY kek_id ORDER BY kek_id");
        let rows = self.engine.fetch_all(&Statement::about(self.code(), USE)).await?;
        rows.iter().map(|row| Ok(KeyUse { key: row.text(0)?.to_owned(), rows: row.count(1, "person_key")? })).collect()
    }

    /// How many personal numbers are indexed under each version.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.personal_number.use")]
    pub async fn index_use(&self) -> Result<Vec<KeyUse>, StoreError> {
        const USE: Sql = sql!(all "SELECT index_version, count(*) FROM personal_number \
            WHERE municipality_code = $1 GROUP BY index_version ORDER BY index_version");
        let rows = self.engine.fetch_all(&Statement::about(self.code(), USE)).await?;
        let of = |row: &crate::engine::Row| {
            Ok(KeyUse { key: row.integer(0)?.to_string(), rows: row.count(1, "personal_number")? })
        };
        rows.iter().map(of).collect()
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// The keys in use; `None` as long as none was ever rotated. Until this transaction ends, nobody changes them.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.key_state.read")]
    pub async fn key_state(&mut self) -> Result<Option<KeyState>, StoreError> {
        const STATE: Sql = sql!(all "SELECT wrapping_id, index_versions FROM key_state WHERE municipality_code = $1"
            postgres " FOR SHARE");
        let row = self.transaction.fetch_optional(&Statement::about(self.municipality.as_str(), STATE)).await?;
        row.map(|row| state(row.text(0)?, row.text(1)?)).transpose()
    }

    /// Says which keys are in use from here on.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.key_state.set")]
    pub async fn set_key_state(&mut self, state: &KeyState) -> Result<(), StoreError> {
        const SET: Sql = sql!(all "INSERT INTO key_state (municipality_code, wrapping_id, index_versions) VALUES ($1, $2, $3) \
            ON CONFLICT (municipality_code) DO UPDATE SET wrapping_id = excluded.wrapping_id, \
                index_versions = excluded.index_versions");
        let versions = state.versions_text();
        let set = Statement::about(self.municipality.as_str(), SET).text(&state.wrapping_id).text(&versions);
        self.transaction.execute(&set).await
    }

    /// The first `count` people after `after` whose keys another wrapping key than `wrapping_id` wraps.
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
        const OLD: Sql = sql!(all "SELECT unified_address_number, kek_id, wrapped_key FROM person_key \
            WHERE municipality_code = $1 AND kek_id <> $2 AND unified_address_number > $3 ORDER BY unified_address_number LIMIT $4");
        let old = Statement::about(self.municipality.as_str(), OLD).text(wrapping_id).text(after).integer(count.into());
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
        const REPLACE: Sql = sql!(all "UPDATE person_key SET kek_id = $3, wrapped_key = $4 \
            WHERE municipality_code = $1 AND unified_address_number = $2");
        let replace = Statement::about(self.municipality.as_str(), REPLACE)
            .text(person.as_str())
            .text(&wrapped.kek_id)
            .bytes(&wrapped.bytes);
        self.transaction.execute(&replace).await
    }

    /// The first `count` personal numbers after `after` that are indexed under another version than `version`.
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
        const OLD: Sql = sql!(all "SELECT unified_address_number, sequence, sealed, blind_index FROM personal_number \
            WHERE municipality_code = $1 AND index_version <> $2 AND blind_index > $3 ORDER BY blind_index LIMIT $4");
        let old = Statement::about(self.municipality.as_str(), OLD)
            .integer(version.into())
            .bytes(after)
            .integer(count.into());
        let rows = self.transaction.fetch_all(&old).await?;
        let of = |row: &crate::engine::Row| {
            Ok(OldIndex {
                unified_address_number: person_in(row, 0, "personal_number")?,
                sequence: sequence(row, 1)?,
                sealed: row.bytes(2)?.to_vec(),
                blind_index: row.bytes32(3, "personal_number")?,
            })
        };
        rows.iter().map(of).collect()
    }

    /// Replaces the index of a personal number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replace_index(&mut self, old: &[u8; 32], new: &[u8; 32], version: u32) -> Result<(), StoreError> {
        const REPLACE: Sql = sql!(all "UPDATE personal_number SET blind_index = $3, index_version = $4 \
            WHERE municipality_code = $1 AND blind_index = $2");
        let replace =
            Statement::about(self.municipality.as_str(), REPLACE).bytes(old).bytes(new).integer(version.into());
        self.transaction.execute(&replace).await
    }
}

fn state(wrapping_id: &str, index_versions: &str) -> Result<KeyState, StoreError> {
    let versions: Result<Vec<u32>, _> = index_versions.split(',').map(str::parse).collect();
    let index_versions = versions.map_err(|_| StoreError::Corrupt { table: "key_state" })?;
    Ok(KeyState { wrapping_id: wrapping_id.to_owned(), index_versions })
}
