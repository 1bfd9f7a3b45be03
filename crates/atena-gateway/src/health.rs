//! Health (grpc.health.v1): serving only while the transfer log can be written, because nothing is released without it.

use std::sync::Arc;
use std::time::Duration;

use atena_proto::v1;
use atena_store::Store;
use atena_vault::Vault;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::metrics::Metrics;

/// The gateway as a whole, and each of its services.
const SERVICES: [&str; 5] = [
    "",
    v1::address_service_server::SERVICE_NAME,
    v1::record_service_server::SERVICE_NAME,
    v1::linkage_service_server::SERVICE_NAME,
    v1::transfer_log_service_server::SERVICE_NAME,
];

/// How often a gateway that could not write tries again by itself, and how often a token with the keys is looked at.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long a token has to answer until it counts as away.
const PROBE_MAX: Duration = Duration::from_secs(5);

/// What has to work so that anything can be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// Whether the log could be written the last time.
    writable: bool,
    /// Whether the keys could be used the last time.
    keys: bool,
}

/// Whether anything can be released.
pub(crate) struct Health {
    state: watch::Sender<State>,
}

// === impl Health ===

impl Health {
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(State { writable: true, keys: true }) }
    }

    /// Notes whether the log could be written.
    pub(crate) fn note(&self, writable: bool) {
        self.state.send_if_modified(|known| std::mem::replace(&mut known.writable, writable) != writable);
    }

    fn note_keys(&self, keys: bool) {
        self.state.send_if_modified(|known| std::mem::replace(&mut known.keys, keys) != keys);
    }

    /// Tells everybody who asks, until stopped.
    pub(crate) async fn report(self: Arc<Self>, store: Store, reporter: HealthReporter, stop: CancellationToken) {
        let mut state = self.state.subscribe();
        loop {
            let now = *state.borrow_and_update();
            let well = now.writable && now.keys;
            let status = if well { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in SERVICES {
                reporter.set_service_status(service, status).await;
            }
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY_INTERVAL), if !now.writable => {
                    if store.probe_write().await.is_ok() {
                        self.note(true);
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    /// Looks at a token with the keys, until stopped: it may go away while no call needs it, and it
    /// may not answer at all.
    pub(crate) async fn watch_keys(self: Arc<Self>, vault: Arc<Vault>, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut told: Option<String> = None;
        let mut tell = |trouble: Option<String>| {
            metrics.keys_away(trouble.is_some());
            self.note_keys(trouble.is_none());
            match &trouble {
                Some(error) if told != trouble => {
                    tracing::error!(%error, "the keys can't be used: nothing is released until they can");
                }
                None if told.is_some() => tracing::warn!("the keys can be used again"),
                _ => {}
            }
            told = trouble;
        };
        while vault.may_go_away() {
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => (),
                () = stop.cancelled() => return,
            }
            let vault = Arc::clone(&vault);
            let probe = move || vault.probe().map_err(|error| error.to_string());
            if answered(probe, PROBE_MAX, &mut tell, &stop).await.is_none() {
                return;
            }
        }
    }
}

/// Tells the answer of a probe, and every so often that there is none yet. One probe at a time:
/// each that hangs holds a thread. `None`: stopped.
async fn answered(
    probe: impl FnOnce() -> Result<(), String> + Send + 'static,
    every: Duration,
    mut tell: impl FnMut(Option<String>),
    stop: &CancellationToken,
) -> Option<()> {
    let (done, mut answer) = oneshot::channel();
    // A thread of its own: the end of the runtime waits for those that it lends, also where they
    // never come back.
    let spawned = std::thread::Builder::new().name("token-probe".to_owned()).spawn(move || done.send(probe()));
    if let Err(error) = spawned {
        tell(Some(error.to_string()));
        return Some(());
    }
    loop {
        tokio::select! {
            answer = &mut answer => {
                tell(answer.unwrap_or_else(|_| Err("looking at it failed".to_owned())).err());
                return Some(());
            }
            () = tokio::time::sleep(every) => tell(Some("the token does not answer".to_owned())),
            () = stop.cancelled() => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_token_that_hangs_is_told_and_keeps_neither_its_return_nor_the_end_waiting() {
        let (stop, every) = (CancellationToken::new(), Duration::from_millis(1));
        let (release, hangs) = mpsc::channel();
        let (told, mut says) = tokio::sync::mpsc::unbounded_channel();
        let tell = move |trouble: Option<String>| told.send(trouble).unwrap();
        let probe = move || hangs.recv().map_err(|error| error.to_string());
        let watch = answered(probe, every, tell.clone(), &stop);
        let meanwhile = async {
            assert_eq!(says.recv().await.unwrap().unwrap(), "the token does not answer");
            release.send(()).unwrap();
            while says.recv().await.unwrap().is_some() {}
        };
        let (ended, ()) = tokio::join!(watch, meanwhile);
        assert_eq!(ended, Some(()));
        let (_held, hangs) = mpsc::channel();
        stop.cancel();
        let probe = move || hangs.recv().map_err(|error| error.to_string());
        assert_eq!(answered(probe, every, tell, &stop).await, None);
    }
}
