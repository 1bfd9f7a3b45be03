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

/// How often a gateway that could not write tries again by itself.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Whether the log could be written the last time.
pub(crate) struct Health {
    writable: watch::Sender<bool>,
}

// === impl Health ===

impl Health {
    pub(crate) fn new() -> Self {
        Self { writable: watch::Sender::new(true) }
    }

    /// Notes whether the log could be written.
    pub(crate) fn note(&self, writable: bool) {
        self.writable.send_if_modified(|known| std::mem::replace(known, writable) != writable);
    }

    /// Tells everybody who asks, until stopped.
    pub(crate) async fn report(hall: Arc<Hall>, reporter: HealthReporter, stop: CancellationToken) {
        let mut writable = hall.health.writable.subscribe();
        loop {
            let well = *writable.borrow_and_update();
            let status = if well { ServingStatus::Serving } else { ServingStatus::NotServing };
            for service in SERVICES {
                reporter.set_service_status(service, status).await;
            }
            tokio::select! {
                changed = writable.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY_INTERVAL), if !well => {
                    if hall.store.probe_write().await.is_ok() {
                        hall.health.note(true);
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }
}
