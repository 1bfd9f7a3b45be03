//! The gateway put together: settings → rules, database, keys → services behind the door.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use atena_domain::MunicipalityCode;
use atena_policy::{Policy, PolicyError};
use atena_proto::v1::address_service_server::AddressServiceServer;
use atena_proto::v1::linkage_service_server::LinkageServiceServer;
use atena_proto::v1::record_service_server::RecordServiceServer;
use atena_proto::v1::transfer_log_service_server::TransferLogServiceServer;
use atena_store::StoreError;
use atena_vault::{Vault, VaultError};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::Server;

use crate::catalog::field_catalog;
use crate::clock;
use crate::config::{Config, Limits};
use crate::databases::Databases;
use crate::door::{self, TlsError};
use crate::hall::Hall;
use crate::health::Health;
use crate::log::fsck::{Depth, Finding, fsck};
use crate::log::retention;
use crate::log::{Log, LogKeyError, WitnessRefused, log_key};
use crate::metrics::Metrics;
use crate::service::address::Address;
use crate::service::linkage::{Linkage, Together};
use crate::service::record::Record;
use crate::service::transfer_log::TransferLog;
use crate::unreadable::UnreadableLayer;

/// A gateway that has passed every check of its start: rules proved, keys open, database migrated.
pub struct Gateway {
    hall: Arc<Hall>,
    tls: Arc<ServerConfig>,
}

/// A gateway with its port open.
pub struct BoundGateway {
    gateway: Gateway,
    listener: TcpListener,
    address: SocketAddr,
}

