//! A gateway whose keys are in a token (SoftHSM2): nothing of them lies in a file.

use std::path::Path;
use std::process::Command;

use atena_ledger::VerifierKey;
use atena_proto::v1;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::log::head_when;
use crate::people::{personal_number, registration};
use crate::town::{Town, atena_with, printed, reason, seen};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// A town whose settings name a token, in a folder of its own. `None` where there is no SoftHSM2.
struct TokenTown {
    town: Town,
    environment: [(&'static str, String); 1],
}

impl TokenTown {
    fn prepare() -> Option<Self> {
        if !Path::new(MODULE).exists() {
            assert!(std::env::var_os("ATENA_CI").is_none(), "SoftHSM2 is missing");
            return None;
        }
        let mut town = Town::prepare();
        let home = town.home();
        let settings = home.join("softhsm2.conf");
        std::fs::create_dir(home.join("tokens")).unwrap();
        std::fs::write(&settings, format!("directories.tokendir = {}\n", home.join("tokens").display())).unwrap();
        std::fs::remove_file(home.join("keys.toml")).unwrap();
        town.change("atena.toml", |text| {
            text.replace(
                "[tls]",
                &format!("[token]\nmodule = \"{MODULE}\"\nlabel = \"atena\"\npin_file = \"token.pin\"\n\n[tls]"),
            )
        });
        town.surround("SOFTHSM2_CONF", settings.to_str().unwrap());
        let town = Self { town, environment: [("SOFTHSM2_CONF", settings.to_str().unwrap().to_owned())] };
        town.make_token();
        town.write_pin("12345678");
        Some(town)
    }

    /// One with keys, and serving.
    fn start() -> Option<Self> {
        let mut this = Self::prepare()?;
        printed(&this.atena(&["keys", "generate"]));
        this.town.serve();
        Some(this)
    }

    fn make_token(&self) {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "atena", "--so-pin", "87654321", "--pin", "12345678"])
            .env(self.environment[0].0, &self.environment[0].1)
            .output()
            .unwrap();
        assert!(made.status.success());
    }

    fn write_pin(&self, pin: &str) {
        let (new, file) = (self.town.home().join("token.new"), self.town.home().join("token.pin"));
        std::fs::write(&new, pin).unwrap();
        std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// The token is pulled out.
    fn take_away(&self) {
        let home = self.town.home();
        std::fs::rename(home.join("tokens"), home.join("gone")).unwrap();
        std::fs::create_dir(home.join("tokens")).unwrap();
    }

    /// It is put back, in place of whatever is there.
    fn bring_back(&self) {
        let home = self.town.home();
        std::fs::remove_dir_all(home.join("tokens")).unwrap();
        std::fs::rename(home.join("gone"), home.join("tokens")).unwrap();
    }

    fn atena(&self, arguments: &[&str]) -> std::process::Output {
        atena_with(&self.environment, &[arguments, &["--home", self.town.home_text()]].concat())
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let refused = self.atena(arguments);
        assert!(!refused.status.success());
        String::from_utf8_lossy(&refused.stderr).into_owned()
    }

    async fn health(&self) -> ServingStatus {
        let mut client = HealthClient::new(self.town.channel("pension"));
        let answer = client.check(HealthCheckRequest { service: String::new() }).await.unwrap();
        answer.into_inner().status()
    }

    async fn health_is(&self, wanted: ServingStatus) {
        seen("the health that is wanted", async || (self.health().await == wanted).then_some(())).await;
    }

    async fn register(&self, local: &str, number: u64) -> Result<v1::RegistrationResult, Status> {
        self.town.register("pension", registration(local, Some(&personal_number(number)))).await
    }
}

/// Fail closed, and no restart: a token that is away refuses calls, and is used again when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_goes_away_and_comes_back_is_used_again() {
    let Some(mut it) = TokenTown::start() else { return };
    assert!(it.register("P1", 4711).await.unwrap().error.is_none());
    assert_eq!(it.health().await, ServingStatus::Serving);
    // In the middle of a registration that began before, and goes on after.
    let (chunks, receiver) = tokio::sync::mpsc::channel(1);
    let mut client = it.town.address_service("pension");
    let mut answers = client.register_persons(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let chunk = |from: u64| v1::RegisterPersonsRequest {
        request_id: String::new(),
        registrations: (from..from + 50)
            .map(|number| registration(&format!("B{number}"), Some(&personal_number(number))))
            .collect(),
    };
    chunks.send(chunk(1000)).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().results.len(), 50);

    it.take_away();
    chunks.send(chunk(2000)).await.unwrap();
    let refused = answers.message().await.err().unwrap();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let refused = it.register("P2", 4712).await.err().unwrap();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "STORE_UNAVAILABLE"));
    assert!(refused.get_error_details().retry_info().is_some());
    it.health_is(ServingStatus::NotServing).await;
    it.town.wait_for_log("the keys can't be used: nothing is released until they can");

    it.bring_back();
    it.health_is(ServingStatus::Serving).await;
    it.town.wait_for_log("the keys can be used again");
    assert!(it.register("P2", 4712).await.unwrap().error.is_none(), "P2 was not registered before");
    let same = it.town.register("resident-tax", registration("T1", Some(&personal_number(4711)))).await.unwrap();
    assert_eq!(same.outcome, i32::from(v1::RegistrationOutcome::Linked), "the same keys");
    let failed = it.town.transfers("outcome = \"FAILED\"").await;
    assert!(!failed.is_empty(), "refusals are recorded as far as the log can be written");
    it.town.stop();
    printed(&it.atena(&["log", "fsck"]));
}

