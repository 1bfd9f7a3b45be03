//! Group commit: while one commit is on its way to the disk, the records of other calls gather for the next.

use std::future::Future;

use atena_store::{LogEntry, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Entries of one commit, about.
const GROUP_ENTRIES_MAX: usize = 4096;

/// Calls that wait for their commit.
const WAITING_MAX: usize = 256;

/// Hands entries to the task that keeps them.
pub(super) struct Writer {
    sender: mpsc::Sender<Waiting>,
    closed: CancellationToken,
}

/// Entries of one call, and who waits for them to be durable.
struct Waiting {
    entries: Vec<LogEntry>,
    done: oneshot::Sender<Result<(), &'static str>>,
}

// === impl Writer ===

impl Writer {
    /// A writer and the task that does its work.
    pub(super) fn new(store: Store) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let closed = CancellationToken::new();
        (Self { sender, closed: closed.clone() }, run(store, waiting, closed))
    }

    /// Ends the task once nothing waits any more.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Makes entries durable.
    pub(super) async fn append(&self, entries: Vec<LogEntry>) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let stopped = StoreError::Unavailable("the transfer log has stopped");
        if self.sender.send(Waiting { entries, done }).await.is_err() {
            return Err(stopped);
        }
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(StoreError::Unavailable(cause)),
            Err(_) => Err(stopped),
        }
    }
}

async fn run(store: Store, mut waiting: mpsc::Receiver<Waiting>, closed: CancellationToken) {
    loop {
        let first = tokio::select! {
            biased;
            first = waiting.recv() => first,
            () = closed.cancelled() => {
                waiting.close();
                waiting.recv().await
            }
        };
        let Some(first) = first else { return };
        let mut entries = first.entries;
        let mut done = vec![first.done];
        while entries.len() < GROUP_ENTRIES_MAX {
            let Ok(next) = waiting.try_recv() else { break };
            entries.extend(next.entries);
            done.push(next.done);
        }
        let result = keep(&store, &entries).await;
        if let Err(error) = &result {
            tracing::error!(%error, "the transfer log can't be written");
        }
        for done in done {
            // Who went away finds the record in the log.
            let _ = done.send(match &result {
                Ok(()) => Ok(()),
                Err(_) => Err("the transfer log can't be written"),
            });
        }
    }
}

async fn keep(store: &Store, entries: &[LogEntry]) -> Result<(), StoreError> {
    let mut transaction = store.begin_write("append_log").await?;
    transaction.append_log(entries).await?;
    transaction.commit().await
}
