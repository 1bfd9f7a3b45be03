//! Changing the key that signs the logs, in two steps with as much time between them as those need who verify.
//!
//! The first puts a newer key beside the one in use: from there on every head is signed by both and names the newer one, so whoever knows the
//! older key goes on as before, and can learn the newer one. The second ends the older key: its private half is destroyed, its public half is
//! kept, and what it signed goes on being verified. Each step is a leaf of the transfer log, in the transaction that changes which keys sign.
//! Whatever stops this, the same call goes on where it was.

use std::collections::HashMap;
use std::sync::Arc;

use atena_ledger::{Direction, Note, Outcome, VerifierKey};
use atena_store::{Log, StoredLogKey, WriteTransaction};
use atena_vault::KeyKind;
use jiff::Timestamp;

use super::{Keeper, KeyStatus, RotateError};
use crate::admin::Action;
use crate::clock;
use crate::log::retention::GATEWAY;
use crate::log::{LogKeys, Shapes, entries, head};
use crate::transfer;
use crate::transfer::Method;

const ADD: Method = Method { name: "Log/AddKey", direction: Direction::Inbound };
const END: Method = Method { name: "Log/EndKey", direction: Direction::Inbound };

/// Signed heads read at once.
const HEADS_AT_ONCE: u32 = 1000;

/// A key of a log, with the time in which it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// The key, for those who verify.
    pub key: VerifierKey,
    /// Since when it signs; the first one since the beginning (1970).
    pub since: Timestamp,
    /// Until when; `None` while it does.
    pub until: Option<Timestamp>,
}

// === impl Keeper ===

impl Keeper {
    /// Every key that signs or signed heads of a log, oldest first. One that was prepared and signs nothing yet is not among them.
    ///
    /// # Errors
    /// [`RotateError`].
    pub async fn published_keys(&self, log: Log) -> Result<Vec<PublishedKey>, RotateError> {
        let keys = LogKeys::of(log, &self.municipality, &self.vault)?;
        let stored = self.store.log_keys().await?;
        let first = || keys.all().map(|(_, key)| published(key, None)).take(1).collect();
        let of = |stored: &StoredLogKey| {
            keys.all().find(|(version, _)| *version == stored.version).map(|(_, key)| published(key, Some(stored)))
        };
        Ok(if stored.is_empty() { first() } else { stored.iter().filter_map(of).collect() })
    }

    /// Puts a newer key beside the one that signs. Tells the newer one; nothing changes where two sign already.
    ///
    /// # Errors
    /// [`RotateError`]; the next call goes on.
    pub async fn add_log_key(&self) -> Result<VerifierKey, RotateError> {
        self.admin.during(Action::AddLogKey, self.put_beside(), |_| 1).await
    }

    async fn put_beside(&self) -> Result<VerifierKey, RotateError> {
        let mut transaction = self.store.begin_write("add_log_key").await?;
        let stored = self.signing(&mut transaction).await?;
        let (newest, others) = stored.split_last().ok_or(RotateError::KeyMissing)?;
        if !others.is_empty() {
            return self.transfer_key(newest.version);
        }
        let there = |keeper: &Self| keeper.vault.log_keys().into_iter().rfind(|key| key.version > newest.version);
        if there(self).is_none() {
            self.config.key_source().add(&self.municipality, KeyKind::Log)?;
            self.vault.read_again()?;
        }
        let newer = there(self).ok_or(RotateError::KeyMissing)?;
        let newer =
            StoredLogKey { version: newer.version, public_key: newer.public_key, since: clock::now(), until: None };
        // The first of all is kept from now on as well: until now it needed no row.
        transaction.set_log_key(newest).await?;
        transaction.set_log_key(&newer).await?;
        let key = self.transfer_key(newer.version)?;
        self.record_and_sign(transaction, ADD, "記録の署名鍵の追加", &key).await?;
        Ok(key)
    }

    /// Ends every key but the newest that signs. Tells those that sign no more, of this call or of one that was stopped.
    ///
    /// # Errors
    /// [`RotateError::NothingToEnd`] where one key signs alone; the next call goes on after any other error.
    pub async fn end_older_log_keys(&self) -> Result<Vec<VerifierKey>, RotateError> {
        let count = |ended: &Vec<_>| u64::try_from(ended.len()).unwrap_or(u64::MAX);
        self.admin.during(Action::EndLogKey, self.end_older(), count).await
    }

