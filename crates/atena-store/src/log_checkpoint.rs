//! Checkpoints of the log, one for each size. They are stored before they are shown.

use atena_ledger::Hash;
use jiff::Timestamp;

use crate::engine::{Row, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::log_append::index;
use crate::logs::LogSql;
use crate::store::Store;
use crate::write::WriteTransaction;

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Leaves in the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The signed note.
    pub note: String,
}

static NEWEST: LogSql = LogSql::same(
    "SELECT size, root, note FROM log_checkpoint
    WHERE municipality_code = $1 ORDER BY size DESC LIMIT 1",
);

static INSERT: LogSql = LogSql::same(
    "INSERT INTO log_checkpoint (municipality_code, size, root, note, signed_at)
    VALUES ($1, $2, $3, $4, $5)",
);

// The day in Japan: nine hours ahead of UTC, in microseconds, whole days since 1970-01-01.
static THIN_OUT: LogSql = LogSql::same(
    "DELETE FROM log_checkpoint
    WHERE municipality_code = $1
        AND size < (
            SELECT min(size) FROM (
                SELECT size FROM log_checkpoint
                WHERE municipality_code = $1 ORDER BY size DESC LIMIT 1000) AS newest)
        AND size NOT IN (
            SELECT max(size) FROM log_checkpoint
            WHERE municipality_code = $1 GROUP BY (signed_at + 32400000000) / 86400000000)",
);

static FROM: LogSql = LogSql::same(
    "SELECT size, root, note FROM log_checkpoint
    WHERE municipality_code = $1 AND size >= $2 ORDER BY size LIMIT $3",
);

static TIMES: LogSql = LogSql::same(
    "SELECT size, signed_at FROM log_checkpoint
    WHERE municipality_code = $1 AND size >= $2 ORDER BY size LIMIT $3",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.log_checkpoint.newest", Listed::Log(&NEWEST)),
    ("db.log_checkpoint.insert", Listed::Log(&INSERT)),
    ("db.log_checkpoint.thin_out", Listed::Log(&THIN_OUT)),
    ("db.log_checkpoint.from", Listed::Log(&FROM)),
    ("db.log_checkpoint.times", Listed::Log(&TIMES)),
];

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Stores a checkpoint. A second one of the same size is refused, also when another process
    /// signed the first.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where there is a checkpoint of that size.
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.insert")]
    pub async fn insert_checkpoint(
        &mut self,
        checkpoint: &StoredCheckpoint,
        signed_at: Timestamp,
    ) -> Result<(), StoreError> {
        let insert = Statement::about(self.municipality.as_str(), INSERT.about(self.log))
            .integer(index(checkpoint.size)?)
            .bytes(checkpoint.root.0.as_slice())
            .text(&checkpoint.note)
            .integer(signed_at.as_microsecond());
        self.transaction.execute(&insert).await
    }

    /// Deletes old checkpoints. Of those before the newest thousand, the last of each day in Japan
    /// stays.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.thin_out")]
    pub async fn thin_out_checkpoints(&mut self) -> Result<(), StoreError> {
        self.transaction.execute(&Statement::about(self.municipality.as_str(), THIN_OUT.about(self.log))).await
    }

    /// The newest checkpoint, as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.newest")]
    pub async fn newest_checkpoint(&mut self) -> Result<Option<StoredCheckpoint>, StoreError> {
        let newest = Statement::about(self.municipality.as_str(), NEWEST.about(self.log));
        self.transaction.fetch_optional(&newest).await?.as_ref().map(checkpoint).transpose()
    }
}

// === impl Store ===

impl Store {
    /// The newest checkpoint.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.newest")]
    pub async fn newest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, StoreError> {
        let newest = Statement::about(self.code(), NEWEST.about(self.log));
        self.engine.fetch_optional(&newest).await?.as_ref().map(checkpoint).transpose()
    }

    /// Checkpoints of at least `from` leaves, smallest first.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.from")]
    pub async fn checkpoints_from(&self, from: u64, limit: u32) -> Result<Vec<StoredCheckpoint>, StoreError> {
        let from = Statement::about(self.code(), FROM.about(self.log)).integer(index(from)?).integer(limit.into());
        self.engine.fetch_all(&from).await?.iter().map(checkpoint).collect()
    }

    /// When checkpoints of at least `from` leaves were signed, smallest first: their sizes, and
    /// microseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.times")]
    pub async fn checkpoint_times_from(&self, from: u64, limit: u32) -> Result<Vec<(u64, i64)>, StoreError> {
        let from = Statement::about(self.code(), TIMES.about(self.log)).integer(index(from)?).integer(limit.into());
        let rows = self.engine.fetch_all(&from).await?;
        rows.iter().map(|row| Ok((row.count(0, "log_checkpoint")?, row.integer(1)?))).collect()
    }
}

fn checkpoint(row: &Row) -> Result<StoredCheckpoint, StoreError> {
    Ok(StoredCheckpoint {
        size: row.count(0, "log_checkpoint")?,
        root: Hash(row.bytes32(1, "log_checkpoint")?),
        note: row.text(2)?.to_owned(),
    })
}
