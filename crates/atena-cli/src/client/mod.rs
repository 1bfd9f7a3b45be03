//! The way to a gateway: HTTP/2 over TLS 1.3 with a client certificate, and the sign-in of whoever is at a console.

mod failure;
mod line;
mod shown;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use atena_gateway::Config;
use atena_proto::v1::address_service_client::AddressServiceClient;
use atena_proto::v1::linkage_service_client::LinkageServiceClient;
use atena_proto::v1::record_service_client::RecordServiceClient;
use atena_proto::v1::transfer_log_service_client::TransferLogServiceClient;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, crypto};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Endpoint, Uri};

use self::failure::LinkCause;
pub(crate) use self::failure::LinkFailure;
use self::line::{Line, Watch, Watched};
use self::shown::Shown;

use crate::credential::{Credential, certificates};
use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;
use crate::session;

/// Metadata key of the operator id (操作者ID).
const OPERATOR_ID: &str = "x-atena-operator-id";

/// Metadata key of a sign-in.
const AUTHORIZATION: &str = "authorization";

/// Time for each step to a connection: name, TCP and TLS.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A gateway that says nothing for so long is asked whether it is there, and has as long to answer.
const ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// HTTP/2, as TLS calls it.
const HTTP_2: &[u8] = b"h2";

/// Largest answer taken, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Who calls, and whom.
pub(crate) struct Caller<'a> {
    /// Where certificates and settings lie.
    pub(crate) home: &'a Home,
    /// The calling system, or `person/ID`.
    pub(crate) system: &'a str,
    /// HOST:PORT of the gateway; the `listen` of the settings where absent.
    pub(crate) server: Option<&'a str>,
    /// 操作者ID, where a person caused the call.
    pub(crate) operator: Option<&'a str>,
    /// Keeps everything received, decrypted.
    pub(crate) tape: Option<Tape>,
}

/// A connection to a gateway as one system or person.
#[derive(Clone)]
pub(crate) struct Client {
    line: Line,
    operator: Option<MetadataValue<Ascii>>,
    /// `Bearer TOKEN` of whoever is signed in at this console.
    sign_in: Option<MetadataValue<Ascii>>,
}

/// Every byte that came out of the TLS connection, in order.
#[derive(Clone, Default)]
pub(crate) struct Tape {
    bytes: Arc<Mutex<Vec<u8>>>,
}

