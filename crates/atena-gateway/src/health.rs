//! Health (grpc.health.v1): serving only while the transfer log can be written, because nothing is released without it.

use std::sync::Arc;
use std::time::Duration;

use atena_proto::v1::address_service_server::AddressServiceServer;
use atena_proto::v1::linkage_service_server::LinkageServiceServer;
use atena_proto::v1::record_service_server::RecordServiceServer;
use atena_proto::v1::transfer_log_service_server::TransferLogServiceServer;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::hall::Hall;
use crate::service::address::Address;
use crate::service::linkage::Linkage;
use crate::service::record::Record;
use crate::service::transfer_log::TransferLog;

/// The gateway as a whole, and each of its services.
const SERVICES: [&str; 5] = [
    "",
    <AddressServiceServer<Address> as NamedService>::NAME,
    <RecordServiceServer<Record> as NamedService>::NAME,
    <LinkageServiceServer<Linkage> as NamedService>::NAME,
    <TransferLogServiceServer<TransferLog> as NamedService>::NAME,
];

/// How often a gateway that could not write tries again by itself, and how often a token with the keys is looked at.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

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
    pub(crate) async fn report(hall: Arc<Hall>, reporter: HealthReporter, stop: CancellationToken) {
        let mut state = hall.health.state.subscribe();
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
                    if hall.store.probe_write().await.is_ok() {
                        hall.health.note(true);
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    /// Looks at a token with the keys, until stopped: it may go away while no call needs it.
    pub(crate) async fn watch_keys(hall: Arc<Hall>, stop: CancellationToken) {
        let mut told: Option<String> = None;
        while hall.vault.may_go_away() {
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => (),
                () = stop.cancelled() => return,
            }
            let vault = Arc::clone(&hall.vault);
            // A token may be slow to answer, or not answer at all.
            let probed = tokio::task::spawn_blocking(move || vault.probe().map_err(|error| error.to_string())).await;
            let trouble = probed.unwrap_or_else(|error| Err(error.to_string())).err();
            hall.metrics.keys_away(trouble.is_some());
            hall.health.note_keys(trouble.is_none());
            match &trouble {
                Some(error) if told != trouble => {
                    tracing::error!(%error, "the keys can't be used: nothing is released until they can");
                }
                None if told.is_some() => tracing::warn!("the keys can be used again"),
                _ => {}
            }
            told = trouble;
        }
    }
}
