//! The way into the log: records are sealed, and made durable with what they tell of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use atena_domain::UnifiedAddressNumber;
use atena_store::{LogEntry, StoreError, WriteTransaction};
use atena_vault::WrappedKey;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{Log, entries, entry};
use crate::ahead::{AT_ONCE, beside, take_turns};
use crate::error::CallError;
use crate::transfer::TransferRecord;

/// Entries that a background task seals while the rows that they tell of are written, and what else
/// it makes.
pub(crate) struct Sealing<T> {
    started: Instant,
    entries: AbortOnDropHandle<Result<(Vec<LogEntry>, T), StoreError>>,
}

// === impl Log ===

impl Log {
    /// Makes transfer records durable, all or none, together with those of other calls.
    ///
    /// The records are dropped once they are sealed. A pull has the keys of thousands of people in
    /// them, and none of these stay in memory while the disk is waited for.
    ///
    /// # Errors
    /// `LOG_UNAVAILABLE`: nothing was recorded, so nothing may be released.
    pub(crate) async fn append(&self, records: Vec<TransferRecord>) -> Result<(), CallError> {
        let started = Instant::now();
        let span = tracing::info_span!("log", transfers = records.len());
        let work = async {
            let people = entry::people_without_key(&records);
            let wrapped = self.store.person_keys(&people).await?;
            self.writer.append(self.sealed(records, &wrapped).await?).await
        };
        work.instrument(span).await.map_err(|error| self.unwritten(&error))?;
        self.written(started);
        Ok(())
    }

    /// Begins to seal the entries of a transaction. Keys that the records do not carry are read first.
    ///
    /// # Errors
    /// `LOG_UNAVAILABLE`: the keys can't be read.
    pub(crate) async fn seal(
        self: &Arc<Self>,
        transaction: &mut WriteTransaction,
        records: Vec<TransferRecord>,
    ) -> Result<Sealing<()>, CallError> {
        let people = entry::people_without_key(&records);
        let wrapped = transaction.person_keys(&people).await.map_err(|error| self.unwritten(&error))?;
        Ok(self.seal_made(wrapped, move || (records, ())))
    }

    /// As [`Self::seal`], where the task makes the records too. `wrapped` holds the keys that they
    /// won't carry.
    pub(crate) fn seal_made<T: Send + 'static>(
        self: &Arc<Self>,
        wrapped: HashMap<UnifiedAddressNumber, WrappedKey>,
        make: impl FnOnce() -> (Vec<TransferRecord>, T) + Send + 'static,
    ) -> Sealing<T> {
        let (started, log) = (Instant::now(), Arc::clone(self));
        let work = async move {
            let (records, made) = make();
            Ok((log.sealed(records, &wrapped).await?, made))
        };
        Sealing { started, entries: beside(work) }
    }

    /// Makes a transaction durable together with its transfer records, all or nothing.
    ///
    /// # Errors
    /// `LOG_UNAVAILABLE`: neither is durable.
    pub(crate) async fn commit<T>(
        &self,
        mut transaction: WriteTransaction,
        sealing: Sealing<T>,
    ) -> Result<T, CallError> {
        let work = async {
            let (entries, made) = sealing.entries.await.map_err(|_| StoreError::LeafRefused)??;
            transaction.append_log(&entries).await?;
            transaction.commit().await?;
            Ok(made)
        };
        let made =
            work.instrument(tracing::info_span!("log")).await.map_err(|error: StoreError| self.unwritten(&error))?;
        self.written(sealing.started);
        Ok(made)
    }

    /// The entries of records.
    async fn sealed(
        &self,
        records: Vec<TransferRecord>,
        wrapped: &HashMap<UnifiedAddressNumber, WrappedKey>,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let keys = self.vault.unwrap_person_keys(wrapped).map_err(|_| StoreError::LeafRefused)?;
        let mut sealed = Vec::with_capacity(records.len());
        for some in records.chunks(AT_ONCE) {
            take_turns(sealed.len()).await;
            sealed.append(&mut entries(&self.vault, &self.shapes, some, &keys)?);
        }
        Ok(sealed)
    }

    fn written(&self, started: Instant) {
        self.grown.notify_one();
        (self.observer)(Some(started.elapsed()));
    }

    fn unwritten(&self, error: &StoreError) -> CallError {
        (self.observer)(None);
        CallError::log_unavailable(error)
    }
}