// === impl Client ===

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`CliError::NoCertificate`], [`CliError::Link`], or a file that can't be used.
    pub(crate) async fn connect(caller: &Caller<'_>) -> Result<Self, CliError> {
        let operator = caller.operator.map(MetadataValue::try_from).transpose().map_err(|_| CliError::Malformed {
            what: "--operator",
            reason: "only visible ASCII characters are possible".to_owned(),
        })?;
        let server = match caller.server {
            Some(server) => server.to_owned(),
            None => Config::load(&caller.home.config())?.listen.to_string(),
        };
        let holder = Holder::parse(caller.system);
        let sign_in = match &holder {
            Holder::System(console) => {
                let token = session::read(caller.home, console)?;
                if let Some(token) = &token {
                    session::announce(caller.home, token);
                }
                token.as_ref().map(session::bearer).transpose()?
            }
            Holder::Person(_) => None,
        };
        let credential = Credential::of(caller.home, &holder)?;
        let own = credential.certified()?;
        let shown = Shown::new(&holder, &credential, &own.cert, caller.home.authority());
        let watch = Watch::new(&server, shown);
        let dial = Dial { tls: TlsConnector::from(tls_config(caller.home, own)?), name: server_name(&server)?, server };
        let (tape, watched) = (caller.tape.clone(), Arc::clone(&watch));
        let uri = format!("https://{}", dial.server);
        let connector = tower::service_fn(move |_: Uri| {
            let (dial, watch, tape) = (dial.clone(), Arc::clone(&watched), tape.clone());
            async move {
                watch.begin();
                let stream = dial.connect(WAIT_MAX).await.map_err(|cause| {
                    watch.note(cause.clone());
                    io::Error::other(watch.failure_of(cause))
                })?;
                Ok::<_, io::Error>(TokioIo::new(Watched::new(stream, watch, tape)))
            }
        });
        let malformed = |_| CliError::Malformed { what: "--server", reason: "write HOST:PORT".to_owned() };
        let channel = Endpoint::from_shared(uri)
            .map_err(malformed)?
            .http2_keep_alive_interval(ALIVE_INTERVAL)
            .keep_alive_timeout(ALIVE_INTERVAL)
            .connect_with_connector(connector)
            .await
            .map_err(|error| {
                let otherwise = || watch.failure_of(LinkCause::Unreachable(line::innermost(&error)));
                watch.failure().unwrap_or_else(otherwise)
            })?;
        Ok(Self { line: Line { channel, watch }, operator, sign_in })
    }

    /// 宛名.
    pub(crate) fn address(&self) -> AddressServiceClient<Line> {
        AddressServiceClient::new(self.line.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Push.
    pub(crate) fn records(&self) -> RecordServiceClient<Line> {
        RecordServiceClient::new(self.line.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Pull.
    pub(crate) fn linkage(&self) -> LinkageServiceClient<Line> {
        LinkageServiceClient::new(self.line.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The transfer log.
    pub(crate) fn transfer_log(&self) -> TransferLogServiceClient<Line> {
        TransferLogServiceClient::new(self.line.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// A request with the operator id, and the sign-in of whoever is at this console, in its metadata.
    pub(crate) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(operator) = &self.operator {
            request.metadata_mut().insert(OPERATOR_ID, operator.clone());
        }
        if let Some(sign_in) = &self.sign_in {
            request.metadata_mut().insert(AUTHORIZATION, sign_in.clone());
        }
        request
    }
}

/// A new `request_id`.
pub(crate) fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

// === impl Tape ===

impl Tape {
    /// Everything so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, received: &[u8]) {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(received);
    }
}

/// The way to a connection.
#[derive(Clone)]
struct Dial {
    /// HOST:PORT.
    server: String,
    /// The name that its certificate must carry.
    name: ServerName<'static>,
    tls: TlsConnector,
}

// === impl Dial ===

impl Dial {
    /// Goes there step by step, so that a failure says which step it was. Each may take `wait_max`.
    async fn connect(&self, wait_max: Duration) -> Result<TlsStream<TcpStream>, LinkCause> {
        let found = timeout(wait_max, lookup_host(&self.server)).await;
        let found = found.map_err(|_| LinkCause::NotResolved("the name service does not answer".to_owned()))?;
        let addresses: Vec<_> = found.map_err(|error| LinkCause::NotResolved(error.to_string()))?.collect();
        let tcp = timeout(wait_max, TcpStream::connect(addresses.as_slice())).await;
        let tcp = tcp.map_err(|_| LinkCause::ConnectTimeout)?.map_err(|error| LinkCause::of_connect(&error))?;
        tcp.set_nodelay(true).map_err(|error| LinkCause::of_connect(&error))?;
        let tls = timeout(wait_max, self.tls.connect(self.name.clone(), tcp)).await;
        let tls = tls.map_err(|_| LinkCause::HandshakeTimeout)?.map_err(|error| LinkCause::of_handshake(&error))?;
        match tls.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => Ok(tls),
            _ => Err(LinkCause::NotHttp2),
        }
    }
}

fn tls_config(home: &Home, own: CertifiedKey) -> Result<Arc<ClientConfig>, CliError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(&home.authority())? {
        roots.add(authority)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(Arc::new(config))
}

/// The name that the server's certificate must carry: the host of HOST:PORT, or `localhost` where the host is an address.
fn server_name(server: &str) -> Result<ServerName<'static>, CliError> {
    let malformed = |reason: &str| CliError::Malformed { what: "--server", reason: reason.to_owned() };
    let (host, _port) = server.rsplit_once(':').ok_or_else(|| malformed("write HOST:PORT"))?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = if address.is_ok() { "localhost" } else { host };
    ServerName::try_from(name.to_owned()).map_err(|_| malformed("the host is neither a name nor an address"))
}

#[cfg(test)]
mod tests;
