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

    /// A head that is not in the file yet is kept there before another one is signed: a file that
    /// is more than two heads behind the database is taken for an old one, and the next start is
    /// refused.
    async fn sign(&self) -> Result<(), SignError> {
        let newest = self.store.newest_checkpoint().await?;
        if let Some(newest) = &newest {
            self.show(newest)?;
        }
        let size = self.store.log_size().await?;
        if newest.is_none_or(|newest| newest.size != size) {
            self.show(&self.sign_head().await?)?;
        }
        Ok(())
    }

    /// Keeps a head beside the database and shows it, unless that was done.
    fn show(&self, head: &StoredCheckpoint) -> Result<(), SignError> {
        let shown = self.publish.borrow().as_ref().is_some_and(|shown| shown.note == head.note);
        if !shown {
            let (keys, key) = head::keys_of(Log::Transfers, &self.municipality, &self.vault, &head.note)?;
            head::keep_beside(&self.file, head, &keys)?;
            self.publish.send_replace(Some(Head { note: head.note.clone(), key }));
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

#[cfg(test)]
mod tests {
    use atena_ledger::Outcome;

    use super::*;
    use crate::test_town::{append, day, leaf, municipality, open_store, open_vault, shape};

    #[tokio::test]
    async fn no_further_head_is_signed_while_the_last_one_is_not_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(&folder).await;
        let (publish, newest) = watch::channel(None);
        let place = folder.path().join("mounted");
        let signer = Signer {
            store: store.clone(),
            vault: Arc::new(open_vault(&folder)),
            municipality: municipality(),
            publish,
            file: place.join("log.checkpoint"),
            interval: Duration::from_millis(1),
            signed: AtomicU64::new(0),
        };
        let size = async || store.newest_checkpoint().await.unwrap().map(|head| head.size);
        for number in 1..=4 {
            append(&store, &shape("Test/Test", "atena", Vec::new()), leaf(number, day(0), Outcome::Done)).await;
            assert!(matches!(signer.sign().await, Err(SignError::File(_))));
            assert_eq!(size().await, Some(1), "the first head waits for the file");
        }
        assert!(newest.borrow().is_none(), "what is not kept is not shown");
        std::fs::create_dir(&place).unwrap();
        signer.sign().await.unwrap();
        assert_eq!(size().await, Some(4));
        let note = newest.borrow().as_ref().map(|head| head.note.clone()).unwrap();
        assert_eq!(std::fs::read_to_string(place.join("log.checkpoint")).unwrap(), note);
    }
}
