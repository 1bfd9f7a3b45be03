//! A transaction that writes.

use std::sync::Arc;

use atena_domain::MunicipalityCode;

use crate::engine::{EngineTransaction, Sql, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::logs::Log;

/// A transaction that may write. Dropped without [`WriteTransaction::commit`], it leaves nothing
/// behind.
pub struct WriteTransaction {
    pub(crate) municipality: Arc<MunicipalityCode>,
    /// The log that its log functions read and write.
    pub(crate) log: Log,
    pub(crate) transaction: EngineTransaction,
}

const TAKE_SEQUENCES: Sql = Sql::same(
    "INSERT INTO change_sequence (municipality_code, last)
    VALUES ($1, $2)
    ON CONFLICT (municipality_code) DO UPDATE SET last = change_sequence.last + excluded.last
    RETURNING last",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[("db.change_sequence.take", Listed::Sql(TAKE_SEQUENCES))];

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Makes its log functions read and write this log from here on. Returns the log that they did
    /// before.
    pub fn turn_to_log(&mut self, log: Log) -> Log {
        std::mem::replace(&mut self.log, log)
    }

    /// The log that its log functions read and write.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log
    }

    /// Makes everything durable, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: then nothing of it was written, or, where the connection was
    /// lost at this very moment, all of it. A caller that tries again with the same content finds
    /// out.
    #[tracing::instrument(level = "debug", skip_all, name = "db.commit")]
    pub async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await
    }

    /// Takes the next `count` change sequences. Returns the first.
    pub(crate) async fn take_change_sequences(&mut self, count: usize) -> Result<i64, StoreError> {
        let count = i64::try_from(count).map_err(|_| StoreError::Unavailable("too many rows at once"))?;
        let take = Statement::about(self.municipality.as_str(), TAKE_SEQUENCES).integer(count);
        Ok(self.transaction.fetch_one(&take).await?.integer(0)? - count + 1)
    }
}
