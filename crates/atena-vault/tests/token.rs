//! The vault with a real token: SoftHSM2 in a folder of its own.
//!
//! SoftHSM reads where its tokens are from its environment, so this program makes a token, and runs itself again with that environment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "these are tests"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use atena_domain::{MunicipalityCode, UnifiedAddressNumber};
use atena_vault::{KeyKind, KeySource, LogKey, SealContext, TokenKeys, TokenPlace, Vault, VaultError, WrappedKey};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

fn main() {
    if let Some(folder) = std::env::var_os("ATENA_TEST_TOKEN_FOLDER") {
        return inside(Path::new(&folder));
    }
    if !Path::new(MODULE).exists() {
        assert!(std::env::var_os("ATENA_CI").is_none(), "SoftHSM2 is missing");
        println!("left out: SoftHSM2 is not here (Debian: softhsm2)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    let settings = folder.path().join("softhsm2.conf");
    std::fs::write(&settings, format!("directories.tokendir = {}\n", folder.path().join("tokens").display())).unwrap();
    for label in ["atena", "other"] {
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", label, "--so-pin", "87654321", "--pin", "12345678"])
            .env("SOFTHSM2_CONF", &settings)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // The folder of the token that goes away.
        let token = || std::fs::read_dir(folder.path().join("tokens")).unwrap().map(|entry| entry.unwrap().path());
        let known: Vec<_> = std::fs::read_to_string(folder.path().join("known"))
            .unwrap_or_default()
            .lines()
            .map(PathBuf::from)
            .collect();
        let new = token().find(|path| !known.contains(path)).unwrap();
        std::fs::write(folder.path().join("known"), new.to_str().unwrap()).unwrap();
    }
    let again = Command::new(std::env::current_exe().unwrap())
        .env("SOFTHSM2_CONF", &settings)
        .env("ATENA_TEST_TOKEN_FOLDER", folder.path())
        .status()
        .unwrap();
    assert!(again.success());
}

/// A token with the PIN in a file of this mode.
fn place(folder: &Path, label: &str, pin: &str, mode: u32) -> TokenPlace {
    let pin_file = folder.join(format!("{label}-{pin}-{mode:o}.pin"));
    std::fs::write(&pin_file, format!("{pin}\n")).unwrap();
    std::fs::set_permissions(&pin_file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    TokenPlace { module: PathBuf::from(MODULE), label: label.to_owned(), serial: None, pin_file }
}

fn inside(folder: &Path) {
    let machida = MunicipalityCode::parse("132098").unwrap();
    let chiyoda = MunicipalityCode::parse("131016").unwrap();
    let right = place(folder, "atena", "12345678", 0o600);
    let refused =
        |place: &TokenPlace| Vault::open(&KeySource::Token(place.clone()), &machida).err().unwrap().to_string();

    // What is wrong is said, with what to do.
    assert!(refused(&place(folder, "nobody", "12345678", 0o600)).contains("no token has this label"));
    assert!(refused(&place(folder, "atena", "00000000", 0o600)).contains("PIN"));
    assert!(refused(&place(folder, "atena", "12345678", 0o644)).contains("chmod 600"));
    assert!(refused(&right).contains("has no keys of municipality 132098"));

    for municipality in [&machida, &chiyoda] {
        TokenKeys::generate(&right, municipality).unwrap();
        let again = TokenKeys::generate(&right, municipality).err().unwrap().to_string();
        assert!(again.contains("never overwritten"), "{again}");
    }
    let open = |municipality| Vault::open(&KeySource::Token(right.clone()), municipality).ok().unwrap();
    let (vault, other) = (open(&machida), open(&chiyoda));
    let person = |body| UnifiedAddressNumber::from_body(body).unwrap();

    // A data key unwraps for its person, in its municipality, under its key, unchanged; and in no other way.
    let (key, wrapped) = vault.new_person_key(&person(1), &vault.wrapping_ids()[0]).unwrap();
    let row = SealContext { table: "t", column: "c", row: b"r" };
    let sealed = key.seal(&row, b"content").unwrap();
    let again = open(&machida).unwrap_person_key(&person(1), &wrapped).unwrap();
    assert_eq!(again.open(&row, &sealed).unwrap().as_slice(), b"content");
    assert!(matches!(vault.unwrap_person_key(&person(2), &wrapped), Err(VaultError::DoesNotOpen)));
    assert!(
        matches!(other.unwrap_person_key(&person(1), &wrapped), Err(VaultError::DoesNotOpen)),
        "municipality-apart"
    );
    for position in 0..wrapped.bytes.len() {
        let mut bytes = wrapped.bytes.to_vec();
        bytes[position] ^= 1;
        let changed = WrappedKey { bytes: bytes.into(), ..wrapped.clone() };
        assert!(vault.unwrap_person_key(&person(1), &changed).is_err(), "byte {position}");
    }
    let unknown = WrappedKey { kek_id: "wrapping-7".into(), ..wrapped };
    assert!(matches!(vault.unwrap_person_key(&person(1), &unknown), Err(VaultError::UnknownKey)));

    // Heads of the log verify with software that knows nothing of the token.
    let text = b"132098.atena/log\n1\nroot\n";
    let verify = |key: LogKey, vault: &Vault| {
        let public = VerifyingKey::from_bytes(&key.public_key).unwrap();
        public.verify(text, &Signature::from_bytes(&vault.sign_log_head(key.version, text).unwrap())).unwrap();
    };
    let [log_key] = vault.log_keys()[..] else { panic!("one key of the log") };
    verify(log_key, &vault);
    assert_ne!(log_key, other.log_keys()[0]);

    // Lesser keys are the same each time, and different for each municipality.
    assert_eq!(vault.content_mac("view", b"content"), open(&machida).content_mac("view", b"content"));
    assert_ne!(vault.content_mac("view", b"content"), other.content_mac("view", b"content"));
    let case = vault.municipal_key().seal(&row, b"case").unwrap();
    assert!(open(&machida).municipal_key().open(&row, &case).is_ok());
    assert!(other.municipal_key().open(&row, &case).is_err());

    // Many threads use it at one time.
    std::thread::scope(|scope| {
        for thread in 1..=8_u64 {
            let vault = &vault;
            scope.spawn(move || {
                for number in 0..50 {
                    let person = person(1000 * thread + number);
                    let (_, wrapped) = vault.new_person_key(&person, &vault.wrapping_ids()[0]).unwrap();
                    vault.unwrap_person_key(&person, &wrapped).unwrap();
                }
            });
        }
    });

    // Versions stand side by side until the old ones are destroyed.
    let source = KeySource::Token(right.clone());
    let (_, before) = vault.new_person_key(&person(7), "wrapping-1").unwrap();
    for kind in [KeyKind::Wrapping, KeyKind::BlindIndex, KeyKind::Log] {
        source.add(&machida, kind).unwrap();
    }
    let rotated = open(&machida);
    assert_eq!(rotated.log_keys().len(), 2);
    rotated.log_keys().into_iter().for_each(|key| verify(key, &rotated));
    assert_eq!((rotated.wrapping_ids().len(), rotated.index_versions()), (2, vec![1, 2]));
    let after = rotated.wrap_again(&person(7), &before, "wrapping-2").unwrap();
    for kind in [KeyKind::Wrapping, KeyKind::BlindIndex, KeyKind::Log] {
        source.keep_newest(&machida, kind).unwrap();
    }
    let rotated = open(&machida);
    let [old, new] = rotated.log_keys()[..] else { panic!("the public half of the older key stays") };
    assert_eq!(old, LogKey { signs: false, ..log_key });
    verify(new, &rotated);
    assert!(matches!(rotated.sign_log_head(1, text), Err(VaultError::UnknownKey)));
    assert_eq!((rotated.wrapping_ids(), rotated.index_versions()), (vec!["wrapping-2".to_owned()], vec![2]));
    assert!(rotated.unwrap_person_key(&person(7), &after).is_ok());
    assert!(matches!(rotated.unwrap_person_key(&person(7), &before), Err(VaultError::UnknownKey)));
    assert_eq!(open(&chiyoda).wrapping_ids(), ["wrapping-1"], "municipality-apart");
    one_token_away_leaves_the_other_alone(folder, &rotated);
    println!("the vault with a token: ok");
}

/// municipality-apart: two municipalities with a token each use one library, which may have to be
/// initialised anew for one of them.
fn one_token_away_leaves_the_other_alone(folder: &Path, here: &Vault) {
    let municipality = MunicipalityCode::parse("131181").unwrap();
    let place = place(folder, "other", "12345678", 0o600);
    TokenKeys::generate(&place, &municipality).unwrap();
    let gone = Vault::open(&KeySource::Token(place), &municipality).ok().unwrap();
    gone.probe().unwrap();
    let token = PathBuf::from(std::fs::read_to_string(folder.join("known")).unwrap());
    let aside = folder.join("aside");
    std::fs::rename(&token, &aside).unwrap();
    std::thread::scope(|scope| {
        let uses = || {
            scope.spawn(|| {
                for _ in 0..500 {
                    here.probe().unwrap();
                    here.sign_log_head(2, b"text").unwrap();
                }
            })
        };
        let uses: Vec<_> = (0..4).map(|_| uses()).collect();
        while !uses.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let refused = gone.probe().err().map(|error| error.to_string());
            assert!(refused.is_none_or(|refused| refused.contains("is away")));
        }
    });
    assert!(gone.probe().is_err());
    std::fs::rename(&aside, &token).unwrap();
    while gone.probe().is_err() {}
    here.probe().unwrap();
}
