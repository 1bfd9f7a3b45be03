//! Rotating keys while gateways run: a newer key beside the old one, everything brought under it in small transactions, the old one destroyed.
//!
//! Which keys are in use stands in the database, where each transaction that writes reads it, so no gateway goes on with an older key than the
//! others, and nobody is looked up under too few versions. Whatever stops this, the next call goes on where it was.

use std::time::Duration;

use atena_store::{KeyState, KeyUse, StoreError, WriteTransaction};
use atena_vault::{KeyKind, SealContext, VaultError};

use super::Keeper;
use crate::admin::{Action, AdminError};
use crate::convert::personal_number_row;
use crate::hall::first_keys;
use crate::log::SignError;

/// Rows of one transaction: a gateway that writes waits for no longer than this takes.
const ROWS_AT_ONCE: u32 = 200;

/// Time between the last row and the end of the old key: calls that have read rows under it finish.
const BEFORE_THE_END: Duration = Duration::from_secs(2);

/// Why keys were not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] VaultError),
    /// The database.
    #[error("the database can't be used: {0}")]
    Store(#[from] StoreError),
    /// A row could not be brought under the new key.
    #[error("somebody's key or number can't be opened: {0}. The old key is kept")]
    Unreadable(VaultError),
    /// The admin log.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The head of the log.
    #[error("the log was not signed: {0}. Nothing was changed")]
    Sign(#[from] SignError),
    /// The keys that the database tells of.
    #[error("the key that signs the log now is not here: bring the newest keys_file to this machine")]
    KeyMissing,
    /// One key signs alone.
    #[error("one key signs the log alone; put a newer one beside it first: atena keys rotate --key log")]
    NothingToEnd,
    /// A newer key was prepared and not put in use.
    #[error("a newer key is prepared; put it in use first: atena keys rotate --key log")]
    Prepared,
}

/// A key that rows are under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKey {
    /// Wraps the data keys of people.
    Wrapping,
    /// Indexes personal numbers.
    BlindIndex,
}

impl From<RowKey> for KeyKind {
    fn from(key: RowKey) -> Self {
        match key {
            RowKey::Wrapping => Self::Wrapping,
            RowKey::BlindIndex => Self::BlindIndex,
        }
    }
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Rows brought under the new key, in this call.
    pub rows: u64,
    /// The key that is in use now.
    pub key: String,
}

/// One key, and what is under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// What it is for.
    pub kind: KeyKind,
    /// Its name, or its version.
    pub key: String,
    /// Whether new rows are made with it.
    pub in_use: bool,
    /// Whether it is still used beside a newer one until it is ended (the key that signs the log).
    pub ending: bool,
    /// Whether it is there; rows under one that is not can't be read.
    pub there: bool,
    /// Rows under it.
    pub rows: u64,
}

// === impl Keeper ===

impl Keeper {
    /// Every key that is there or that rows are under.
    ///
    /// # Errors
    /// [`RotateError::Store`].
    pub async fn key_status(&self) -> Result<Vec<KeyStatus>, RotateError> {
        let state = self.store.key_state().await?.unwrap_or_else(|| first_keys(&self.vault));
        let versions: Vec<_> = self.vault.index_versions().iter().map(u32::to_string).collect();
        let newest = state.newest_index().to_string();
        let mut status = listed(
            KeyKind::Wrapping,
            &self.vault.wrapping_ids(),
            &state.wrapping_id,
            self.store.wrapping_key_use().await?,
        );
        status.extend(listed(KeyKind::BlindIndex, &versions, &newest, self.store.index_use().await?));
        status.extend(self.log_key_status().await?);
        Ok(status)
    }

    /// Makes a newer key, brings everything under it, and destroys the older ones. `progress` is told rows done and rows in all.
    ///
    /// # Errors
    /// [`RotateError`]; the next call goes on.
    pub async fn rotate(&self, kind: RowKey, progress: impl FnMut(u64, u64)) -> Result<Rotated, RotateError> {
        let action = Action::RotateKey { key: name_of(kind.into()) };
        self.admin.during(action, self.bring_under(kind, progress), |rotated| rotated.rows).await
    }

