//! Tests of the way to a gateway: each failure with its own message.

use atena_proto::v1::ListEntitlementsRequest;
use jiff::civil::{Date, date};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{AlertDescription, ServerConfig};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::init::japanese_day;
use crate::pki::Authority;

/// A home with an authority, a server and the pension system; their certificates are issued on `today`.
fn home(today: Date, server: &str) -> (TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(folder.path());
    std::fs::create_dir_all(home.systems()).unwrap();
    Authority::create(&home, "132098", japanese_day()).unwrap();
    let authority = Authority::open(&home, today).unwrap();
    authority.issue_server([server]).unwrap();
    authority.issue_client("132098", &Holder::parse("pension"), 30, &home.systems()).unwrap();
    (folder, home)
}

/// A gateway that takes the clients of its own home.
fn server_config(home: &Home) -> ServerConfig {
    trusting(home, home)
}

/// A gateway that takes the clients of `clients`.
fn trusting(gateway: &Home, clients: &Home) -> ServerConfig {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&clients.authority()).unwrap());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            certificates(&gateway.pki().join("server.crt")).unwrap(),
            PrivateKeyDer::from_pem_file(gateway.pki().join("server.key")).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![HTTP_2.to_vec()];
    config
}

/// Takes one connection; its address.
async fn serve(config: ServerConfig) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    // A connection that was taken is closed at once.
    tokio::spawn(async move {
        drop(TlsAcceptor::from(Arc::new(config)).accept(listener.accept().await.unwrap().0).await);
    });
    server
}

async fn connect(home: &Home, server: &str) -> Result<Client, CliError> {
    Client::connect(&Caller { home, system: "pension", server: Some(server), operator: None, tape: None }).await
}

/// Why there is no connection.
async fn failure(home: &Home, server: &str) -> (LinkCause, String) {
    let failed = match connect(home, server).await {
        Err(error) => error,
        // A server of TLS 1.3 refuses a client only after that.
        Ok(client) => {
            let called = client.linkage().list_entitlements(client.request(ListEntitlementsRequest {})).await;
            called.map(drop).unwrap_err().into()
        }
    };
    let CliError::Link(failure) = &failed else { panic!("{failed}") };
    (failure.cause.clone(), failed.to_string())
}

fn dial(home: &Home, server: &str) -> Dial {
    let holder = Holder::parse("pension");
    let own = Credential::of(home, &holder).unwrap().certified().unwrap();
    let tls = TlsConnector::from(tls_config(home, own).unwrap());
    Dial { server: server.to_owned(), name: ServerName::try_from("localhost").unwrap(), tls }
}

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
    let (_folder, home) = home(japanese_day(), "localhost");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    let accepted = tokio::spawn({
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&home)));
        async move { acceptor.accept(listener.accept().await.unwrap().0).await.unwrap() }
    });
    let _client = connect(&home, &server).await.unwrap();
    let stream = accepted.await.unwrap();
    let (_, connection) = stream.get_ref();
    assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(connection.alpn_protocol(), Some(HTTP_2));
    let own = certificates(&home.systems().join("pension.crt")).unwrap();
    assert_eq!(connection.peer_certificates(), Some(own.as_slice()));
}

#[tokio::test]
async fn a_client_whose_certificate_is_refused_learns_why_and_which_one_it_is() {
    let (_server_folder, gateway) = home(japanese_day(), "localhost");
    let (_folder, old) = home(date(2020, 4, 1), "localhost");
    let (_other_folder, other) = home(japanese_day(), "localhost");
    // The client trusts the gateway in both cases; the gateway trusts the issuer of the old certificate alone.
    let for_old = trusting(&gateway, &old);
    std::fs::copy(gateway.authority(), other.authority()).unwrap();
    std::fs::copy(gateway.authority(), old.authority()).unwrap();
    let (cause, text) = failure(&old, &serve(for_old).await).await;
    assert_eq!(cause, LinkCause::Alert(AlertDescription::CertificateExpired));
    for part in ["it has ended", "pension.crt", "subject", "to 2020-05-01", "pki renew --system pension"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (cause, text) = failure(&other, &serve(server_config(&gateway)).await).await;
    assert_eq!(cause, LinkCause::Alert(AlertDescription::DecryptError));
    assert!(text.contains("another authority of the same name") && text.contains("pension.crt"), "{text}");
}

#[tokio::test]
async fn a_server_that_is_not_the_gateway_is_named_for_what_it_is() {
    let (_folder, own) = home(japanese_day(), "localhost");
    let (_foreign_folder, foreign) = home(japanese_day(), "localhost");
    let (_named_folder, named) = home(japanese_day(), "atena.example");
    let (_ended_folder, ended) = home(date(2020, 4, 1), "localhost");
    let mut without_http_2 = server_config(&own);
    without_http_2.alpn_protocols.clear();
    let cases = [
        (&own, server_config(&foreign), "not issued by the authority of this home"),
        (&named, server_config(&named), "is for another host"),
        (&ended, server_config(&ended), "the server's certificate can't be used"),
        (&own, without_http_2, "no HTTP/2"),
        (&own, server_config(&own), "hung up before it answered anything"),
    ];
    for (home, config, said) in cases {
        let (_, text) = failure(home, &serve(config).await).await;
        assert!(text.contains(said) && text.lines().count() > 1, "{said}: {text}");
    }
}

#[tokio::test]
async fn each_step_to_a_connection_fails_in_its_own_words() {
    let (_folder, home) = home(japanese_day(), "localhost");
    let (cause, text) = failure(&home, "127.0.0.1:1").await;
    assert_eq!(cause, LinkCause::Refused);
    assert!(text.contains("127.0.0.1:1") && text.contains("atena serve"), "{text}");

    // Two dots in a row are no name, so no name service is asked.
    let Err(cause) = dial(&home, "a..b:1").connect(WAIT_MAX).await else { panic!("connected") };
    assert!(matches!(cause, LinkCause::NotResolved(_)), "{cause:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().to_string();
    // It takes connections as far as the kernel does.
    // Long enough for the name and the connection, also on a machine that stalls.
    let Err(cause) = dial(&home, &server).connect(Duration::from_millis(500)).await else { panic!("connected") };
    assert_eq!(cause, LinkCause::HandshakeTimeout);
    drop(listener.accept().await.unwrap());

    let speaks = tokio::spawn(async move {
        let (mut plain, _) = listener.accept().await.unwrap();
        plain.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let (silent, _) = listener.accept().await.unwrap();
        drop(silent);
        plain
    });
    let (cause, text) = failure(&home, &server).await;
    assert_eq!(cause, LinkCause::NotTls, "{text}");
    let (cause, text) = failure(&home, &server).await;
    assert_eq!(cause, LinkCause::HandshakeEnded, "{text}");
    drop(speaks.await.unwrap());
}

#[test]
fn every_alert_and_cause_says_what_to_do() {
    let watch = Watch::new("gateway:1", Shown::none());
    for number in 0..=u8::MAX {
        let text = watch.failure_of(LinkCause::Alert(AlertDescription::from(number))).to_string();
        assert!(text.contains("gateway:1") && text.lines().count() > 1, "{text}");
    }
    for number in [42, 43, 44, 45, 46, 48, 49, 51, 116] {
        let text = watch.failure_of(LinkCause::Alert(AlertDescription::from(number))).to_string();
        assert!(text.contains("refused the client certificate") && text.contains("pension.crt"), "{text}");
    }
}
