//! A start that waits says for what, ends at its deadline, and hears a signal; settings that can't work are refused at once.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::town::{Town, atena};

/// A home whose rules are a pipe that gives nothing: reading them blocks for ever.
fn blocked() -> Town {
    let town = Town::prepare();
    let rules = town.home().join("policy.toml");
    std::fs::remove_file(&rules).unwrap();
    assert!(Command::new("mkfifo").arg(&rules).status().unwrap().success());
    town
}

#[test]
fn a_start_that_waits_says_for_what_and_ends_at_a_signal_with_0() {
    let start = |signal| {
        let town = blocked();
        let mut process = Command::new(env!("CARGO_BIN_EXE_atena"))
            .args(["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        (town, process, log, signal)
    };
    // Both wait at the same time.
    for (_town, mut process, mut log, signal) in ["-TERM", "-INT"].map(start) {
        let line = log.find(|line| line.contains("starting: waiting for")).unwrap();
        assert!(line.contains("the rules") && line.contains("policy.toml"), "{line}");
        assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
        assert!(log.any(|line| line.contains("asked to stop during the start")));
        assert_eq!(process.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_start_ends_at_its_deadline_with_what_it_waited_for() {
    let town = blocked();
    town.change("atena.toml", |text| text.replace("start_timeout_s = 600", "start_timeout_s = 1"));
    let output = atena(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("start_timeout_s") && told.contains("waiting for the rules"), "{told}");
}

#[test]
fn what_can_not_be_served_is_said_with_the_cause_and_the_remedy() {
    let town = Town::prepare();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let serve = |town: &Town, listen: &str| {
        let output = atena(&["serve", "--home", town.home_text(), "--listen", listen]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = serve(&town, &taken.local_addr().unwrap().to_string());
    assert!(told.contains("Another program listens there"), "{told}");
    let told = serve(&town, "192.0.2.1:1");
    assert!(told.contains("no such address"), "{told}");

    // Certificates of another authority with the same name.
    let other = Town::prepare();
    for file in ["server.crt", "ca.crl"] {
        let path = town.home().join("pki").join(file);
        let good = std::fs::read(&path).unwrap();
        std::fs::copy(other.home().join("pki").join(file), &path).unwrap();
        let told = serve(&town, "127.0.0.1:0");
        assert!(told.contains("both have the same name, and different keys") && told.contains(file), "{told}");
        std::fs::write(&path, good).unwrap();
    }
    let key = town.home().join("pki/server.key");
    std::fs::copy(other.home().join("pki/server.key"), &key).unwrap();
    let told = serve(&town, "127.0.0.1:0");
    assert!(told.contains("server.key is not the one of the certificate"), "{told}");

    other.change("atena.toml", |text| text.replace("header_bytes_max = 8192", "header_bytes_max = 1"));
    let told = serve(&other, "127.0.0.1:0");
    assert!(told.contains("limits.header_bytes_max is 1, and must be 1024 to 1048576"), "{told}");
}

#[test]
fn a_database_file_that_is_none_is_said_with_its_path() {
    let town = Town::prepare();
    let database = town.home().join("atena.db");
    for (content, said) in
        [(vec![b'x'; 5000], "is not an SQLite database"), (b"SQLite format 3\0".to_vec(), "is cut off")]
    {
        std::fs::write(&database, content).unwrap();
        for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["backup", "--out", "/x"], &["keys", "status"]] {
            let output = atena(&[arguments, &["--home", town.home_text()]].concat());
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1));
            assert!(told.contains(said) && told.contains("atena.db"), "{arguments:?}: {told}");
        }
    }
    std::fs::remove_file(&database).unwrap();
    std::fs::create_dir(&database).unwrap();
    let output = atena(&["log", "fsck", "--home", town.home_text()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("is a directory"), "{output:?}");
}
