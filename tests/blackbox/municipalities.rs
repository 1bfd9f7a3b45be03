//! municipality-apart on one installation: one program, one database, and nothing of one municipality for another.

use atena_proto::v1;

use crate::people::{personal_number, registration};
use crate::town::{Town, atena, printed, reason};

/// 千代田区.
const NEIGHBOUR: &str = "131016";

fn add(town: &Town, code: &str) -> std::process::Output {
    let home = town.home_text();
    atena(&["municipality", "add", "--home", home, "--municipality", code, "--listen", "127.0.0.1:0"])
}

#[tokio::test(flavor = "multi_thread")]
async fn municipality_apart_keys_rules_log_and_certificates_are_their_own() {
    let mut town = Town::prepare();
    assert!(printed(&add(&town, NEIGHBOUR)).contains("131016"));
    town.serve();
    let neighbour = town.next_municipality();
    assert!(neighbour.home().ends_with(NEIGHBOUR));

    // The same person, under the same number of the same system: two people to two municipalities.
    let number = personal_number(1);
    for place in [&town, &neighbour] {
        let issued = place.register("pension", registration("P1", Some(&number))).await.unwrap();
        assert_eq!(issued.outcome(), v1::RegistrationOutcome::Issued);
    }
    town.register("pension", registration("P2", Some(&personal_number(2)))).await.unwrap();
    for (place, transfers) in [(&town, 2), (&neighbour, 1)] {
        assert_eq!(place.transfers("method = \"AddressService/RegisterPerson\"").await.len(), transfers);
    }
    let person = v1::GetPersonRequest {
        local_address_number: "P2".to_owned(),
        affair: "宛名管理事務".to_owned(),
        ..Default::default()
    };
    town.address_service("pension").get_person(person.clone()).await.unwrap();
    let unknown = neighbour.address_service("pension").get_person(person).await.err().unwrap();
    assert_eq!(reason(&unknown), "LOCAL_NUMBER_NOT_LINKED");

    // A certificate of one opens no door of the other.
    let systems = town.home().join("pki/systems");
    let mut stranger = neighbour.tls_with(&systems.join("pension.crt"), &systems.join("pension.key"));
    stranger.alpn_protocols = vec![b"h2".to_vec()];
    assert!(!speaks(neighbour.address(), stranger).await);
    assert!(speaks(neighbour.address(), neighbour.tls("pension")).await);

    town.stop();
    let homes = [town.home_text(), neighbour.home_text()];
    let key = |home| printed(&atena(&["log", "key", "--home", home]));
    assert_ne!(key(homes[0]), key(homes[1]));
    for (home, heads) in homes.iter().zip(["132098", NEIGHBOUR]) {
        assert!(printed(&atena(&["log", "fsck", "--home", home])).contains("sound"));
        assert!(std::fs::read_to_string(format!("{home}/log.checkpoint")).unwrap().contains(heads));
    }
    let listed = printed(&atena(&["municipality", "list", "--home", homes[0]]));
    assert!(listed.contains("132098") && listed.contains(NEIGHBOUR), "{listed}");
}

/// Whether the door lets a client in far enough to say something.
async fn speaks(address: &str, tls: rustls::ClientConfig) -> bool {
    use tokio::io::AsyncReadExt as _;
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let Ok(mut stream) = tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls)).connect(name, tcp).await else {
        return false;
    };
    // The server's settings come first, unasked (RFC 9113, 3.4).
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, preface).await;
    let mut first = [0; 9];
    stream.read_exact(&mut first).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_refused_does_not_keep_others_from_being_served() {
    let mut town = Town::prepare();
    printed(&add(&town, NEIGHBOUR));
    town.change("municipalities/131016/policy.toml", |text| text.replace("[[system]]", "[[sistem]]"));
    town.serve();
    town.wait_for_log("municipalities/131016 is not served");
    town.register("pension", registration("P1", Some(&personal_number(1)))).await.unwrap();
    town.stop();
}

#[test]
fn a_municipality_is_there_once() {
    let town = Town::prepare();
    printed(&add(&town, NEIGHBOUR));
    for code in [NEIGHBOUR, "132098"] {
        let again = add(&town, code);
        assert!(!again.status.success());
        let told = String::from_utf8_lossy(&again.stderr);
        assert!(told.contains(&format!("municipality {code} is there already")), "{told}");
    }
    let wrong = add(&town, "131017");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--municipality is malformed"));
    // Without --listen: the next port.
    let home = town.home_text();
    printed(&atena(&["municipality", "add", "--home", home, "--municipality", "131024"]));
    let listed = printed(&atena(&["municipality", "list", "--home", home]));
    assert!(listed.contains("127.0.0.1:50052"), "{listed}");
}
