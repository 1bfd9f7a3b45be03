//! Who acts on the system at the machine signs in there, and the admin log names them as proved; whoever is not believed does nothing.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use jiff::{Timestamp, ToSpan as _, tz};
use serde_json::Value;

use crate::accounts::{account, issue, town_with, write_accounts};
use crate::town::{Town, atena, printed};

/// A town that is not served any more, whose operator `op1`, other operator `op2` and auditor `aud1` have certificates.
fn town() -> Town {
    let mut town = town_with(&[account("op1", "operator"), account("op2", "operator"), account("aud1", "auditor")]);
    ["op1", "op2", "aud1"].iter().for_each(|id| issue(&town, id));
    town.stop();
    town
}

fn run(town: &Town, arguments: &[&str]) -> Output {
    atena(&[arguments, &["--home", town.home_text()]].concat())
}

fn records(town: &Town) -> Vec<Value> {
    printed(&run(town, &["log", "admin", "--json"])).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn demand_sign_in(town: &Town) {
    town.change("atena.toml", |text| text.replace("operators_sign_in = false", "operators_sign_in = true"));
}

fn out(town: &Town, name: &str) -> PathBuf {
    town.home().join(name)
}

/// Tries everything that acts, as `who`, and sees that it is refused in these words and changes nothing.
fn refused(town: &Town, who: &[&str], told: &str) {
    let to = out(town, "refused");
    let to = to.to_str().unwrap();
    let kept = || {
        let read = |file: &str| fs::read(town.home().join(file)).unwrap();
        (read("keys.toml"), read("pki/ca.crl"), read("pki/systems/welfare.crt"), records(town).len())
    };
    let before = kept();
    let database = format!("sqlite:{to}.db");
    for action in [
        &["keys", "generate"][..],
        &["keys", "rotate", "--key", "wrapping"],
        &["keys", "rotate", "--key", "log", "--prepare"],
        &["log", "export", "--out", to],
        &["backup", "--out", to],
        &["restore", "--from", to],
        &["migrate", "--from", &town.database_url(), "--to", &database],
        &["erase", "pension/P1", "--order", "1", "--yes"],
        &["pki", "issue", "--system", "welfare", "--out", to],
        &["pki", "revoke", "--system", "welfare"],
        &["pki", "renew", "--system", "welfare"],
        &["municipality", "add", "--municipality", "131016"],
    ] {
        let answer = run(town, &[action, who].concat());
        let error = String::from_utf8_lossy(&answer.stderr).into_owned();
        // Where the settings name no token there is nothing to generate, whoever asks.
        let told = if action[1] == "generate" { "names no token" } else { told };
        assert!(answer.status.code() == Some(1) && error.contains(told), "{who:?} {action:?}: {error}");
    }
    assert!(kept() == before && !out(town, "refused").exists() && !out(town, "refused.db").exists());
    assert!(!town.home().join("municipalities/131016").exists());
}

#[test]
fn an_operator_who_signs_in_is_named_by_account_and_how_it_was_proved() {
    let town = town();
    demand_sign_in(&town);
    let (copy, admin) = (out(&town, "copy"), out(&town, "admin"));
    let op1 = |arguments: &[&str]| run(&town, &[arguments, &["--as", "person/op1"]].concat());
    printed(&op1(&["keys", "rotate", "--key", "wrapping"]));
    printed(&op1(&["log", "export", "--out", copy.to_str().unwrap()]));
    // What only reads, and what a timer does, needs nobody.
    for arguments in [&["keys", "status"][..], &["log", "fsck"], &["pki", "renew"]] {
        printed(&run(&town, arguments));
    }
    let all = records(&town);
    for (action, actor, proof) in [
        ("Keys/Rotate", "account:op1", "certificate"),
        ("Log/Export", "account:op1", "certificate"),
        ("Pki/Renew", "os:", "told"),
    ] {
        let found: Vec<_> = all.iter().filter(|record| record["action"] == action).collect();
        assert_eq!(found.len(), 2, "{action}");
        for record in found {
            assert!(record["actor"].as_str().unwrap().starts_with(actor) && record["proof"] == proof, "{record}");
        }
    }
    // In the open nobody is named.
    printed(&op1(&["log", "export", "--log", "admin", "--out", admin.to_str().unwrap()]));
    let mut folders = vec![admin];
    let mut leaves = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                leaves.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap()))
            }
        }
    }
    assert!(leaves.contains("method Keys/Rotate") && !leaves.contains("op1"));
}

#[test]
fn whoever_is_not_believed_to_be_an_operator_does_nothing() {
    let town = town();
    let people = town.home().join("pki/people");
    let copy = |from: &str, to: &str| fs::copy(people.join(from), people.join(to)).unwrap();
    // Also where the settings do not ask for it: who says who they are has to prove it.
    refused(&town, &["--as", "person/aud1"], "does not have the role operator");
    refused(&town, &["--as", "person/op9"], "no client certificate for `person/op9`");
    refused(&town, &["--as", "console"], "nobody is signed in at `console`");
    fs::create_dir_all(town.home().join("sessions")).unwrap();
    let session = town.home().join("sessions/console");
    fs::write(&session, "a.b.c").unwrap();
    fs::set_permissions(&session, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    refused(&town, &["--as", "console"], "is not believed");

    copy("op1.crt", "kept.crt");
    copy("op1.key", "kept.key");
    copy("op2.crt", "op1.crt");
    copy("op2.key", "op1.key");
    refused(&town, &["--as", "person/op1"], "names somebody else");
    copy("kept.crt", "op1.crt");
    refused(&town, &["--as", "person/op1"], "KeyMismatch");
    copy("kept.key", "op1.key");
    ["kept.crt", "kept.key"].iter().for_each(|file| fs::remove_file(people.join(file)).unwrap());
    // A system's certificate is nobody's, whatever it is called.
    let system = |ending: &str| town.home().join("pki/systems").join(format!("pension.{ending}"));
    ["crt", "key"].iter().for_each(|ending| {
        fs::copy(system(ending), people.join(format!("pension.{ending}"))).unwrap();
    });
    refused(&town, &["--as", "person/pension"], "names somebody else");
    ["crt", "key"].iter().for_each(|ending| fs::remove_file(people.join(format!("pension.{ending}"))).unwrap());

    printed(&run(&town, &["pki", "revoke", "--person", "op2", "--as", "person/op1"]));
    refused(&town, &["--as", "person/op2"], "Revoked");
    let today = tz::offset(9).to_datetime(Timestamp::now()).date();
    let ended = account("op1", "operator").replace(
        &format!("expires = {}", today.saturating_add(1.day())),
        &format!("expires = {}", today.saturating_sub(1.day())),
    );
    write_accounts(&town, &[ended, account("aud1", "auditor")]);
    refused(&town, &["--as", "person/op1"], "has ended");

    demand_sign_in(&town);
    refused(&town, &[], "Say who you are: --as person/ID");
}
