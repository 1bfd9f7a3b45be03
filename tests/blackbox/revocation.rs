//! What is taken away counts at once, and who is kept out is told why: deny-by-default at the door.

use std::time::Duration;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::certificates::{OwnAuthority, connection, entitlements};
use crate::town::{Town, atena, printed, reason, seen};

/// deny-by-default: a revocation is never held up by what else is wrong in the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_system_is_cut_off_though_rules_name_it_and_the_file_is_wrong_elsewhere() {
    let town = Town::start();
    let whole = std::fs::read_to_string(town.home().join("policy.toml")).unwrap();
    let revoked = whole.replacen("id = \"welfare\"\n", "id = \"welfare\"\nrevoked = true\n", 1);
    assert!(revoked.contains("  \"welfare\",\n"), "rules still name it");
    let write = |text: &str| std::fs::write(town.home().join("policy.toml"), text).unwrap();
    let refused = async || seen("a refusal", async || entitlements(&town, "welfare").await.err()).await;
    for trouble in ["", "\n[[rule]]\nid = \"x\"\nconsumers = 7\n", "\n[[oops"] {
        let mut open = connection(&town, town.tls("welfare")).await.unwrap();
        write(&(revoked.clone() + trouble));
        let refused = refused().await;
        assert_eq!((refused.code(), reason(&refused).as_str()), (tonic::Code::Unauthenticated, "CALLER_REVOKED"));
        assert!(refused.message().contains("spiffe://132098.atena/system/welfare"), "{}", refused.message());
        let ended = tokio::time::timeout(Duration::from_secs(20), open.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "the connection is still open");
        assert!(entitlements(&town, "resident-tax").await.is_ok(), "the others go on");
        write(&whole);
        seen("it is let in again", async || entitlements(&town, "welfare").await.ok()).await;
    }
    let log = town.wait_for_log("taken away at once, though the new rules are refused");
    assert!(log.contains("system \"welfare\" is revoked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_with_rules_that_name_a_revoked_system_and_says_so() {
    let mut town = Town::prepare();
    town.change("policy.toml", |text| text.replacen("id = \"welfare\"\n", "id = \"welfare\"\nrevoked = true\n", 1));
    town.serve();
    let warning = town.wait_for_log("which is revoked and gets nothing");
    assert!(warning.contains("policy.toml:") && warning.contains("welfare"), "{warning}");
    assert_eq!(reason(&entitlements(&town, "welfare").await.unwrap_err()), "CALLER_REVOKED");
    let checked = printed(&atena(&["policy", "check", town.home().join("policy.toml").to_str().unwrap()]));
    assert!(checked.contains("warning: policy.toml:") && checked.contains("is sound"), "{checked}");
}

/// deny-by-default: a certificate that is revoked is cut off, though another file of the door is broken at that time.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_list_counts_though_the_server_certificate_is_broken() {
    let town = Town::start();
    let mut revoked = connection(&town, town.tls("welfare")).await.unwrap();
    std::fs::write(town.home().join("pki/server.crt"), "half a certif").unwrap();
    town.wait_for_log("the new certificates can't be used");
    printed(&atena(&["pki", "revoke", "--home", town.home_text(), "--system", "welfare"]));
    let ended = tokio::time::timeout(Duration::from_secs(20), revoked.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert!(connection(&town, town.tls("welfare")).await.is_err());
    assert!(connection(&town, town.tls("resident-tax")).await.is_ok(), "the server shows the certificate of before");
}

/// The list of another authority of the same name, or one that would undo a revocation, is refused
/// and cuts nobody off.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_revocation_list_keeps_nobody_out_and_lets_nobody_in() {
    let (town, other) = (Town::start(), Town::prepare());
    let list = town.home().join("pki/ca.crl");
    let before = std::fs::read(&list).unwrap();
    printed(&atena(&["pki", "revoke", "--home", town.home_text(), "--system", "welfare"]));
    while connection(&town, town.tls("welfare")).await.is_ok() {}
    let good = std::fs::read(&list).unwrap();
    let foreign = std::fs::read(other.home().join("pki/ca.crl")).unwrap();
    let mut open = connection(&town, town.tls("resident-tax")).await.unwrap();
    let half = good[..good.len() / 2].to_vec();
    for (wrong, told) in [
        (foreign, "both have the same name, and different keys"),
        (before, "is older than the one in force"),
        (half, "cannot read a revocation list"),
    ] {
        std::fs::write(&list, wrong).unwrap();
        town.wait_for_log(told);
        assert!(connection(&town, town.tls("resident-tax")).await.is_ok(), "{told}");
        assert!(connection(&town, town.tls("welfare")).await.is_err(), "{told}");
    }
    std::fs::write(&list, good).unwrap();
    // A ping on the connection that was open all the time.
    open.write_all(b"\0\0\x08\x06\0\0\0\0\0pingpong").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"pingpong") {
        answer.push(open.read_u8().await.unwrap());
    }
}

/// Whom the door refuses, and why, is in the log: a client learns little by TLS.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_whom_the_door_refused_and_why() {
    let town = Town::start();
    let own = OwnAuthority::in_folder(town.home().join("stranger"));
    let uri = SanType::URI("spiffe://132098.atena/system/pension".try_into().unwrap());
    let unknown = own.issue(uri, ExtendedKeyUsagePurpose::ClientAuth, 0x4d, "unknown");
    assert!(connection(&town, town.tls_with(&unknown.0, &unknown.1)).await.is_err());
    let line = town.wait_for_log("no authority in client_ca issued its certificate");
    for told in ["spiffe://132098.atena/system/pension", "City issuing", "4d", "unknown_authority"] {
        assert!(line.contains(told), "{told}: {line}");
    }
    // One without the name of a system comes in, and is told at its first call.
    let pki = town.home().join("pki");
    let read = |file: &str| std::fs::read_to_string(pki.join(file)).unwrap();
    let authority = Issuer::from_ca_cert_pem(&read("ca.crt"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("pension.example".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let files = (pki.join("nameless.crt"), pki.join("nameless.key"));
    std::fs::write(&files.0, params.signed_by(&key, &authority).unwrap().pem()).unwrap();
    std::fs::write(&files.1, key.serialize_pem()).unwrap();
    assert!(connection(&town, town.tls_with(&files.0, &files.1)).await.is_ok());
    town.wait_for_log("wrong_name");
    // What is no TLS at all.
    let mut plain = TcpStream::connect(town.address()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    plain.read_to_end(&mut Vec::new()).await.unwrap();
    town.wait_for_log("it does not speak TLS");
}

#[test]
fn private_keys_that_others_can_read_are_refused_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt as _;
    let town = Town::prepare();
    let server = ["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"];
    let renew = ["pki", "renew", "--home", town.home_text(), "--server"];
    let client = ["entitlements", "--home", town.home_text(), "--as", "pension"];
    for (key, arguments) in
        [("pki/server.key", &server[..]), ("pki/ca.key", &renew[..]), ("pki/systems/pension.key", &client[..])]
    {
        let path = town.home().join(key);
        let readable = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        readable(0o640);
        let refused = atena(arguments);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{key}");
        assert!(text.contains("chmod 600") && text.contains(key.rsplit('/').next().unwrap()), "{key}: {text}");
        readable(0o600);
    }
}
