//! The transfer log: how records become leaves, are kept together, signed, searched and proved.
//!
//! `entry` turns a record into a leaf and its sealed details, `shapes` keeps what leaves share; `writer` keeps the records of concurrent
//! calls in one durable commit; `record` is the way in for calls; `signer` signs the head of the log soon after; `indexer` derives the search index; `search` answers auditors.

pub(crate) mod before_serving;
mod details;
mod entry;
pub(crate) mod export;
pub(crate) mod freshness;
pub(crate) mod fsck;
pub(crate) mod head;
mod indexer;
mod keys;
pub(crate) mod query;
mod record;
pub(crate) mod retention;
pub(crate) mod search;
mod shapes;
mod signer;
mod witness;
mod writer;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use atena_domain::MunicipalityCode;
use atena_ledger::{Note, VerifierKey};
use atena_store::Store;
use atena_vault::Vault;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{LogConfig, WitnessConfig};

pub(crate) use details::{Details, damaged, place, proof_number};
pub(crate) use entry::{entries, microseconds};
use head::Head;
pub use head::SignError;
pub use keys::{LogKeyError, LogKeys};
pub(crate) use shapes::Shapes;

/// A witness in the settings that can't be asked.
#[derive(Debug, thiserror::Error)]
#[error("the witness {url} needs an http:// address and the key that `atena witness` prints")]
pub struct WitnessRefused {
    url: String,
}

/// Called after each commit of the log with the time it took; with nothing if it failed.
pub(crate) type Observer = Box<dyn Fn(Option<Duration>) + Send + Sync>;

/// The running log of one municipality.
pub(crate) struct Log {
    pub(crate) store: Store,
    pub(crate) vault: Arc<Vault>,
    observer: Observer,
    writer: writer::Writer,
    shapes: Shapes,
    grown: Arc<Notify>,
    newest: watch::Receiver<Option<Head>>,
    cosigned: Vec<watch::Receiver<Option<String>>>,
    /// The key that verifies heads until there is one.
    first_key: VerifierKey,
    tasks: TaskTracker,
    stop: CancellationToken,
}

// === impl Log ===

impl Log {
    /// Starts the log's tasks.
    ///
    /// # Errors
    /// A witness in the settings has no usable address or key.
    pub(crate) fn start(
        store: &Store,
        vault: &Arc<Vault>,
        municipality: &MunicipalityCode,
        first_key: VerifierKey,
        config: &LogConfig,
        observer: Observer,
    ) -> Result<Self, WitnessRefused> {
        // Before any task runs: a gateway that does not start leaves none behind.
        let witness = |witness: &WitnessConfig| {
            let refused = || WitnessRefused { url: witness.url.clone() };
            let (address, path) = witness.place().ok_or_else(refused)?;
            let key = VerifierKey::parse(&witness.key).map_err(|_| refused())?;
            Ok(witness::Witness { store: store.clone(), address, path, key })
        };
        let witnesses = config.witness.iter().map(witness).collect::<Result<Vec<_>, _>>()?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let grown = Arc::new(Notify::new());
        let (writer, writing) = writer::Writer::new(store.clone());
        tasks.spawn(writing);
        let (publish, newest) = watch::channel(None);
        let signer = signer::Signer {
            store: store.clone(),
            vault: Arc::clone(vault),
            municipality: municipality.clone(),
            publish,
            file: config.checkpoint_file.clone(),
            interval: config.checkpoint_interval(),
            signed: AtomicU64::new(0),
        };
        tasks.spawn(signer.run(Arc::clone(&grown), stop.clone()));
        tasks.spawn(indexer::run(store.clone(), stop.clone()));
        let mut cosigned = Vec::new();
        for witness in witnesses {
            let (publish, heads) = watch::channel(None);
            tasks.spawn(witness.run(newest.clone(), publish, stop.clone()));
            cosigned.push(heads);
        }
        tasks.close();
        Ok(Self {
            store: store.clone(),
            vault: Arc::clone(vault),
            observer,
            writer,
            shapes: Shapes::default(),
            grown,
            newest,
            cosigned,
            first_key,
            tasks,
            stop,
        })
    }

    /// The newest key that verifies the newest signed head.
    pub(crate) fn key(&self) -> VerifierKey {
        self.newest.borrow().as_ref().map_or_else(|| self.first_key.clone(), |head| head.key.clone())
    }

    /// The newest signed head, once there is one; with the cosignatures that it has by now.
    pub(crate) fn newest_head(&self) -> Option<Head> {
        let Head { note, key } = self.newest.borrow().clone()?;
        let mut note = Note::parse(&note).ok()?;
        for cosigned in &self.cosigned {
            let of_witness = cosigned.borrow().as_deref().and_then(|text| Note::parse(text).ok());
            if let Some(of_witness) = of_witness.filter(|of_witness| of_witness.text == note.text) {
                let others = of_witness.signatures.into_iter().filter(|line| !note.signatures.contains(line));
                let others: Vec<_> = others.collect();
                note.signatures.extend(others);
            }
        }
        Some(Head { note: note.to_string(), key })
    }

    /// A signed head of more than `index` leaves: soon after a commit there is one. `None` where the log has stopped.
    pub(crate) async fn checkpoint_over(&self, index: u64) -> Option<String> {
        // Of those who ask, some know the newest key alone.
        let covers = |note: &str, key: &VerifierKey| {
            atena_ledger::open_checkpoint(note, key).is_ok_and(|checkpoint| checkpoint.size > index)
        };
        // One that a witness cosigned says more than one that is merely newer.
        let key = self.key();
        let cosigned =
            self.cosigned.iter().find_map(|cosigned| cosigned.borrow().clone().filter(|note| covers(note, &key)));
        if let Some(note) = cosigned {
            return Some(note);
        }
        let mut newest = self.newest.clone();
        let newest = newest.wait_for(|head| head.as_ref().is_some_and(|head| covers(&head.note, &head.key))).await.ok();
        newest.and_then(|head| head.as_ref().map(|head| head.note.clone()))
    }

    /// Runs a task beside the log's own, until the log stops.
    pub(crate) fn spawn<F>(&self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task(self.stop.clone()));
    }

    /// Ends the tasks: the last head is signed before.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.writer.close();
        self.tasks.wait().await;
    }
}

/// How the log names that a caller fetched parts of a log over HTTPS.
pub(crate) const FETCH: &str = "Log/Fetch";

/// Whether a method of a transfer record is a question about the log itself: by an auditor, or for
/// a report.
#[must_use]
pub fn is_audit(method: &str) -> bool {
    method == FETCH || method.starts_with("TransferLogService/")
}

/// How the log names the erasure of a person.
pub(crate) const PERSON_ERASED: &str = "Person/Erase";
