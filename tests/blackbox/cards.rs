//! A person signs in with an IC card. SoftHSM2 stands in for the card: PKCS #11 is all that the program knows of either.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use crate::accounts::{account, town_with};
use crate::town::{Town, atena_with, printed};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A card with this label, in the folder of the town.
struct TestCard<'t> {
    town: &'t Town,
    environment: [(&'static str, String); 1],
}

// === impl TestCard ===

impl<'t> TestCard<'t> {
    /// `None` where SoftHSM2 is not installed.
    fn made_for(town: &'t Town) -> Option<Self> {
        if !Path::new(MODULE).exists() {
            assert!(std::env::var_os("ATENA_CI").is_none(), "SoftHSM2 is missing");
            return None;
        }
        let settings = town.home().join("softhsm2.conf");
        std::fs::create_dir(town.home().join("cards")).unwrap();
        std::fs::write(&settings, format!("directories.tokendir = {}\n", town.home().join("cards").display())).unwrap();
        let card = Self { town, environment: [("SOFTHSM2_CONF", settings.to_str().unwrap().to_owned())] };
        card.softhsm(&["--init-token", "--free", "--label", "card", "--so-pin", "87654321", "--pin", "1234"]);
        Some(card)
    }

    fn softhsm(&self, arguments: &[&str]) {
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let made = Command::new("softhsm2-util").args(arguments).envs(environment).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Writes where the card is, for a person, with this PIN.
    fn settings(&self, id: &str, pin: &str, more: &str) -> String {
        let people = self.town.home().join("pki/people");
        let pin_file = people.join(format!("{id}.pin"));
        std::fs::write(&pin_file, format!("{pin}\n")).unwrap();
        std::fs::set_permissions(&pin_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let file = people.join(format!("{id}.card.toml"));
        let text = format!("module = \"{MODULE}\"\ntoken = \"card\"\npin_file = \"{id}.pin\"\nkey = \"{id}\"\n{more}");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    fn atena(&self, arguments: &[&str]) -> std::process::Output {
        atena_with(&self.environment, arguments)
    }

    fn transfers(&self, id: &str) -> std::process::Output {
        let (home, server, person) = (self.town.home_text(), self.town.address(), format!("person/{id}"));
        self.atena(&["transfers", "--home", home, "--server", server, "--as", &person, "--json"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_whose_key_never_left_it_signs_in_and_a_wrong_pin_does_not() {
    let town = town_with(&[account("a1", "auditor")]);
    let Some(card) = TestCard::made_for(&town) else { return };
    let settings = card.settings("a1", "1234", "");
    let (request, issued) = (town.home().join("a1.csr"), town.home().join("out"));
    let (request, out) = (request.to_str().unwrap(), issued.to_str().unwrap());
    printed(&card.atena(&["card", "request", "--card", &settings, "--out", request]));
    let again = card.atena(&["card", "request", "--card", &settings, "--out", request]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("never overwritten"), "{again:?}");
    let without = card.transfers("a1");
    assert!(String::from_utf8_lossy(&without.stderr).contains("no certificate beside the key `a1`"), "{without:?}");
    printed(&card.atena(&[
        "pki",
        "issue",
        "--home",
        town.home_text(),
        "--person",
        "a1",
        "--csr",
        request,
        "--out",
        out,
    ]));
    assert!(!issued.join("a1.key").exists(), "the key is on the card alone");
    printed(&card.atena(&["card", "store", "--card", &settings, issued.join("a1.crt").to_str().unwrap()]));
    std::fs::remove_file(issued.join("a1.crt")).unwrap();

    printed(&card.transfers("a1"));
    let listed = printed(&card.transfers("a1"));
    assert!(listed.contains("TransferLogService/ListTransfers"), "{listed}");
    let recorded = town.transfers("operator_id = \"a1\"").await;
    assert_eq!(recorded.len(), 2);
    assert!(recorded.iter().all(|it| it.operator_proof() == atena_proto::v1::OperatorProof::Certificate));

    card.settings("a1", "4321", "");
    let refused = card.transfers("a1");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("PIN"), "{refused:?}");
    let pin_file = town.home().join("pki/people/a1.pin");
    std::fs::set_permissions(&pin_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = card.transfers("a1");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"), "{refused:?}");
}

/// Cards that come with an RSA key, and a certificate in a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_with_an_rsa_key_signs_in_as_well() {
    let town = town_with(&[account("a2", "auditor")]);
    let Some(card) = TestCard::made_for(&town) else { return };
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let (key_file, request) = (town.home().join("a2.pem"), town.home().join("a2.csr"));
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    std::fs::write(&request, csr).unwrap();
    printed(&card.atena(&[
        "pki",
        "issue",
        "--home",
        town.home_text(),
        "--person",
        "a2",
        "--csr",
        request.to_str().unwrap(),
    ]));
    card.softhsm(&[
        "--import",
        key_file.to_str().unwrap(),
        "--token",
        "card",
        "--label",
        "a2",
        "--id",
        "02",
        "--pin",
        "1234",
    ]);
    card.settings("a2", "1234", "certificate = \"a2.crt\"\n");
    printed(&card.transfers("a2"));
    assert_eq!(town.transfers("operator_id = \"a2\"").await.len(), 1);
}

/// Also at the machine: the key on the card signs, and it has to be the one of the certificate.
#[test]
fn an_operator_signs_in_with_a_card_at_the_machine() {
    let town = town_with(&[account("op1", "operator"), account("op2", "operator")]);
    let Some(card) = TestCard::made_for(&town) else { return };
    let people = town.home().join("pki/people");
    let beside = "certificate = \"op1.crt\"\n";
    for id in ["op1", "op2"] {
        let settings = card.settings(id, "1234", beside);
        let request = town.home().join(format!("{id}.csr"));
        printed(&card.atena(&["card", "request", "--card", &settings, "--out", request.to_str().unwrap()]));
    }
    let (home, request) = (town.home_text(), town.home().join("op1.csr"));
    printed(&card.atena(&["pki", "issue", "--home", home, "--person", "op1", "--csr", request.to_str().unwrap()]));
    let export = |name: &str| {
        let out = town.home().join(name);
        let done = card.atena(&["log", "export", "--home", home, "--as", "person/op1", "--out", out.to_str().unwrap()]);
        (done, out.exists())
    };
    let (done, exported) = export("with the card");
    assert!(done.status.success() && exported, "{done:?}");
    let admin = printed(&card.atena(&["log", "admin", "--home", home, "--action", "Log/Export", "--json"]));
    assert_eq!(admin.lines().count(), 2);
    assert!(admin.lines().all(|line| line.contains("account:op1") && line.contains("\"proof\":\"certificate\"")));

    // The certificate of the one, and the key of the other.
    std::fs::copy(people.join("op2.card.toml"), people.join("op1.card.toml")).unwrap();
    let (refused, exported) = export("with another key");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("is not the one of the certificate") && !exported, "{told}");
}
