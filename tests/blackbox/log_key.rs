//! tamper-evident while the key that signs the log is changed: those who know the older key go on, and what it signed is verified for ever.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use atena_ledger::{Checkpoint, Note, VerifierKey, verify_cosignature};

use crate::log::{Witness, head, head_when, register_some, size};
use crate::people::{personal_number, registration};
use crate::town::{Town, atena, printed};

fn keys(town: &Town) -> Vec<VerifierKey> {
    let told = printed(&atena(&["log", "key", "--home", town.home_text()]));
    told.lines().filter(|line| !line.starts_with('#')).map(|line| VerifierKey::parse(line).unwrap()).collect()
}

fn rotate(town: &Town, more: &[&str]) -> String {
    printed(&atena(&[&["keys", "rotate", "--home", town.home_text(), "--key", "log"], more].concat()))
}

/// Does it, and kills it as soon as the keys have changed.
fn rotate_and_kill(town: &Town, more: &[&str]) {
    let keys = town.home().join("keys.toml");
    let before = std::fs::read(&keys).unwrap();
    let mut rotation = Command::new(env!("CARGO_BIN_EXE_atena"))
        .args([&["keys", "rotate", "--home", town.home_text(), "--key", "log"], more].concat())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while std::fs::read(&keys).is_ok_and(|now| now == before) {
        assert!(rotation.try_wait().unwrap().is_none(), "it ended without a change");
    }
    rotation.kill().unwrap();
    rotation.wait().unwrap();
}

