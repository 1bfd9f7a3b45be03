//! Nothing irreversible is done on the word of a clock that the gateway's own certificate contradicts (time-is-evidence). What the log says of
//! the clock is tested in the gateway, with a clock that the tests move.

use std::path::Path;

use rcgen::{CertificateParams, Issuer, KeyPair, date_time_ymd};

use crate::people::{personal_number, registration};
use crate::town::{Town, atena, printed};

/// Replaces the gateway's certificate by one of the same authority that is valid from the beginning of `year` on, for ten years.
fn server_certificate(pki: &Path, year: i32) {
    let read = |name: &str| std::fs::read_to_string(pki.join(name)).unwrap();
    let authority = Issuer::from_ca_cert_pem(&read("ca.crt"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(year, 1, 1);
    params.not_after = date_time_ymd(year + 10, 1, 1);
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::from_pem(&read("server.key")).unwrap();
    std::fs::write(pki.join("server.crt"), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
}

async fn suspect(year: i32, kind: &str) {
    let mut town = Town::start();
    town.register("pension", registration("P1", Some(&personal_number(1)))).await.unwrap();
    town.stop();
    let (home, pki) = (town.home_text(), town.home().join("pki"));
    let good = std::fs::read(pki.join("server.crt")).unwrap();
    server_certificate(&pki, year);
    // Everything is of age at once.
    town.change("atena.toml", |text| text.replace("transfers_days = 2557", "transfers_days = 0"));
    town.serve();
    town.wait_for_log("details are kept, whatever their age");
    let line = town.wait_for_log("nothing is erased while the clock is suspect");
    assert!(line.contains("CLOCK_SUSPECT") && line.contains("own certificate"), "{line}");

    let status = atena(&["clock", "status", "--home", home, "--json"]);
    assert_eq!(status.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&status.stdout).contains(kind), "{status:?}");
    let erase = atena(&["erase", "--home", home, "pension/P1", "--death", "2015-01-01", "--yes"]);
    assert_eq!(erase.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&erase.stderr).contains("nothing was erased. CLOCK_SUSPECT"), "{erase:?}");
    // A confirmation is recorded, and does not help against a certificate.
    let today = jiff::tz::offset(9).to_datetime(jiff::Timestamp::now()).date().to_string();
    assert_eq!(atena(&["clock", "confirm", "--home", home, "--date", &today]).status.code(), Some(2));
    let other_day = atena(&["clock", "confirm", "--home", home, "--date", "2020-01-01"]);
    assert_eq!(other_day.status.code(), Some(1));
    let recorded = printed(&atena(&["log", "admin", "--home", home, "--action", "Clock/Confirm", "--json"]));
    assert!(recorded.contains(&format!("found:{kind}")), "{recorded}");
    assert!(!town.log().contains("details whose time had come were erased"));

    // The contradiction is over: work goes on without a restart.
    std::fs::write(pki.join("server.crt"), good).unwrap();
    town.wait_for_log("the clock is believed again");
    town.wait_for_log("details whose time had come were erased");
    town.stop();
    printed(&atena(&["log", "fsck", "--home", home]));
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_evidence_details_are_kept_before_the_beginning_of_the_own_certificate() {
    suspect(2100, "before-certificate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_evidence_details_are_kept_after_the_end_of_the_own_certificate() {
    suspect(2000, "after-certificate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_valid_yet_is_named_at_start() {
    let mut town = Town::prepare();
    server_certificate(&town.home().join("pki"), 2100);
    town.serve();
    let line = town.wait_for_log("not valid yet");
    assert!(line.contains("server certificate") && line.contains("2100"), "{line}");
}
