//! The way to a gateway: HTTP/2 over TLS 1.3 with a client certificate, and the sign-in of whoever is at a console.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use atena_gateway::Config;
use atena_proto::v1::address_service_client::AddressServiceClient;
use atena_proto::v1::linkage_service_client::LinkageServiceClient;
use atena_proto::v1::record_service_client::RecordServiceClient;
use atena_proto::v1::transfer_log_service_client::TransferLogServiceClient;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, crypto};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::credential::{Credential, certificates};
use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;
use crate::session;

/// Metadata key of the operator id (操作者ID).
const OPERATOR_ID: &str = "x-atena-operator-id";

/// Metadata key of a sign-in.
const AUTHORIZATION: &str = "authorization";

/// Time for TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
    channel: Channel,
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
    /// [`CliError::NoCertificate`], [`CliError::Connect`], or a file that can't be used.
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
            Holder::System(console) => match session::read(caller.home, console)? {
                Some(token) => {
                    session::announce(caller.home, &token);
                    Some(session::bearer(&token)?)
                }
                None => None,
            },
            Holder::Person(_) => None,
        };
        let tls = TlsConnector::from(tls_config(caller.home, &holder)?);
        let name = server_name(&server)?;
        let target = server.clone();
        let tape = caller.tape.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let (tls, name, target, tape) = (tls.clone(), name.clone(), target.clone(), tape.clone());
            async move {
                let tcp = TcpStream::connect(&target).await?;
                tcp.set_nodelay(true)?;
                let stream = tls.connect(name, tcp).await?;
                Ok::<_, io::Error>(TokioIo::new(Taped { stream, tape }))
            }
        });
        let connect_error = |error: &(dyn std::error::Error + 'static)| CliError::Connect {
            server: server.clone(),
            cause: innermost(error),
        };
        let channel = Endpoint::from_shared(format!("https://{server}"))
            .map_err(|error| connect_error(&error))?
            .connect_timeout(CONNECT_TIMEOUT)
            .connect_with_connector(connector)
            .await
            .map_err(|error| connect_error(&error))?;
        Ok(Self { channel, operator, sign_in })
    }

    /// 宛名.
    pub(crate) fn address(&self) -> AddressServiceClient<Channel> {
        AddressServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Push.
    pub(crate) fn records(&self) -> RecordServiceClient<Channel> {
        RecordServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Pull.
    pub(crate) fn linkage(&self) -> LinkageServiceClient<Channel> {
        LinkageServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The transfer log.
    pub(crate) fn transfer_log(&self) -> TransferLogServiceClient<Channel> {
        TransferLogServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
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

/// A stream that writes down what is read from it.
struct Taped<S> {
    stream: S,
    tape: Option<Tape>,
}

// === impl Taped ===

impl<S: AsyncRead + Unpin> AsyncRead for Taped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(tape) = &self.tape {
            tape.record(buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taped<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn tls_config(home: &Home, holder: &Holder) -> Result<Arc<ClientConfig>, CliError> {
    let shown = Credential::of(home, holder)?.resolver()?;
    let mut roots = RootCertStore::empty();
    for authority in certificates(&home.authority())? {
        roots.add(authority)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec()];
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

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::server::WebPkiClientVerifier;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::init::japanese_day;
    use crate::pki::Authority;

    #[test]
    fn an_address_is_checked_as_localhost_and_a_name_as_itself() {
        for (server, name) in
            [("127.0.0.1:50051", "localhost"), ("[::1]:1", "localhost"), ("atena.example:443", "atena.example")]
        {
            assert_eq!(server_name(server).unwrap(), ServerName::try_from(name).unwrap(), "{server}");
        }
        assert!(server_name("localhost").is_err());
    }

    #[tokio::test]
    async fn a_system_shows_its_certificate_over_tls_13_and_speaks_http_2() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        std::fs::create_dir_all(home.systems()).unwrap();
        let authority = Authority::create(&home, "132098", japanese_day()).unwrap();
        authority.issue_server(["localhost"]).unwrap();
        authority.issue_client("132098", &Holder::parse("pension"), 30, &home.systems()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap().to_string();

        let accepted = tokio::spawn({
            let acceptor = TlsAcceptor::from(server_config(&home));
            async move { acceptor.accept(listener.accept().await.unwrap().0).await.unwrap() }
        });
        let caller = Caller { home: &home, system: "pension", server: Some(&server), operator: None, tape: None };
        let _client = Client::connect(&caller).await.unwrap();
        let stream = accepted.await.unwrap();
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
        let own = certificates(&home.systems().join("pension.crt")).unwrap();
        assert_eq!(connection.peer_certificates(), Some(own.as_slice()));
    }

    fn server_config(home: &Home) -> Arc<ServerConfig> {
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&home.authority()).unwrap());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                certificates(&home.pki().join("server.crt")).unwrap(),
                PrivateKeyDer::from_pem_file(home.pki().join("server.key")).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }

    #[tokio::test]
    async fn a_gateway_that_does_not_run_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        std::fs::create_dir_all(home.systems()).unwrap();
        let authority = Authority::create(&home, "132098", japanese_day()).unwrap();
        authority.issue_client("132098", &Holder::parse("pension"), 30, &home.systems()).unwrap();
        let caller = Caller { home: &home, system: "pension", server: Some("127.0.0.1:1"), operator: None, tape: None };
        let Err(error) = Client::connect(&caller).await else { panic!("connected") };
        let text = error.to_string();
        assert!(text.contains("127.0.0.1:1") && text.contains("atena serve"), "{text}");
    }

    #[tokio::test]
    async fn the_tape_holds_everything_that_was_read() {
        let tape = Tape::default();
        let mut stream = Taped { stream: &b"all of this"[..], tape: Some(tape.clone()) };
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        assert_eq!(tape.bytes(), read);
    }
}