    async fn end_older(&self) -> Result<Vec<VerifierKey>, RotateError> {
        let mut transaction = self.store.begin_write("end_log_key").await?;
        let mut stored = self.signing(&mut transaction).await?;
        let newest = stored.pop().ok_or(RotateError::KeyMissing)?;
        // Of the keys that are there all but the newest go.
        if self.vault.log_keys().last().is_some_and(|last| last.version > newest.version) {
            return Err(RotateError::Prepared);
        }
        let mut ended = Vec::new();
        for older in stored {
            transaction.set_log_key(&StoredLogKey { until: Some(clock::now()), ..older.clone() }).await?;
            ended.push(self.transfer_key(older.version)?);
        }
        match ended.last() {
            Some(key) => self.record_and_sign(transaction, END, "記録の署名鍵の廃止", &key.clone()).await?,
            None => drop(transaction),
        }
        let left = self.vault.log_keys().into_iter().filter(|key| key.signs && key.version < newest.version);
        let left: Vec<u32> = left.map(|key| key.version).collect();
        if ended.is_empty() && left.is_empty() {
            return Err(RotateError::NothingToEnd);
        }
        self.config.key_source().keep_newest(&self.municipality, KeyKind::Log)?;
        self.vault.read_again()?;
        left.into_iter().map(|version| self.transfer_key(version)).collect()
    }

    /// The keys of the log, and how many kept heads each signed.
    pub(super) async fn log_key_status(&self) -> Result<Vec<KeyStatus>, RotateError> {
        let keys = LogKeys::of(Log::Transfers, &self.municipality, &self.vault)?;
        let stored = self.store.log_keys().await?;
        let signs =
            |version: u32| keys.in_use(&stored).is_some_and(|keys| keys.iter().any(|(known, _)| *known == version));
        let newest = keys.in_use(&stored).and_then(|keys| keys.last().map(|(version, _)| *version));
        let mut heads: HashMap<u32, u64> = HashMap::new();
        let mut from = 0;
        loop {
            let some = self.store.checkpoints_from(from, HEADS_AT_ONCE).await?;
            let Some(last) = some.last() else { break };
            from = last.size + 1;
            for head in &some {
                let by = Note::parse(&head.note).ok();
                let by = by.as_ref().and_then(|note| note.verify(keys.as_ref()).ok()).unwrap_or_default();
                for (version, _) in keys.all().filter(|(_, key)| by.contains(key)) {
                    *heads.entry(version).or_default() += 1;
                }
            }
        }
        let there = self.vault.log_keys().into_iter().filter(|key| key.signs || newest.is_none());
        let status = there.map(|key| KeyStatus {
            kind: KeyKind::Log,
            key: format!("log-{}", key.version),
            in_use: newest == Some(key.version),
            ending: signs(key.version) && newest != Some(key.version),
            there: key.signs,
            rows: heads.get(&key.version).copied().unwrap_or_default(),
        });
        Ok(status.collect())
    }

    /// The keys that sign, as the transaction sees them.
    async fn signing(&self, transaction: &mut WriteTransaction) -> Result<Vec<StoredLogKey>, RotateError> {
        let stored = transaction.log_keys().await?;
        if !stored.is_empty() {
            return Ok(stored.into_iter().filter(|key| key.until.is_none()).collect());
        }
        let first = self.vault.log_keys().into_iter().next().ok_or(RotateError::KeyMissing)?;
        let (version, public_key) = (first.version, first.public_key);
        Ok(vec![StoredLogKey { version, public_key, since: Timestamp::UNIX_EPOCH, until: None }])
    }

    fn transfer_key(&self, version: u32) -> Result<VerifierKey, RotateError> {
        let keys = LogKeys::of(Log::Transfers, &self.municipality, &self.vault)?;
        let key = keys.all().find(|(known, _)| *known == version).map(|(_, key)| key.clone());
        key.ok_or(RotateError::KeyMissing)
    }

    /// Commits the change with its leaf, and with a head that all keys sign which are in use from here on.
    async fn record_and_sign(
        &self,
        mut transaction: WriteTransaction,
        method: Method,
        affair: &'static str,
        key: &VerifierKey,
    ) -> Result<(), RotateError> {
        let mut record = transfer::of_gateway(self.policy_hash, method, GATEWAY);
        record.outcome = Outcome::Done;
        let heading = record.heading_mut();
        heading.affair = Some(affair.into());
        heading.fields = Arc::from([key.to_string()]);
        transaction.append_log(&entries(&self.vault, &Shapes::default(), &[record], &HashMap::new())?).await?;
        let head = head::sign(&mut transaction, &self.vault, &self.municipality, false).await?;
        transaction.commit().await?;
        let keys = LogKeys::of(Log::Transfers, &self.municipality, &self.vault)?;
        head::keep_beside(&self.config.log.checkpoint_file, &head, &keys)
            .map_err(|error| RotateError::Sign(error.into()))
    }
}

fn published(key: &VerifierKey, stored: Option<&StoredLogKey>) -> PublishedKey {
    PublishedKey {
        key: key.clone(),
        since: stored.map_or(Timestamp::UNIX_EPOCH, |stored| stored.since),
        until: stored.and_then(|stored| stored.until),
    }
}

impl From<crate::log::LogKeyError> for RotateError {
    fn from(error: crate::log::LogKeyError) -> Self {
        Self::Sign(error.into())
    }
}
