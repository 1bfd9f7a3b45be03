//! A gateway whose keys are in a token (SoftHSM2): nothing of them lies in a file.

use std::path::Path;
use std::process::Command;

use atena_ledger::VerifierKey;

use crate::log::head_when;
use crate::people::{personal_number, registration};
use crate::town::{Town, atena_with, printed};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_keeps_the_keys_and_everything_works_as_with_a_file() {
    if !Path::new(MODULE).exists() {
        assert!(std::env::var_os("ATENA_CI").is_none(), "SoftHSM2 is missing");
        return;
    }
    let mut town = Town::prepare();
    let home = town.home();
    let settings = home.join("softhsm2.conf");
    std::fs::create_dir(home.join("tokens")).unwrap();
    std::fs::write(&settings, format!("directories.tokendir = {}\n", home.join("tokens").display())).unwrap();
    let environment = [("SOFTHSM2_CONF", settings.to_str().unwrap().to_owned())];
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "atena", "--so-pin", "87654321", "--pin", "12345678"])
        .env("SOFTHSM2_CONF", &settings)
        .output()
        .unwrap();
    assert!(made.status.success());
    std::fs::write(home.join("token.pin"), "12345678\n").unwrap();
    assert!(Command::new("chmod").args(["600", home.join("token.pin").to_str().unwrap()]).status().unwrap().success());
    std::fs::remove_file(home.join("keys.toml")).unwrap();
    town.change("atena.toml", |text| {
        text.replace(
            "[tls]",
            &format!("[token]\nmodule = \"{MODULE}\"\nlabel = \"atena\"\npin_file = \"token.pin\"\n\n[tls]"),
        )
    });
    let refused = atena_with(&environment, &["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("atena keys generate"), "{refused:?}");
    printed(&atena_with(&environment, &["keys", "generate", "--home", town.home_text()]));

    town.surround(environment[0].0, &environment[0].1);
    town.serve();
    let number = personal_number(4711);
    let one = town.register("pension", registration("P1", Some(&number))).await.unwrap();
    assert!(one.error.is_none());
    town.stop();
    // After a restart the number is found under the same index, and the person's key unwraps.
    town.serve();
    let linked = town.register("resident-tax", registration("T1", Some(&number))).await.unwrap();
    assert_eq!(linked.outcome, i32::from(atena_proto::v1::RegistrationOutcome::Linked));
    assert_eq!(town.transfers("person = \"pension/P1\"").await.len(), 2, "details open with the person's key");
    for key in ["wrapping", "blind-index"] {
        printed(&atena_with(&environment, &["keys", "rotate", "--home", town.home_text(), "--key", key]));
    }
    let again = town.register("welfare", registration("W1", Some(&number))).await.unwrap();
    assert_eq!(again.outcome, i32::from(atena_proto::v1::RegistrationOutcome::Linked), "found under the new key");
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
