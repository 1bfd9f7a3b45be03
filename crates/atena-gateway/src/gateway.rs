//! The gateway put together: settings → rules, database, keys → services behind the door.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use atena_domain::MunicipalityCode;
use atena_policy::Accounts;
use atena_proto::v1::address_service_server::AddressServiceServer;
use atena_proto::v1::linkage_service_server::LinkageServiceServer;
use atena_proto::v1::record_service_server::RecordServiceServer;
use atena_proto::v1::transfer_log_service_server::TransferLogServiceServer;
use atena_store::{Database, Log as WhichLog, StoreError};
use atena_vault::{Vault, VaultError};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};
use tower::Layer as _;

use crate::admin::{Action, Actor, AdminError, AdminLog};
use crate::clock::Clock;
use crate::clock_guard::ClockGuard;
use crate::config::Config;
use crate::databases::Databases;
use crate::door::{self, Door, TlsError, own_certificate};
use crate::hall::{Hall, OtherMunicipality, Watched, first_keys};
use crate::health::Health;
use crate::load::{self, LoadError, people_of, policy_of};
use crate::log::freshness::{self, FreshnessError};
use crate::log::fsck::Finding;
use crate::log::{Log, LogKeyError, LogKeys, Observer, SignError, WitnessRefused, before_serving};
use crate::metrics::Metrics;
use crate::reload::{Reload, tell_warnings};
use crate::retention;
use crate::service::address::Address;
use crate::service::linkage::{Linkage, upkeep};
use crate::service::record::Record;
use crate::service::transfer_log::TransferLog;
use crate::start::{StartStep, place_of};
use crate::unreadable::UnreadableLayer;