fn status(town: &Town) -> (Option<i32>, String) {
    let output = atena(&["keys", "status", "--home", town.home_text()]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn signed_by(note: &Note, key: &VerifierKey) -> bool {
    note.verify(std::slice::from_ref(key)).is_ok()
}

/// The receipt of the newest transfer, in two files.
fn receipt(town: &Town, id: &str) -> (PathBuf, PathBuf) {
    let out = town.home().join("receipts");
    let to = ["--home", town.home_text(), "--server", town.address(), "--as", "pension", "--id", id, "--out"];
    printed(&atena(&[&["receipt"], &to[..], &[out.to_str().unwrap()]].concat()));
    (out.join(format!("{id}.leaf")), out.join(format!("{id}.tlog-proof")))
}

fn verify(key: &str, (leaf, receipt): &(PathBuf, PathBuf)) -> bool {
    let files = ["--leaf", leaf.to_str().unwrap(), "--receipt", receipt.to_str().unwrap()];
    atena(&[&["verify", "receipt", "--key", key], &files[..]].concat()).status.success()
}

async fn register(town: &Town, person: u64) -> String {
    let done =
        town.register("pension", registration(&format!("R{person}"), Some(&personal_number(person)))).await.unwrap();
    assert!(done.error.is_none(), "a call failed while the key was changed");
    done.transfer_id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_the_log_is_changed_while_gateways_serve_and_those_who_verify_go_on() {
    let mut town = Town::prepare();
    let mut witness = Witness::start(&town);
    town.change("atena.toml", |text| {
        let entry =
            format!("[[log.witness]]\nurl = \"http://{}\"\nkey = \"{}\"\n\n[telemetry]", witness.address, witness.key);
        text.replace("[telemetry]", &entry)
    });
    town.serve();
    let second = Arc::new(town.another_gateway());
    register_some(&town, 0, 20).await;
    let [old] = &keys(&town)[..] else { panic!("one key at the beginning") };
    let early = receipt(&town, &register(&town, 1_000).await);
    let before = head_when(&town, |note| size(note) >= 21).await;

    // Calls all the time, through both gateways.
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let load = [(Arc::new(town.beside()), 2_000), (Arc::clone(&second), 500_000)].map(|(town, from)| {
        let (over, done) = (Arc::clone(&over), Arc::clone(&done));
        tokio::spawn(async move {
            let mut person = from;
            while !over.load(Ordering::Relaxed) {
                register(&town, person).await;
                person += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
        })
    });

    // A newer key beside the older one, also when it was killed on the way.
    rotate_and_kill(&town, &[]);
    rotate(&town, &[]);
    let told = rotate(&town, &[]);
    let [first, new] = &keys(&town)[..] else { panic!("asked again, nothing more is made: {told}") };
    assert_eq!(first, old);
    assert!(told.contains(&new.to_string()), "{told}");
    let (code, told) = status(&town);
    assert!(code == Some(2) && told.contains("log-2") && told.contains("until it is ended"), "{told}");
    let both = |note: &Note| signed_by(note, old) && signed_by(note, new);
    let cosigned = |note: &Note, witness: &Witness| verify_cosignature(note, &witness.key).is_ok();
    for gateway in [&town, &second] {
        let overlap = head_when(gateway, |note| both(note) && cosigned(note, &witness)).await;
        assert_eq!(Checkpoint::parse(&overlap.text).unwrap().next_key(&overlap).as_ref(), Some(new));
        assert_eq!(head(gateway).await.verifier_key, new.to_string());
    }
    let middle = receipt(&town, &register(&town, 1_001).await);
    assert!(verify(&old.to_string(), &middle) && verify(&new.to_string(), &middle), "good for whoever knows either");

    // The witness learned the newer key from a head that both signed, and keeps it.
    let (address, witness_key) = (witness.address.clone(), witness.key.clone());
    drop(witness);
    witness = Witness::start_with(&town, &old.to_string(), &address);
    assert_eq!(witness.key, witness_key);

    // The end of the older key, killed on the way as well.
    rotate_and_kill(&town, &["--end-old"]);
    let again = atena(&["keys", "rotate", "--home", town.home_text(), "--key", "log", "--end-old"]);
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() || told.contains("signs the log alone"), "{told}");
    for gateway in [&town, &second] {
        let after = head_when(gateway, |note| !signed_by(note, old) && cosigned(note, &witness)).await;
        assert!(signed_by(&after, new));
        assert_eq!(head(gateway).await.verifier_key, new.to_string());
    }
    over.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    assert!(done.load(Ordering::Relaxed) > 0);

    let (code, told) = status(&town);
    assert!(code == Some(0) && !told.contains("log-1"), "{told}");
    let text = std::fs::read_to_string(town.home().join("keys.toml")).unwrap();
    assert_eq!(text.matches("[[log]]").count(), 1, "the private half of the older key is gone");
    let late = receipt(&town, &register(&town, 1_002).await);
    let file = town.home().join("log.vkey");
    std::fs::write(&file, printed(&atena(&["log", "key", "--home", town.home_text()]))).unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("# since the beginning, until 2"));
    let (old, new, all) = (old.to_string(), new.to_string(), file.to_str().unwrap());
    for (key, receipt, verified) in [
        (old.as_str(), &early, true),
        (&old, &middle, true),
        (&old, &late, false),
        (&new, &late, true),
        (&new, &early, false),
        (all, &early, true),
        (all, &late, true),
    ] {
        assert_eq!(verify(key, receipt), verified, "{key} {receipt:?}");
    }

    // The log tells of both steps, and is one log: a head from before is extended by today's.
    for (method, key) in [("Log/AddKey", &new), ("Log/EndKey", &old)] {
        let [leaf] = &town.transfers(&format!("method = \"{method}\" AND outcome = \"DONE\"")).await[..] else {
            panic!("one {method}")
        };
        assert_eq!((leaf.system_id.as_str(), &leaf.fields[..]), ("atena", &[key.clone()][..]));
    }
    drop(second);
    town.stop();
    let (copy, earlier) = (town.home().join("copy"), town.home().join("earlier"));
    std::fs::write(&earlier, before.to_string()).unwrap();
    printed(&atena(&["log", "export", "--home", town.home_text(), "--out", copy.to_str().unwrap()]));
    let export = |key: &str| {
        let extends = ["--extends", earlier.to_str().unwrap(), copy.to_str().unwrap()];
        atena(&[&["verify", "export", "--key", key], &extends[..]].concat()).status.success()
    };
    assert!(export(all) && !export(&old), "the newest head is not of the older key");
    assert_eq!(printed(&atena(&["log", "fsck", "--home", town.home_text()])).matches("is sound").count(), 2);
}

/// Whoever kept a copy of a key that signs no more can't sign the log's future with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_only_an_ended_key_signed_is_not_believed() {
    let mut town = Town::start();
    register_some(&town, 0, 5).await;
    head_when(&town, |note| size(note) >= 5).await;
    town.stop();
    let stolen = std::fs::read_to_string(town.home().join("keys.toml")).unwrap();
    let yesterday = town.copy();
    printed(&atena(&["keys", "rotate", "--home", town.home_text(), "--key", "log", "--prepare"]));
    assert_eq!(keys(&town).len(), 1, "prepared, and not in use");
    rotate(&town, &[]);
    let both = std::fs::read_to_string(town.home().join("keys.toml")).unwrap();
    rotate(&town, &["--end-old"]);
    // As if it had been killed before it destroyed the private half.
    std::fs::write(town.home().join("keys.toml"), both).unwrap();
    let (code, told) = status(&town);
    assert!(code == Some(2) && told.contains("not in use"), "{told}");
    rotate(&town, &["--end-old"]);
    assert_eq!(status(&town).0, Some(0));
    let refused = atena(&["keys", "rotate", "--home", town.home_text(), "--key", "log", "--end-old"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("signs the log alone"));
    let new = std::fs::read_to_string(town.home().join("keys.toml")).unwrap();
    assert_ne!(stolen, new);
    // The database of yesterday, with heads of yesterday's key beside it, goes on under the stolen key.
    town.restore(yesterday);
    std::fs::write(town.home().join("keys.toml"), &stolen).unwrap();
    town.serve();
    register_some(&town, 100, 50).await;
    head_when(&town, |note| size(note) >= 55).await;
    town.stop();
    std::fs::write(town.home().join("keys.toml"), &new).unwrap();
    let told = atena(&["log", "fsck", "--home", town.home_text()]);
    assert_eq!(told.status.code(), Some(2));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("signed by none of the keys"), "{told}");
    let refused = atena(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("damaged"), "{refused:?}");
}
