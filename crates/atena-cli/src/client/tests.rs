//! Tests of the way to a gateway: each failure with its own message.

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
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
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
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
