//! Signed heads of the log: kept before they are shown, one for each size.

use atena_ledger::Hash;
use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::error::StoreError;
use crate::log_append::index;
use crate::rows::{bytes32, count};
use crate::store::Store;
use crate::write::WriteTransaction;

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Leaves in the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// The signed note.
    pub note: String,
}

const NEWEST: &str =
    "SELECT size, root, note FROM log_checkpoint WHERE municipality_code = ? ORDER BY size DESC LIMIT 1";

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Keeps a signed head. A second head of the same size is refused, also when another process signed the first.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] where that size has a head.
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.insert")]
    pub async fn insert_checkpoint(
        &mut self,
        checkpoint: &StoredCheckpoint,
        signed_at: Timestamp,
    ) -> Result<(), StoreError> {
        const INSERT: &str =
            "INSERT INTO log_checkpoint (municipality_code, size, root, note, signed_at) VALUES (?, ?, ?, ?, ?)";
        sqlx::query(INSERT)
            .bind(self.municipality.as_str())
            .bind(index(checkpoint.size)?)
            .bind(checkpoint.root.0.as_slice())
            .bind(checkpoint.note.as_str())
            .bind(signed_at.as_microsecond())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Forgets signed heads that say nothing more: of those before the newest thousand, the last of each day in Japan stays.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.thin_out")]
    pub async fn thin_out_checkpoints(&mut self) -> Result<(), StoreError> {
        // The day in Japan: nine hours ahead of UTC, in microseconds, whole days since 1970-01-01.
        const THIN_OUT: &str = "DELETE FROM log_checkpoint WHERE municipality_code = ?1 AND size < \
            (SELECT min(size) FROM (SELECT size FROM log_checkpoint WHERE municipality_code = ?1 ORDER BY size DESC LIMIT 1000)) \
            AND size NOT IN (SELECT max(size) FROM log_checkpoint WHERE municipality_code = ?1 \
            GROUP BY (signed_at + 32400000000) / 86400000000)";
        sqlx::query(THIN_OUT).bind(self.municipality.as_str()).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// The newest signed head, as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.newest")]
    pub async fn newest_checkpoint(&mut self) -> Result<Option<StoredCheckpoint>, StoreError> {
        let row = sqlx::query(NEWEST).bind(self.municipality.as_str()).fetch_optional(&mut *self.transaction).await?;
        row.as_ref().map(checkpoint).transpose()
    }
}

// === impl Store ===

impl Store {
    /// The newest signed head.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.newest")]
    pub async fn newest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, StoreError> {
        let row = sqlx::query(NEWEST).bind(self.code()).fetch_optional(&self.readers).await?;
        row.as_ref().map(checkpoint).transpose()
    }

    /// Signed heads of at least `from` leaves, smallest first.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_checkpoint.from")]
    pub async fn checkpoints_from(&self, from: u64, limit: u32) -> Result<Vec<StoredCheckpoint>, StoreError> {
        const FROM: &str = "SELECT size, root, note FROM log_checkpoint WHERE municipality_code = ? AND size >= ? ORDER BY size LIMIT ?";
        let rows = sqlx::query(FROM).bind(self.code()).bind(index(from)?).bind(limit).fetch_all(&self.readers).await?;
        rows.iter().map(checkpoint).collect()
    }
}

fn checkpoint(row: &SqliteRow) -> Result<StoredCheckpoint, StoreError> {
    Ok(StoredCheckpoint {
        size: count(row, 0, "log_checkpoint")?,
        root: Hash(bytes32(row, 1, "log_checkpoint")?),
        note: row.try_get(2)?,
    })
}
