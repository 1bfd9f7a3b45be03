//! A transaction that writes.

use std::sync::Arc;

use atena_domain::MunicipalityCode;
use sqlx::{Sqlite, Transaction};

use crate::error::StoreError;

/// A transaction that may write. Dropped without [`WriteTransaction::commit`], it leaves nothing behind.
pub struct WriteTransaction {
    pub(crate) municipality: Arc<MunicipalityCode>,
    pub(crate) transaction: Transaction<'static, Sqlite>,
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Makes everything durable, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: then nothing of it was written.
    #[tracing::instrument(level = "debug", skip_all, name = "db.commit")]
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }

    /// Takes the next `count` change sequences and tells the first.
    pub(crate) async fn take_change_sequences(&mut self, count: usize) -> Result<i64, StoreError> {
        const TAKE: &str = "INSERT INTO change_sequence (municipality_code, last) VALUES (?, ?) \
            ON CONFLICT (municipality_code) DO UPDATE SET last = last + excluded.last RETURNING last";
        let count = i64::try_from(count).map_err(|_| StoreError::Unavailable("too many rows at once"))?;
        let last: i64 = sqlx::query_scalar(TAKE)
            .bind(self.municipality.as_str())
            .bind(count)
            .fetch_one(&mut *self.transaction)
            .await?;
        Ok(last - count + 1)
    }
}
