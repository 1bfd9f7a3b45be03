//! The transfer log: how records become leaves, are kept together, signed, searched and proved.
//!
//! `entry` turns a record into a leaf and its sealed details; `writer` keeps the records of concurrent calls in one durable commit;
//! `signer` signs the head of the log soon after; `indexer` derives the search index; `search` answers auditors.

mod details;
mod entry;
pub(crate) mod export;
pub(crate) mod fsck;
mod indexer;
pub(crate) mod query;
pub(crate) mod search;
mod signer;
mod writer;

use std::sync::Arc;
use std::time::Instant;

use atena_ledger::VerifierKey;
use atena_store::{Store, StoreError, WriteTransaction};
use atena_vault::Vault;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::config::LogConfig;
use crate::error::CallError;
use crate::hall::Hall;
use crate::transfer::TransferRecord;

pub(crate) use details::{Details, damaged};
pub use signer::{LogKeyError, log_key};

/// The running log of one municipality.
pub(crate) struct Log {
    writer: writer::Writer,
    grown: Arc<Notify>,
    newest: watch::Receiver<Option<String>>,
    key: VerifierKey,
    tasks: TaskTracker,
    stop: CancellationToken,
}

// === impl Log ===

impl Log {
    /// Starts the log's tasks.
    pub(crate) fn start(store: &Store, vault: &Arc<Vault>, key: VerifierKey, config: &LogConfig) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let grown = Arc::new(Notify::new());
        let (writer, writing) = writer::Writer::new(store.clone());
        tasks.spawn(writing);
        let (publish, newest) = watch::channel(None);
        let signer = signer::Signer {
            store: store.clone(),
            vault: Arc::clone(vault),
            key: key.clone(),
            publish,
            file: config.checkpoint_file.clone(),
            interval: config.checkpoint_interval(),
        };
        tasks.spawn(signer.run(Arc::clone(&grown), stop.clone()));
        tasks.spawn(indexer::run(store.clone(), stop.clone()));
        tasks.close();
        Self { writer, grown, newest, key, tasks, stop }
    }

    /// The public key that verifies the log's signed heads.
    pub(crate) fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The newest signed head (a signed note), once there is one.
    pub(crate) fn newest_checkpoint(&self) -> Option<String> {
        self.newest.borrow().clone()
    }

    /// A signed head of more than `index` leaves: soon after a commit there is one. `None` where the log has stopped.
    pub(crate) async fn checkpoint_over(&self, index: u64) -> Option<String> {
        let covers = |note: &Option<String>| {
            let opened = note.as_deref().and_then(|note| atena_ledger::open_checkpoint(note, &self.key).ok());
            opened.is_some_and(|checkpoint| checkpoint.size > index)
        };
        self.newest.clone().wait_for(covers).await.ok().and_then(|note| note.clone())
    }

    /// Ends the tasks: the last head is signed before.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.writer.close();
        self.tasks.wait().await;
    }
}

/// Makes transfer records durable, all or none, together with those of other calls.
pub(crate) async fn append(hall: &Hall, records: &[TransferRecord]) -> Result<(), CallError> {
    let started = Instant::now();
    let work = async {
        let people = entry::people_without_key(records);
        let wrapped = if people.is_empty() { Default::default() } else { hall.store.person_keys(&people).await? };
        let entries = entry::entries(&hall.vault, records, &wrapped)?;
        hall.log.writer.append(entries).await
    };
    work.instrument(tracing::info_span!("log", transfers = records.len()))
        .await
        .map_err(|error| CallError::log_unavailable(&error))?;
    hall.log.grown.notify_one();
    hall.metrics.log_commit(started.elapsed());
    Ok(())
}

/// Makes a transaction durable together with its transfer records, all or nothing.
pub(crate) async fn commit(
    hall: &Hall,
    mut transaction: WriteTransaction,
    records: &[TransferRecord],
) -> Result<(), CallError> {
    let started = Instant::now();
    let work = async {
        let people = entry::people_without_key(records);
        let wrapped = if people.is_empty() { Default::default() } else { transaction.person_keys(&people).await? };
        let entries = entry::entries(&hall.vault, records, &wrapped)?;
        transaction.append_log(&entries).await?;
        transaction.commit().await
    };
    work.instrument(tracing::info_span!("log", transfers = records.len()))
        .await
        .map_err(|error: StoreError| CallError::log_unavailable(&error))?;
    hall.log.grown.notify_one();
    hall.metrics.log_commit(started.elapsed());
    Ok(())
}