/// Why a gateway did not start or stopped.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The rules can't be read.
    #[error("cannot read the rules {path}: {source}")]
    PolicyUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The rules were refused; every problem with its line.
    #[error("{path} is refused:\n{source}")]
    PolicyRefused {
        /// The file.
        path: PathBuf,
        /// Every problem.
        source: PolicyError,
    },
    /// The keys were refused.
    #[error(transparent)]
    Keys(#[from] VaultError),
    /// The key of the transfer log can't be used.
    #[error("the key of the transfer log can't be used: {0}")]
    LogKey(#[from] LogKeyError),
    /// A witness in the settings.
    #[error(transparent)]
    Witness(#[from] WitnessRefused),
    /// The transfer log is not what was signed.
    #[error("the transfer log is damaged: {0}. Nothing is served. Run `atena log fsck` to see everything that differs")]
    LogDamaged(Finding),
    /// The database can't be used.
    #[error("the database can't be used: {0}")]
    Store(#[from] StoreError),
    /// The certificates can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address can't be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The reflection service could not be built from the contract.
    #[error("the contract can't be shown by reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// HTTP/2 failed as a whole.
    #[error("the server stopped: {0}")]
    Serve(#[from] tonic::transport::Error),
}

// === impl Gateway ===

impl Gateway {
    /// Reads and proves the rules, opens the keys and the database, and loads the certificates.
    ///
    /// # Errors
    /// [`GatewayError`]: whatever is wrong, nothing is served (fail closed).
    pub async fn open(config: Config, databases: &mut Databases) -> Result<Self, GatewayError> {
        let policy = policy_of(&config)?;
        let vault = Arc::new(Vault::open(&config.keys_file, policy.municipality_code())?);
        let tls = door::server_config(&config.tls)?;
        let database = databases.open(&config.store_options()).await?;
        let store = database.of(policy.municipality_code().clone()).await?;
        let key = log_key(policy.municipality_code(), &vault)?;
        let checked = fsck(&store, &key, &config.log.checkpoint_file, Depth::Start, |_, _| {}).await?;
        if let Some(finding) = checked.findings.into_iter().next() {
            return Err(GatewayError::LogDamaged(finding));
        }
        let log = Log::start(&store, &vault, key, &config.log)?;
        let metrics = Metrics::of(policy.municipality_code());
        let hall = Arc::new(Hall {
            policy,
            catalog: field_catalog(),
            store,
            together: Together::default(),
            vault,
            log,
            limits: config.limits,
            metrics,
            health: Health::new(),
        });
        hall.log.spawn(|stop| retention::run(Arc::clone(&hall), config.log.retention, stop));
        Ok(Self { hall, tls })
    }

    /// Opens the port; port 0 lets the kernel choose one.
    ///
    /// # Errors
    /// [`GatewayError::Listen`].
    pub async fn bind(self, listen: SocketAddr) -> Result<BoundGateway, GatewayError> {
        let failed = |source| GatewayError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(BoundGateway { gateway: self, listener, address })
    }
}

// === impl BoundGateway ===

impl BoundGateway {
    /// The municipality that it serves.
    #[must_use]
    pub fn municipality_code(&self) -> &MunicipalityCode {
        self.gateway.hall.policy.municipality_code()
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then lets calls under way finish (within `drain_timeout_s`). The databases stay
    /// open for other municipalities in them.
    ///
    /// # Errors
    /// [`GatewayError`] when serving failed as a whole.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), GatewayError> {
        let Gateway { hall, tls } = self.gateway;
        let limits = hall.limits.clone();
        let stop = CancellationToken::new();
        let streams = door::accept(self.listener, tls, limits.clone(), stop.clone());
        let routes = routes(&hall, &limits)?;
        let stopping = stop.clone();
        let serving = server(&limits)
            .layer(UnreadableLayer { hall: Arc::clone(&hall) })
            .add_routes(routes)
            .serve_with_incoming_shutdown(ReceiverStream::new(streams), async move {
                shutdown.await;
                stopping.cancel();
            });
        let drained = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(limits.drain_timeout_s)).await;
        };
        tokio::select! {
            served = serving => served?,
            () = drained => tracing::warn!("calls under way did not finish in time and were cut off"),
        }
        hall.log.stop().await;
        Ok(())
    }
}

/// The municipality that a gateway with these settings serves.
///
/// # Errors
/// [`GatewayError`] where the rules, which say it, are refused.
pub fn municipality_of(config: &Config) -> Result<MunicipalityCode, GatewayError> {
    Ok(policy_of(config)?.municipality_code().clone())
}

/// The release rules that the settings name, proved.
pub(crate) fn policy_of(config: &Config) -> Result<Policy, GatewayError> {
    let path = config.policy_file.clone();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(GatewayError::PolicyUnreadable { path, source }),
    };
    let today = clock::japanese_day(clock::now());
    Policy::compile(&text, &field_catalog(), today).map_err(|source| GatewayError::PolicyRefused { path, source })
}

fn server(limits: &Limits) -> Server {
    Server::builder()
        .max_concurrent_streams(limits.streams_per_connection_max)
        .concurrency_limit_per_connection(limits.calls_per_connection_max)
        .http2_max_header_list_size(limits.header_bytes_max)
        .http2_keepalive_interval(Some(Duration::from_secs(limits.keepalive_interval_s)))
        .http2_keepalive_timeout(Some(Duration::from_secs(limits.keepalive_timeout_s)))
        .max_connection_age(Duration::from_secs(limits.connection_age_max_s))
        .max_connection_age_grace(Duration::from_secs(limits.stream_timeout_s))
}

fn routes(hall: &Arc<Hall>, limits: &Limits) -> Result<Routes, GatewayError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    hall.log.spawn(|stop| Health::report(Arc::clone(hall), health, stop));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(atena_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let size = limits.message_bytes_max;
    let mut routes = RoutesBuilder::default();
    routes
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(AddressServiceServer::new(Address { hall: Arc::clone(hall) }).max_decoding_message_size(size))
        .add_service(RecordServiceServer::new(Record { hall: Arc::clone(hall) }).max_decoding_message_size(size))
        .add_service(LinkageServiceServer::new(Linkage { hall: Arc::clone(hall) }).max_decoding_message_size(size))
        .add_service(
            TransferLogServiceServer::new(TransferLog { hall: Arc::clone(hall) }).max_decoding_message_size(size),
        );
    let tiles = crate::log::serve::router(Arc::clone(hall));
    Ok(Routes::from(routes.routes().into_axum_router().merge(tiles)))
}
