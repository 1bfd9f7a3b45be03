//! Signs the head of the log soon after it has grown. A signed head is kept in the database before anybody sees it, so that two
//! different heads of one size can't exist, and in a file beside it, so that a database from an old backup is found out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atena_domain::MunicipalityCode;
use atena_store::{Log, Store, StoredCheckpoint};
use atena_vault::Vault;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::head::{self, Head, SignError};

/// After how many signed heads those that say nothing more are forgotten.
const THIN_OUT_EVERY: u64 = 1000;

/// The task that signs.
pub(super) struct Signer {
    pub(super) store: Store,
    pub(super) vault: Arc<Vault>,
    pub(super) municipality: MunicipalityCode,
    pub(super) publish: watch::Sender<Option<Head>>,
    pub(super) file: PathBuf,
    pub(super) interval: Duration,
    /// Heads signed since the start.
    pub(super) signed: AtomicU64,
}

// === impl Signer ===

impl Signer {
    /// Signs whenever the log has grown, at most once in an interval, and once more at the end.
    pub(super) async fn run(self, grown: Arc<Notify>, stop: CancellationToken) {
        let mut told = None;
        self.sign_or_tell(&mut told).await;
        while !stop.is_cancelled() {
            tokio::select! {
                () = grown.notified() => {}
                // Another gateway may have let it grow.
                () = tokio::time::sleep(self.interval) => {}
                () = stop.cancelled() => {}
            }
            self.sign_or_tell(&mut told).await;
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = stop.cancelled() => {}
            }
        }
        self.sign_or_tell(&mut told).await;
    }

    /// Tells of each trouble once: a token that is away for an hour would fill the log.
    async fn sign_or_tell(&self, told: &mut Option<String>) {
        let trouble = self.sign().await.err().map(|error| error.to_string());
        match &trouble {
            Some(error) if *told != trouble => tracing::error!(%error, "the head of the transfer log was not signed"),
            None if told.is_some() => tracing::warn!("the head of the transfer log is signed again"),
            _ => {}
        }
        *told = trouble;
    }

    async fn sign(&self) -> Result<(), SignError> {
        let newest = self.store.newest_checkpoint().await?;
        let kept = match newest {
            Some(newest) if newest.size == self.store.log_size().await? => newest,
            _ => self.sign_head().await?,
        };
        let shown = self.publish.borrow().as_ref().is_some_and(|head| head.note == kept.note);
        if !shown {
            let (keys, key) = head::keys_of(Log::Transfers, &self.municipality, &self.vault, &kept.note)?;
            head::keep_beside(&self.file, &kept, &keys)?;
            self.publish.send_replace(Some(Head { note: kept.note, key }));
        }
        Ok(())
    }

    /// Signs and keeps the head, in one transaction with reading it.
    async fn sign_head(&self) -> Result<StoredCheckpoint, SignError> {
        let mut transaction = self.store.begin_write("sign_log_head").await?;
        let thin_out = self.signed.fetch_add(1, Ordering::Relaxed).is_multiple_of(THIN_OUT_EVERY);
        let head = head::sign(&mut transaction, &self.vault, &self.municipality, thin_out).await?;
        transaction.commit().await?;
        Ok(head)
    }
}
