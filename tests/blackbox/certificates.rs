//! Certificates that are revoked, renewed, run out, or come from the municipality's own authority, while the gateway runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atena_proto::v1;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationList, CertificateRevocationListParams, CertifiedIssuer,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::HandshakeKind;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use crate::people::{personal_number, qualification, record, registration};
use crate::town::{Town, atena, printed, reason, seen};

/// A connection as `system` that has said nothing yet, past the point where the server tells what it thinks of the certificate.
pub(crate) async fn connection(town: &Town, tls: rustls::ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(town.address()).await?;
    let mut stream = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("localhost").unwrap(), tcp).await?;
    // HTTP/2 preface and empty SETTINGS; the server answers with its own.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    stream.read_exact(&mut [0; 9]).await?;
    Ok(stream)
}

pub(crate) async fn entitlements(town: &Town, system: &str) -> Result<usize, tonic::Status> {
    let answer = town.linkage(system).list_entitlements(v1::ListEntitlementsRequest {}).await?;
    Ok(answer.into_inner().entitlements.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_cut_off_within_a_second_and_nobody_else_is() {
    let town = Town::start();
    let mut revoked = connection(&town, town.tls("welfare")).await.unwrap();
    // A push that is under way all the time.
    town.register("pension", registration("P1", None)).await.unwrap();
    let (chunks, receiver) = tokio::sync::mpsc::channel(1);
    let mut client = town.records("pension");
    let mut answers = client.push_records(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let chunk = |revision| v1::PushRecordsRequest {
        request_id: String::new(),
        records: vec![record("P1", "N-1", revision, v1::pushed_record::Body::Qualification(qualification()))],
    };
    chunks.send(chunk(1)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().results.len(), 1);

    let told = printed(&atena(&["pki", "revoke", "--home", town.home_text(), "--system", "welfare"]));
    assert!(told.starts_with("revoked  welfare"), "{told}");
    let since = Instant::now();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), revoked.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert!(since.elapsed() < Duration::from_secs(20));
    assert!(connection(&town, town.tls("welfare")).await.is_err(), "a revoked certificate gets no new connection");
    assert!(connection(&town, town.tls("resident-tax")).await.is_ok());

    chunks.send(chunk(2)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().results.len(), 1, "no call is dropped for a reload");
    let status = atena(&["pki", "status", "--home", town.home_text()]);
    let table = printed(&status);
    assert!(table.lines().any(|line| line.contains("welfare") && line.contains("revoked")), "{table}");

    // A new certificate for the same system is let in; the old one stays out.
    let old = town.tls("welfare");
    printed(&atena(&["pki", "renew", "--home", town.home_text(), "--system", "welfare"]));
    assert!(connection(&town, town.tls("welfare")).await.is_ok());
    assert!(connection(&town, old).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_server_certificate_is_shown_without_a_restart() {
    let town = Town::start();
    let shown = async || {
        let stream = connection(&town, town.tls("pension")).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let before = shown().await;
    assert_eq!(shown().await, before);
    let told = printed(&atena(&["pki", "renew", "--home", town.home_text(), "--server"]));
    assert!(told.contains("renewed  server"), "{told}");
    town.wait_for_log("certificates read anew");
    // The list of the revoked is renewed first, so the gateway may read the files twice.
    seen("another certificate", async || (shown().await != before).then_some(())).await;
}

/// number-confinement and deny-by-default hang on who is believed: a resumed session would not be checked against the list.
#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_ever_resumed() {
    let town = Town::start();
    let tls = town.tls("pension");
    for _ in 0..3 {
        let mut stream = connection(&town, tls.clone()).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        // Time to take a ticket, if there were one.
        stream.read_exact(&mut [0; 1]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_list_that_has_run_out_lets_nobody_in_and_cuts_off_who_is_in() {
    let town = Town::start();
    let mut open = connection(&town, town.tls("pension")).await.unwrap();
    let pki = town.home().join("pki");
    let read = |file: &str| std::fs::read_to_string(pki.join(file)).unwrap();
    let authority = Issuer::from_ca_cert_pem(&read("ca.crt"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let good = read("ca.crl");
    std::fs::write(pki.join("ca.crl"), list(&authority, &[], 2025).pem().unwrap()).unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), open.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert!(connection(&town, town.tls("pension")).await.is_err());
    assert!(town.wait_for_log("no client is let in until it is renewed").contains("ERROR"));
    assert_eq!(atena(&["pki", "status", "--home", town.home_text()]).status.code(), Some(2));
    // What can't be read changes nothing; what can is in force at once.
    std::fs::write(pki.join("ca.crl"), "half a li").unwrap();
    town.wait_for_log("the new certificates can't be used");
    std::fs::write(pki.join("ca.crl"), good).unwrap();
    seen("a connection again", async || connection(&town, town.tls("pension")).await.ok()).await;
    assert!(entitlements(&town, "resident-tax").await.is_ok());
}

/// An authority of a municipality: a root, and one between that issues.
pub(crate) struct OwnAuthority {
    root: CertifiedIssuer<'static, KeyPair>,
    issuing: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

fn authority_params(name: &str, depth: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(depth));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn list(issuer: &Issuer<'_, KeyPair>, revoked: &[SerialNumber], until: i32) -> CertificateRevocationList {
    let entry = |serial: &SerialNumber| RevokedCertParams {
        serial_number: serial.clone(),
        revocation_time: date_time_ymd(2025, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(issuer).unwrap()
}

impl OwnAuthority {
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        let root =
            CertifiedIssuer::self_signed(authority_params("City root", 1), KeyPair::generate().unwrap()).unwrap();
        let (params, key) = (authority_params("City issuing", 0), KeyPair::generate().unwrap());
        let issuing = CertifiedIssuer::signed_by(params, key, &root).unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("root.crt"), root.pem()).unwrap();
        // One list in each of the forms that authorities publish.
        std::fs::write(folder.join("root.crl"), list(&root, &[], 4000).pem().unwrap()).unwrap();
        let own = Self { root, issuing, folder };
        own.revoke(&[]);
        own
    }

    fn revoke(&self, serials: &[SerialNumber]) {
        // Whole at once, as a tool that fetches lists has to do it.
        let new = self.folder.join("issuing.new");
        std::fs::write(&new, list(&self.issuing, serials, 4000).der().as_ref()).unwrap();
        std::fs::rename(new, self.folder.join("issuing.crl")).unwrap();
    }

    pub(crate) fn issue(
        &self,
        name: SanType,
        usage: ExtendedKeyUsagePurpose,
        serial: u8,
        file: &str,
    ) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, file);
        params.subject_alt_names = vec![name];
        params.extended_key_usages = vec![usage];
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuing).unwrap().pem() + &self.issuing.pem();
        let (chain_file, key_file) = (self.folder.join(format!("{file}.crt")), self.folder.join(format!("{file}.key")));
        std::fs::write(&chain_file, chain).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        // The gateway refuses a private key that others can read.
        std::fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        (chain_file, key_file)
    }
}

fn client_of(town: &Town, root: &CertificateDer<'static>, files: &(PathBuf, PathBuf)) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    town.tls_trusting(roots, &files.0, &files.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_municipalitys_own_authority_serves_as_well_as_the_built_in_one() {
    let mut town = Town::prepare();
    let own = OwnAuthority::in_folder(town.home().join("city"));
    let uri =
        |system: &str| SanType::URI(format!("spiffe://132098.atena/system/{system}").as_str().try_into().unwrap());
    own.issue(SanType::DnsName("localhost".try_into().unwrap()), ExtendedKeyUsagePurpose::ServerAuth, 1, "server");
    let pension = own.issue(uri("pension"), ExtendedKeyUsagePurpose::ClientAuth, 2, "pension");
    let welfare = own.issue(uri("welfare"), ExtendedKeyUsagePurpose::ClientAuth, 3, "welfare");
    town.change("atena.toml", |text| {
        text.replace("pki/server", "city/server")
            .replace("pki/ca.crt", "city/root.crt")
            .replace("[\"pki/ca.crl\"]", "[\"city/root.crl\"]")
    });
    // Without the list of the authority between, nobody is let in (and rustls says why).
    town.serve();
    let root = own.root.der().clone();
    let systems = town.home().join("pki/systems");
    let built_in = (systems.join("pension.crt"), systems.join("pension.key"));
    assert!(connection(&town, client_of(&town, &root, &pension)).await.is_err());
    town.restart_with("atena.toml", |text| {
        text.replace("[\"city/root.crl\"]", "[\"city/root.crl\", \"city/issuing.crl\"]")
    });
    for files in [&pension, &welfare] {
        assert!(connection(&town, client_of(&town, &root, files)).await.is_ok());
    }
    assert!(connection(&town, client_of(&town, &root, &built_in)).await.is_err(), "the built-in one opens nothing");
    own.revoke(&[SerialNumber::from_slice(&[3])]);
    town.wait_for_log("certificates read anew");
    assert!(connection(&town, client_of(&town, &root, &welfare)).await.is_err());
    assert!(connection(&town, client_of(&town, &root, &pension)).await.is_ok());
    let status = printed(&atena(&["pki", "status", "--home", town.home_text(), "--json"]));
    assert!(status.contains("City root") && status.contains("1 revoked"), "{status}");
}

#[test]
fn a_gateway_without_a_revocation_list_of_its_authority_does_not_start() {
    let town = Town::prepare();
    std::fs::remove_file(town.home().join("pki/ca.crl")).unwrap();
    let refused = atena(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("ca.crl") && told.contains("atena pki renew"), "{told}");
    printed(&atena(&["pki", "renew", "--home", town.home_text()]));
    assert!(town.home().join("pki/ca.crl").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_keeps_its_key_and_gets_a_certificate_for_its_request() {
    let town = Town::start();
    let folder = town.home().join("vendor");
    std::fs::create_dir(&folder).unwrap();
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    std::fs::write(folder.join("request.csr"), request).unwrap();
    std::fs::write(folder.join("long-term-care.key"), key.serialize_pem()).unwrap();
    let (csr, out) = (folder.join("request.csr"), folder.display().to_string());
    let arguments = ["pki", "issue", "--home", town.home_text(), "--csr", csr.to_str().unwrap(), "--out", &out];
    printed(&atena(&[&arguments[..], &["--system", "long-term-care"]].concat()));
    let tls = town.tls_with(Path::new(&out).join("long-term-care.crt").as_path(), &folder.join("long-term-care.key"));
    assert!(connection(&town, tls).await.is_ok());
    let again = atena(&[&arguments[..], &["--system", "long-term-care"]].concat());
    assert!(String::from_utf8_lossy(&again.stderr).contains("atena pki renew"), "nothing is overwritten");
    let unknown = atena(&[&arguments[..], &["--system", "nobody"]].concat());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("policy.toml has no system `nobody`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_registry_change_without_a_restart_and_a_broken_file_changes_nothing() {
    let town = Town::start();
    let before = entitlements(&town, "welfare").await.unwrap();
    let answer = town.linkage("welfare").list_entitlements(v1::ListEntitlementsRequest {}).await.unwrap();
    let stamp = answer.metadata().get("x-atena-policy-hash").unwrap().to_str().unwrap().to_owned();
    assert_eq!(stamp, answer.get_ref().policy_hash);
    let whole = std::fs::read_to_string(town.home().join("policy.toml")).unwrap();
    town.change("policy.toml", |text| text + "\n[[oops");
    town.wait_for_log("the new rules can't be used");
    assert_eq!(entitlements(&town, "welfare").await.unwrap(), before);

    let revoked = whole.replacen("id = \"welfare\"\n", "id = \"welfare\"\nrevoked = true\n", 1);
    let revoked = revoked.replacen("  \"welfare\",\n", "", 1);
    std::fs::write(town.home().join("policy.toml"), revoked).unwrap();
    let refused = seen("a refusal", async || entitlements(&town, "welfare").await.err()).await;
    assert_eq!(reason(&refused), "CALLER_REVOKED");
    std::fs::write(town.home().join("policy.toml"), whole).unwrap();
    seen("it is let in again", async || entitlements(&town, "welfare").await.ok()).await;
}

/// deny-by-default: a pull does not outlive its permission.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_under_way_ends_when_its_rule_is_taken_away() {
    let town = Town::start();
    for (system, prefix) in [("pension", "P"), ("resident-tax", "T")] {
        let persons = |number| registration(&format!("{prefix}{number}"), Some(&personal_number(number)));
        let registrations = (0..400).map(persons).collect();
        let chunk = v1::RegisterPersonsRequest { request_id: String::new(), registrations };
        let mut client = town.address_service(system);
        let mut answers = client.register_persons(tokio_stream::once(chunk)).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().results.len(), 400);
    }
    let body = || v1::pushed_record::Body::Qualification(qualification());
    town.push((0..400).map(|number| record(&format!("P{number}"), &format!("N-{number}"), 1, body())).collect()).await;
    let request = v1::PullRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![v1::Dataset::Qualification.into()],
        page_size: 1,
        ..Default::default()
    };
    let mut answers = town.linkage("resident-tax").pull_records(request).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    // The client does not read on, so the gateway soon waits for it in the middle of the pull.
    town.change("policy.toml", |text| text.replacen("  \"loss.reason\",\n", "", 1));
    town.wait_for_log("rules read anew");
    let mut received = 1;
    let refused = loop {
        match answers.message().await {
            Ok(Some(_)) => received += 1,
            Ok(None) => panic!("the pull went on to its end"),
            Err(refused) => break refused,
        }
    };
    assert_eq!(reason(&refused), "RULE_CHANGED");
    assert!(received < 400);
    let recorded = town.transfers("reason = \"RULE_CHANGED\"").await;
    assert_eq!(recorded.len(), 1);
}