    /// Makes a newer version of a key, which nothing uses yet.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn prepare_key(&self, kind: KeyKind) -> Result<(), RotateError> {
        let made = async { Ok(self.config.key_source().add(&self.municipality, kind)?) };
        self.admin.during(Action::PrepareKey { key: name_of(kind) }, made, |()| 0).await
    }

    async fn bring_under(&self, kind: RowKey, mut progress: impl FnMut(u64, u64)) -> Result<Rotated, RotateError> {
        let source = self.config.key_source();
        let mut transaction = self.store.begin_write("rotate_keys").await?;
        let state = transaction.key_state().await?.unwrap_or_else(|| first_keys(&self.vault));
        if !under_way(kind, &state, &self.vault.wrapping_ids(), &self.vault.index_versions()) {
            source.add(&self.municipality, kind.into())?;
            self.vault.read_again()?;
        }
        let state = with_newest(kind, state, &self.vault.wrapping_ids(), &self.vault.index_versions());
        transaction.set_key_state(&state).await?;
        transaction.commit().await?;

        let all = self.left(kind, &state).await?;
        let mut rows = 0;
        progress(rows, all);
        let mut after = Vec::new();
        loop {
            let mut transaction = self.store.begin_write("rotate_keys").await?;
            let done = match kind {
                RowKey::Wrapping => self.wrap_some(&mut transaction, &state, &mut after).await?,
                RowKey::BlindIndex => self.index_some(&mut transaction, &state, &mut after).await?,
            };
            transaction.commit().await?;
            rows += done;
            progress(rows, all.max(rows));
            if done == 0 {
                // A row whose new index is before the place, or that a slow transaction added behind it.
                if self.left(kind, &state).await? == 0 {
                    break;
                }
                after.clear();
            }
        }
        if kind == RowKey::BlindIndex {
            let mut transaction = self.store.begin_write("rotate_keys").await?;
            let newest = vec![state.newest_index()];
            transaction.set_key_state(&KeyState { index_versions: newest, ..state.clone() }).await?;
            transaction.commit().await?;
        }
        tokio::time::sleep(BEFORE_THE_END).await;
        source.keep_newest(&self.municipality, kind.into())?;
        let key = match kind {
            RowKey::Wrapping => state.wrapping_id,
            RowKey::BlindIndex => state.newest_index().to_string(),
        };
        Ok(Rotated { rows, key })
    }

    async fn wrap_some(
        &self,
        transaction: &mut WriteTransaction,
        state: &KeyState,
        after: &mut Vec<u8>,
    ) -> Result<u64, RotateError> {
        let place = String::from_utf8_lossy(after).into_owned();
        let people = transaction.keys_wrapped_otherwise(&state.wrapping_id, &place, ROWS_AT_ONCE).await?;
        for (person, wrapped) in &people {
            let again = self.vault.wrap_again(person, wrapped, &state.wrapping_id).map_err(RotateError::Unreadable)?;
            transaction.replace_person_key(person, &again).await?;
            *after = person.as_str().as_bytes().to_vec();
        }
        Ok(u64::try_from(people.len()).unwrap_or(u64::MAX))
    }

    async fn index_some(
        &self,
        transaction: &mut WriteTransaction,
        state: &KeyState,
        after: &mut Vec<u8>,
    ) -> Result<u64, RotateError> {
        let version = state.newest_index();
        let numbers = transaction.numbers_indexed_otherwise(version, after, ROWS_AT_ONCE).await?;
        let people: Vec<_> = numbers.iter().map(|number| number.unified_address_number.clone()).collect();
        let wrapped = transaction.person_keys(&people).await?;
        for number in &numbers {
            let person = &number.unified_address_number;
            let wrapped = wrapped.get(person).ok_or(RotateError::Unreadable(VaultError::UnknownKey))?;
            let key = self.vault.unwrap_person_key(person, wrapped).map_err(RotateError::Unreadable)?;
            let row = personal_number_row(person, number.sequence);
            let context = SealContext { table: "personal_number", column: "sealed", row: &row };
            let again = self.vault.index_again(&key, &context, &number.sealed, version);
            let again = again.map_err(RotateError::Unreadable)?;
            transaction.replace_index(&number.blind_index, again.as_bytes(), version).await?;
            *after = number.blind_index.to_vec();
        }
        Ok(u64::try_from(numbers.len()).unwrap_or(u64::MAX))
    }

    /// Rows that are not under the newest key yet.
    async fn left(&self, kind: RowKey, state: &KeyState) -> Result<u64, StoreError> {
        let (rows, newest) = match kind {
            RowKey::Wrapping => (self.store.wrapping_key_use().await?, state.wrapping_id.clone()),
            RowKey::BlindIndex => (self.store.index_use().await?, state.newest_index().to_string()),
        };
        Ok(rows.iter().filter(|under| under.key != newest).map(|under| under.rows).sum())
    }
}

/// Whether a rotation was begun and did not end: there is more than one key.
fn under_way(kind: RowKey, state: &KeyState, wrapping_ids: &[String], index_versions: &[u32]) -> bool {
    match kind {
        RowKey::Wrapping => wrapping_ids.len() > 1,
        RowKey::BlindIndex => index_versions.len() > 1 || state.index_versions.len() > 1,
    }
}

/// The state in which the newest key is in use, and the older ones are still asked for.
fn with_newest(kind: RowKey, state: KeyState, wrapping_ids: &[String], index_versions: &[u32]) -> KeyState {
    match kind {
        RowKey::Wrapping => {
            KeyState { wrapping_id: wrapping_ids.last().cloned().unwrap_or(state.wrapping_id), ..state }
        }
        RowKey::BlindIndex => {
            let mut versions = state.index_versions;
            versions.extend(index_versions.last().filter(|newest| !versions.contains(newest)).copied());
            KeyState { index_versions: versions, ..state }
        }
    }
}

/// How the admin log names a key.
fn name_of(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Wrapping => "wrapping",
        KeyKind::BlindIndex => "blind-index",
        KeyKind::Log => "log",
    }
}

fn listed(kind: KeyKind, there: &[String], in_use: &str, under: Vec<KeyUse>) -> Vec<KeyStatus> {
    let rows_of = |key: &str| under.iter().find(|known| known.key == key).map_or(0, |known| known.rows);
    let status = |key: &str, there| KeyStatus {
        kind,
        key: key.to_owned(),
        in_use: key == in_use,
        ending: false,
        there,
        rows: rows_of(key),
    };
    let lost = under.iter().filter(|under| !there.contains(&under.key)).map(|under| status(&under.key, false));
    there.iter().map(|key| status(key, true)).chain(lost).collect()
}