/// A token locks itself after a few wrong PINs, so a wrong one is tried once.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_tried_once_and_the_right_one_as_soon_as_it_is_there() {
    let Some(it) = TokenTown::start() else { return };
    it.take_away();
    it.write_pin("00000000");
    it.health_is(ServingStatus::NotServing).await;
    it.bring_back();
    it.town.wait_for_log("it does not take the PIN");
    it.town.wait_for_log("not tried again until pin_file changes");
    assert_eq!(it.health().await, ServingStatus::NotServing);
    it.write_pin("12345678");
    it.health_is(ServingStatus::Serving).await;
    assert!(it.register("P1", 4711).await.unwrap().error.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_token_in_its_place_is_refused_and_new_keys_are_never_advised() {
    let Some(mut it) = TokenTown::start() else { return };
    assert!(it.register("P1", 4711).await.unwrap().error.is_none());
    it.take_away();
    it.make_token();
    it.town.wait_for_log("no token has this label and serial number");
    assert_eq!(it.register("P2", 4712).await.err().unwrap().code(), Code::Unavailable);
    // Where data is sealed with the keys of the one that is gone, others are never advised, and never made.
    it.town.stop();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["keys", "status"], &["keys", "generate"]] {
        let text = it.refused(arguments);
        assert!(text.contains("The token that holds the keys is missing"), "{arguments:?}: {text}");
        assert!(!text.contains("keys generate"), "{arguments:?}: {text}");
    }
    it.bring_back();
    it.town.serve();
    assert!(it.register("P2", 4712).await.unwrap().error.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tokens_with_one_label_one_is_named_by_its_serial_number() {
    let Some(mut it) = TokenTown::prepare() else { return };
    printed(&it.atena(&["keys", "generate"]));
    let serial = |text: &str| text.trim().rsplit([' ', ',']).next().unwrap().to_owned();
    it.make_token();
    let text = it.refused(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(text.contains("several tokens have this label") && text.contains("serial = "), "{text}");
    let serials = text.rsplit("serial numbers: ").next().unwrap().lines().next().unwrap().to_owned();
    let both: Vec<_> = serials.split(", ").map(serial).collect();
    assert_eq!(both.len(), 2, "{text}");
    let mut served = 0;
    for serial in both {
        it.town.change("atena.toml", |text| {
            let text: Vec<_> = text.lines().filter(|line| !line.starts_with("serial = ")).collect();
            text.join("\n").replace("\nlabel = \"atena\"", &format!("\nlabel = \"atena\"\nserial = \"{serial}\""))
        });
        if it.atena(&["keys", "status"]).status.success() {
            it.town.serve();
            assert!(it.register("P1", 4711).await.unwrap().error.is_none());
            it.town.stop();
            served += 1;
        }
    }
    assert_eq!(served, 1, "the one with the keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_keeps_the_keys_and_everything_works_as_with_a_file() {
    let Some(TokenTown { mut town, environment }) = TokenTown::prepare() else { return };
    let refused = atena_with(&environment, &["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("atena keys generate"), "{refused:?}");
    printed(&atena_with(&environment, &["keys", "generate", "--home", town.home_text()]));

    town.serve();
    let number = personal_number(4711);
    let one = town.register("pension", registration("P1", Some(&number))).await.unwrap();
    assert!(one.error.is_none());
    town.stop();
    // After a restart the number is found under the same index, and the person's key unwraps.
    town.serve();
    let linked = town.register("resident-tax", registration("T1", Some(&number))).await.unwrap();
    assert_eq!(linked.outcome, i32::from(v1::RegistrationOutcome::Linked));
    assert_eq!(town.transfers("person = \"pension/P1\"").await.len(), 2, "details open with the person's key");
    for key in ["wrapping", "blind-index"] {
        printed(&atena_with(&environment, &["keys", "rotate", "--home", town.home_text(), "--key", key]));
    }
    let again = town.register("welfare", registration("W1", Some(&number))).await.unwrap();
    assert_eq!(again.outcome, i32::from(v1::RegistrationOutcome::Linked), "found under the new key");
    let status = printed(&atena_with(&environment, &["keys", "status", "--home", town.home_text()]));
    assert!(status.contains("wrapping-2") && !status.contains("wrapping-1"), "{status}");
    // The key of the log changes in the token as well; of the older one only the public half stays.
    let rotate = |more: &[&str]| {
        let arguments = ["keys", "rotate", "--home", town.home_text(), "--key", "log"];
        printed(&atena_with(&environment, &[&arguments[..], more].concat()))
    };
    let keys = || printed(&atena_with(&environment, &["log", "key", "--home", town.home_text(), "--json"]));
    let before = keys();
    rotate(&[]);
    head_when(&town, |note| note.signatures.len() == 2).await;
    rotate(&["--end-old"]);
    town.register("welfare", registration("W2", None)).await.unwrap();
    let after = keys();
    assert_eq!((before.lines().count(), after.lines().count()), (1, 2));
    let vkey =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["key"].as_str().unwrap().to_owned();
    assert_eq!(vkey(after.lines().next().unwrap()), vkey(before.trim()));
    let newest = VerifierKey::parse(&vkey(after.lines().last().unwrap())).unwrap();
    head_when(&town, |note| note.signatures.len() == 1 && note.verify(std::slice::from_ref(&newest)).is_ok()).await;
    town.stop();
    let checked = atena_with(&environment, &["log", "fsck", "--home", town.home_text()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
