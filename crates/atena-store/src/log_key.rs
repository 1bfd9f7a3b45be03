//! Which versions of the key sign checkpoints, and since when. This stands in the database, so that
//! all gateways change the key at one point of the log.

use jiff::Timestamp;

use crate::engine::{Row, Sql, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::store::Store;
use crate::write::WriteTransaction;

/// A version of the key that signs checkpoints, or signed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLogKey {
    /// Which version.
    pub version: u32,
    /// Its public half (Ed25519). A key of the same version with another half is refused.
    pub public_key: [u8; 32],
    /// Since when; the first one since the beginning (1970).
    pub since: Timestamp,
    /// Until when; `None` while it signs.
    pub until: Option<Timestamp>,
}

const ALL: Sql = Sql::same(
    "SELECT version, public_key, signs_since, signs_until FROM log_key
    WHERE municipality_code = $1 ORDER BY version",
);

const SET: Sql = Sql::same(
    "INSERT INTO log_key (municipality_code, version, public_key, signs_since, signs_until)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (municipality_code, version) DO UPDATE SET signs_until = excluded.signs_until",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] =
    &[("db.log_key.all", Listed::Sql(ALL)), ("db.log_key.set", Listed::Sql(SET))];

// === impl Store ===

impl Store {
    /// Every version that signed or signs, oldest first; none as long as the first was never
    /// replaced.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_key.all")]
    pub async fn log_keys(&self) -> Result<Vec<StoredLogKey>, StoreError> {
        self.engine.fetch_all(&Statement::about(self.code(), ALL)).await?.iter().map(log_key).collect()
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// As [`Store::log_keys`]. No other transaction changes them until this one ends.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_key.all")]
    pub async fn log_keys(&mut self) -> Result<Vec<StoredLogKey>, StoreError> {
        let all = Statement::about(self.municipality.as_str(), ALL);
        self.transaction.fetch_all(&all).await?.iter().map(log_key).collect()
    }

    /// Keeps since when, and until when, a version signs.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_key.set")]
    pub async fn set_log_key(&mut self, key: &StoredLogKey) -> Result<(), StoreError> {
        let set = Statement::about(self.municipality.as_str(), SET)
            .integer(key.version.into())
            .bytes(&key.public_key)
            .integer(key.since.as_microsecond())
            .integer(key.until.map_or(0, Timestamp::as_microsecond));
        self.transaction.execute(&set).await
    }
}

fn log_key(row: &Row) -> Result<StoredLogKey, StoreError> {
    const CORRUPT: StoreError = StoreError::Corrupt { table: "log_key" };
    let time = |place| Timestamp::from_microsecond(row.integer(place)?).map_err(|_| CORRUPT);
    let until = time(3)?;
    Ok(StoredLogKey {
        version: u32::try_from(row.integer(0)?).map_err(|_| CORRUPT)?,
        public_key: row.bytes32(1, "log_key")?,
        since: time(2)?,
        until: (until != Timestamp::UNIX_EPOCH).then_some(until),
    })
}