/// A gateway that has passed every check of its start: rules proved, keys open, database migrated.
pub struct Gateway {
    hall: Arc<Hall>,
    door: Arc<Door>,
    reload: Reload,
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
    /// The rules or the accounts can't be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Rules that were read anew are of another municipality.
    #[error(transparent)]
    OtherMunicipality(#[from] OtherMunicipality),
    /// The keys were refused.
    #[error(transparent)]
    Keys(#[from] VaultError),
    /// A token without keys, before anything was sealed.
    #[error(
        "the token has no keys of municipality {}, and nothing is stored yet; make them: atena keys generate --home DIR",
        .0.as_str()
    )]
    NoKeysYet(MunicipalityCode),
    /// A token without keys, where there is data.
    #[error(
        "the token has no keys of municipality {}, and the database has data that is sealed with them. The token that holds the keys is missing: put it back, or have its backup restored. New keys would open nothing of it",
        .0.as_str()
    )]
    KeysElsewhere(MunicipalityCode),
    /// The key of the transfer log can't be used.
    #[error("the key of the transfer log can't be used: {0}")]
    LogKey(#[from] LogKeyError),
    /// The log can't be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A witness in the settings.
    #[error(transparent)]
    Witness(#[from] WitnessRefused),
    /// The database may be an old copy, or the keys are not its own.
    #[error("{0}")]
    NotFresh(#[from] Box<FreshnessError>),
    /// The transfer log is not what was signed.
    #[error("the transfer log is damaged: {0}. Nothing is served. Run `atena log fsck` to see everything that differs")]
    LogDamaged(Finding),
    /// The admin log is not what was signed.
    #[error("the admin log is damaged: {0}. Nothing is served. Run `atena log fsck` to see everything that differs")]
    AdminLogDamaged(Finding),
    /// The admin log can't be written.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The database can't be used.
    #[error("the database can't be used: {0}")]
    Store(#[from] StoreError),
    /// The certificates can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address can't be listened on.
    #[error("cannot listen on {address}: {source}{}", listen_remedy(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The reflection service could not be built from the contract.
    #[error("the contract can't be shown by reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

// === impl Gateway ===

impl Gateway {
    /// Reads and proves the rules, opens the keys and the database, and loads the certificates.
    ///
    /// # Errors
    /// [`GatewayError`]: whatever is wrong, nothing is served (fail closed).
    pub async fn open(config: Config, databases: &mut Databases, step: &StartStep) -> Result<Self, GatewayError> {
        let reload = Reload::of(&config);
        step.enter(format!("the rules, {}", config.policy_file.display()));
        let policy = policy_of(&config)?;
        let people = people_of(&config)?;
        step.enter(format!("the keys, {}", config.keys_place()));
        let vault = open_vault(&config, policy.municipality_code()).await?;
        step.enter(format!("the certificates, {}", config.tls.certificate.display()));
        let door = Arc::new(Door::of(config.tls.clone(), config.limits.clone(), policy.municipality_code())?);
        step.enter(format!("the database, {}", place_of(&config.database_url)));
        let database = databases.open(&config.store_options()).await?;
        step.enter(format!("a transaction in the database, {}", place_of(&config.database_url)));
        let store = database.of(policy.municipality_code().clone()).await?;
        let municipality = policy.municipality_code();
        freshness::check(&store, municipality, &vault, &config).await.map_err(Box::new)?;
        step.enter("the check of the logs");
        let keys = LogKeys::of(WhichLog::Transfers, municipality, &vault)?;
        for log in WhichLog::ALL {
            let keys = LogKeys::of(log, municipality, &vault)?;
            let file = config.log.checkpoint_file_of(log);
            if let Some(finding) = before_serving::first_difference(&store, municipality, log, &keys, file).await? {
                return Err(match log {
                    WhichLog::Transfers => GatewayError::LogDamaged(finding),
                    WhichLog::Administration => GatewayError::AdminLogDamaged(finding),
                });
            }
        }
        step.enter("the transaction of another gateway or command");
        store.ensure_key_state(&first_keys(&vault)).await?;
        step.enter("the newest leaves of the logs");
        let own = config.tls.certificate.clone();
        let days_max = config.clock.ahead_of_log_days_max;
        let clock = ClockGuard::new(Clock::System, &store, days_max, Box::new(move || own_certificate(&own)));
        // Before this start is itself a leaf of the admin log.
        clock.check_at_start().await?;
        let in_use = keys.in_use(&store.log_keys().await?);
        let (_, key) = in_use.and_then(|keys| keys.last().copied()).ok_or(SignError::KeyMissing)?;
        let watched = Watched {
            metrics: Arc::new(Metrics::of(municipality)),
            health: Arc::new(Health::new()),
            clock: Arc::new(clock),
        };
        let log = Log::start(&store, &vault, municipality, key.clone(), &config.log, observer(&watched))?;
        let file = config.log.admin_checkpoint_file.clone();
        let admin = AdminLog::of(&store, &vault, municipality, file, policy.hash(), Actor::of_process());
        let logs = (Arc::new(log), Arc::new(admin));
        let hall = Arc::new(Hall::of(policy, people, store, vault, logs, config.limits, watched));
        tell_warnings(&hall);
        hall.log.spawn(|stop| retention::run(Arc::clone(&hall), config.log.retention, stop));
        hall.log.spawn(|stop| upkeep::run(Arc::clone(&hall), config.feeds, stop));
        let (clock, admin, metrics) = (Arc::clone(&hall.clock), Arc::clone(&hall.admin), Arc::clone(&hall.metrics));
        hall.log.spawn(|stop| clock.run(admin, metrics, stop));
        Ok(Self { hall, door, reload })
    }

    /// Opens the port; port 0 lets the kernel choose one.
    ///
    /// # Errors
    /// [`GatewayError::Listen`], [`GatewayError::Admin`].
    pub async fn bind(self, listen: SocketAddr, step: &StartStep) -> Result<BoundGateway, GatewayError> {
        step.enter(format!("the admin log, and the address {listen}"));
        let failed = |source| GatewayError::Listen { address: listen, source };
        let open = async { TcpListener::bind(listen).await.map_err(failed) };
        let opened = self.hall.admin.during(Action::StartGateway, open, |_| 0).await;
        let bound = opened.and_then(|listener| Ok((listener.local_addr().map_err(failed)?, listener)));
        match bound {
            Ok((address, listener)) => Ok(BoundGateway { gateway: self, listener, address }),
            Err(error) => {
                // A municipality that is not served is left alone: nothing signs or erases for it.
                self.hall.log.stop().await;
                Err(error)
            }
        }
    }
}

// === impl BoundGateway ===

impl BoundGateway {
    /// The municipality that it serves.
    #[must_use]
    pub fn municipality_code(&self) -> &MunicipalityCode {
        self.gateway.hall.municipality_code()
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
        let Gateway { hall, door, reload } = self.gateway;
        let stop = CancellationToken::new();
        let streams = Arc::clone(&door).accept(self.listener, stop.clone());
        hall.log.spawn(|stop| reload.run(Arc::clone(&hall), door, stop));
        let services = UnreadableLayer { hall: Arc::clone(&hall) }.layer(routes(&hall)?);
        let serving = door::serve(streams, services, &hall.limits, &stop);
        let stopping = Mutex::new(None);
        let drained = async {
            shutdown.await;
            // A gateway that can't record it has to stop all the same: it serves nobody, because nothing else can be recorded either.
            match hall.admin.begin(Action::StopGateway).await {
                Ok(begun) => *stopping.lock().await = Some(begun),
                Err(error) => tracing::error!(%error, "that the gateway stops is not in the admin log"),
            }
            stop.cancel();
            tokio::time::sleep(Duration::from_secs(hall.limits.drain_timeout_s)).await;
        };
        tokio::select! {
            () = serving => (),
            () = drained => tracing::warn!("calls under way did not finish in time and were cut off"),
        }
        hall.log.stop().await;
        if let Some(begun) = stopping.into_inner()
            && let Err(error) = hall.admin.end(begun, 0).await
        {
            tracing::error!(%error, "that the gateway has stopped is not in the admin log");
        }
        Ok(())
    }
}

/// Notes in health and metrics whether the log can be written.
fn observer(watched: &Watched) -> Observer {
    let (health, metrics) = (Arc::clone(&watched.health), Arc::clone(&watched.metrics));
    Box::new(move |commit| {
        health.note(commit.is_some());
        if let Some(took) = commit {
            metrics.log_commit(took);
        }
    })
}

/// What to do about an address that can't be listened on.
fn listen_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            ". Another program listens there, perhaps a gateway of this home: stop it, or change listen in atena.toml"
        }
        io::ErrorKind::AddrNotAvailable => ". This machine has no such address: change listen in atena.toml",
        io::ErrorKind::PermissionDenied => {
            ". Ports below 1024 need a right of their own: use a higher one in listen in atena.toml"
        }
        _ => "",
    }
}

/// The keys of a municipality. Where a token has none, what to do depends on whether there is data that needs them.
pub(crate) async fn open_vault(config: &Config, municipality: &MunicipalityCode) -> Result<Arc<Vault>, GatewayError> {
    match Vault::open(&config.key_source(), municipality) {
        Err(VaultError::TokenWithoutKeys { .. }) => Err(match is_used(config, municipality).await? {
            true => GatewayError::KeysElsewhere(municipality.clone()),
            false => GatewayError::NoKeysYet(municipality.clone()),
        }),
        vault => Ok(Arc::new(vault?)),
    }
}

/// Whether the database of these settings has been used for this municipality: then there are keys somewhere that it needs.
///
/// # Errors
/// [`GatewayError::Store`].
pub async fn is_used(config: &Config, municipality: &MunicipalityCode) -> Result<bool, GatewayError> {
    let options = config.store_options();
    if options.sqlite_file().is_some_and(|file| !file.exists()) {
        return Ok(false);
    }
    let database = Database::open(&options).await?;
    let used = database.municipalities().await.map(|all| all.contains(municipality));
    database.close().await;
    Ok(used?)
}

/// The municipality that a gateway with these settings serves.
///
/// # Errors
/// [`GatewayError`] where the rules, which say it, are refused.
pub fn municipality_of(config: &Config) -> Result<MunicipalityCode, GatewayError> {
    Ok(policy_of(config)?.municipality_code().clone())
}

/// The ids of the systems in the registry of a gateway with these settings, revoked or not.
///
/// # Errors
/// As [`municipality_of`].
pub fn registered_systems(config: &Config) -> Result<Vec<String>, GatewayError> {
    Ok(policy_of(config)?.systems().map(|system| system.id().as_str().to_owned()).collect())
}

/// The accounts that the settings name; none without settings for people.
///
/// # Errors
/// [`GatewayError::Load`] where they can't be read or are refused.
pub fn accounts_of(config: &Config) -> Result<Accounts, GatewayError> {
    Ok(load::accounts_of(config)?)
}

fn routes(hall: &Arc<Hall>) -> Result<Routes, GatewayError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let (vault, metrics) = (Arc::clone(&hall.vault), Arc::clone(&hall.metrics));
    hall.log.spawn(|stop| Arc::clone(&hall.clock).report(health.clone(), stop));
    hall.log.spawn(|stop| Arc::clone(&hall.health).report(hall.store.clone(), health, stop));
    hall.log.spawn(|stop| Arc::clone(&hall.health).watch_keys(vault, metrics, stop));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(atena_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let size = hall.limits.message_bytes_max;
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
    let tiles = crate::tiles::router(Arc::clone(hall));
    Ok(Routes::from(routes.routes().into_axum_router().merge(tiles)).prepare())
}
