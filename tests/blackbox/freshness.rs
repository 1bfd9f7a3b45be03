//! A database whose signed heads no file vouches for is not served as if it were new (tamper-evident), until an operator accepts that.

use std::path::PathBuf;
use std::process::Output;

use crate::people::{personal_number, registration};
use crate::town::{Engine, Town, atena, printed};

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A home that was used and stopped.
async fn used() -> (Town, &'static str) {
    let mut town = Town::start();
    town.register("pension", registration("P1", Some(&personal_number(1)))).await.unwrap();
    town.stop();
    let home = town.home_text();
    (town, home)
}

/// Serving and every command that writes refuse with this text, and name the file.
fn all_refuse(home: &str, file: &str, text: &str) {
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["backup", "--out", "/nonexistent/backup"],
        &["erase", "pension/P1", "--order", "1", "--yes"],
        &["keys", "rotate", "--key", "wrapping"],
        &["log", "export", "--out", "/nonexistent/copy"],
    ] {
        let output = atena(&[arguments, &["--home", home]].concat());
        // The log of a gateway goes to stderr as well.
        let told = refused(&output);
        assert!(told.contains(text) && told.contains(file), "{arguments:?}: {told}");
    }
    let fsck = atena(&["log", "fsck", "--home", home]);
    assert_eq!(fsck.status.code(), Some(2), "{fsck:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tamper_evident_a_missing_or_empty_head_is_refused_until_it_is_accepted_on_record() {
    let (mut town, home) = used().await;
    for (file, spoil, text) in [
        ("log.checkpoint", None, "is missing"),
        ("admin.checkpoint", None, "is missing"),
        ("log.checkpoint", Some(""), "is empty"),
        ("admin.checkpoint", Some("\n"), "is empty"),
        ("log.checkpoint", Some("132098.atena/log\n12\n"), "no signed head"),
    ] {
        let path: PathBuf = town.home().join(file);
        match spoil {
            None => std::fs::remove_file(&path).unwrap(),
            Some(content) => std::fs::write(&path, content).unwrap(),
        }
        all_refuse(home, file, text);
        assert!(refused(&atena(&["backup", "--home", home, "--out", "/x"])).contains("atena log accept-head"));
        let accepted = printed(&atena(&["log", "accept-head", "--home", home]));
        assert!(accepted.contains("Accepted: the signed head of"), "{accepted}");
        let again = printed(&atena(&["log", "accept-head", "--home", home]));
        assert!(again.contains("nothing to accept"), "{again}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("132098.atena/"));
    }
    let recorded = printed(&atena(&["log", "admin", "--home", home, "--action", "Log/AcceptHead", "--json"]));
    assert_eq!(recorded.lines().filter(|line| line.contains("DONE")).count(), 5, "{recorded}");
    assert!(recorded.contains("file:missing") && recorded.contains("file:empty"), "{recorded}");
    town.serve();
    town.stop();
    printed(&atena(&["log", "fsck", "--home", home]));
}

#[tokio::test(flavor = "multi_thread")]
async fn tamper_evident_a_head_that_is_older_than_the_database_is_refused() {
    if crate::ENGINE == Engine::Postgres {
        // The file of each gateway stands still while that one is stopped.
        return;
    }
    let (mut town, home) = used().await;
    let path = town.home().join("admin.checkpoint");
    let old = std::fs::read(&path).unwrap();
    // A start and a stop sign four heads.
    town.serve();
    town.stop();
    std::fs::write(&path, &old).unwrap();
    all_refuse(home, "admin.checkpoint", "holds an old head");
    printed(&atena(&["log", "accept-head", "--home", home]));
    let aside = std::fs::read_dir(town.home()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.to_str().unwrap().contains("admin.refused-")).collect();
    assert_eq!(std::fs::read(&aside[0]).unwrap(), old, "what was there is kept");
    town.serve();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_home_are_named_as_that() {
    let (town, home) = used().await;
    let other = Town::prepare();
    std::fs::copy(other.home().join("keys.toml"), town.home().join("keys.toml")).unwrap();
    all_refuse(home, "keys.toml", "the keys of another home");
    let pki = atena(&["pki", "renew", "--home", home]);
    assert!(refused(&pki).contains("the keys of another home"), "{pki:?}");
}

/// A path is never decoded, and never read as a URL.
#[tokio::test(flavor = "multi_thread")]
async fn a_home_may_have_any_name() {
    if crate::ENGINE == Engine::Postgres {
        return;
    }
    let town = Town::prepare();
    for name in ["a%20b", "宛名 ホーム", "q?mode=ro", "h#x", "file:x?immutable=1"] {
        let root = town.home().join(name);
        let home = root.to_str().unwrap();
        printed(&atena(&["init", "--home", home]));
        let settings = root.join("atena.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        std::fs::write(&settings, text.replace("sqlite:atena.db", "sqlite:file:a%41?b=1#c.db")).unwrap();
        let status = atena(&["clock", "status", "--home", home]);
        assert!(status.status.success(), "{status:?}");
        assert!(root.join("file:a%41?b=1#c.db").metadata().unwrap().len() > 0, "{name}");
        let backup = root.join("b%20 ?x");
        printed(&atena(&["backup", "--home", home, "--out", backup.to_str().unwrap()]));
        assert!(backup.join("content.db").metadata().unwrap().len() > 0);
    }
}
