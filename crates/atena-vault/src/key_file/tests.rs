use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

use super::*;

fn machida() -> MunicipalityCode {
    MunicipalityCode::parse("132098").unwrap()
}

fn written() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    KeyFile::generate(&machida()).unwrap().write_new(&path).unwrap();
    (folder, path)
}

#[test]
fn keys_come_back_and_their_file_is_for_its_owner_alone() {
    let (_folder, path) = written();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert!(KeyFile::read(&path, &machida()).is_ok());
}

#[test]
fn a_file_that_others_can_read_or_write_is_refused_with_the_remedy() {
    let (_folder, path) = written();
    for mode in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = KeyFile::read(&path, &machida()).err().unwrap();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn an_existing_key_file_is_never_overwritten() {
    let (_folder, path) = written();
    let before = fs::read(&path).unwrap();
    assert!(KeyFile::generate(&machida()).unwrap().write_new(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_link_another_municipality_and_damage_are_refused_without_quoting_a_key() {
    let (folder, path) = written();
    let link = folder.path().join("link.toml");
    symlink(&path, &link).unwrap();
    assert!(matches!(KeyFile::read(&link, &machida()), Err(VaultError::KeyFileKind { .. })));
    assert!(KeyFile::read(&path, &MunicipalityCode::parse("131016").unwrap()).is_err());

    let text = fs::read_to_string(&path).unwrap();
    let cursor = text.lines().find(|line| line.starts_with("cursor_key")).unwrap();
    let wrapping = text.lines().find(|line| line.starts_with("municipal_key")).unwrap();
    let value = wrapping.split('"').nth(1).unwrap();
    for damaged in [
        text.replace(cursor, &wrapping.replace("municipal_key", "cursor_key")),
        text.replace(cursor, "cursor_key = \"00\""),
        text.replace(cursor, ""),
        text.replacen("version = 2", "version = 3", 1),
        text.replace(value, &format!("{value}\" oops = \"")),
    ] {
        fs::write(&path, damaged).unwrap();
        let error = KeyFile::read(&path, &machida()).err().unwrap().to_string();
        assert!(!error.contains(value), "{error}");
    }
}

/// Homes that were made before keys had versions go on: the same keys, also the one that was derived.
#[test]
fn a_file_in_the_first_form_opens_what_it_sealed() {
    let (_folder, path) = written();
    let digits = |byte: &str| byte.repeat(32);
    let first = format!(
        "version = 1\nmunicipality_code = \"132098\"\nkek_id = \"kek-1\"\nwrapping_key = \"{}\"\nblind_index_key = \"{}\"\n\
         cursor_key = \"{}\"\npseudonym_key = \"{}\"\ndigest_key = \"{}\"\nlog_key = \"{}\"\n",
        digits("01"),
        digits("02"),
        digits("03"),
        digits("04"),
        digits("05"),
        digits("06")
    );
    fs::write(&path, first).unwrap();
    let keys = KeyFile::read(&path, &machida()).ok().unwrap();
    assert_eq!(keys.wrapping_ids(), ["kek-1"]);
    assert_eq!(hexadecimal(&*keys.purpose_key(Purpose::Digest).unwrap()), digits("05"));
    let municipal = keys.purpose_key(Purpose::Municipal).unwrap();
    assert_eq!(*municipal, hmac_sha256(&[1; 32], &message(&machida(), &[b"atena/v1/municipal-key"])));
    for suite in [Suite::Xaes256Gcm, Suite::Aes256Gcm] {
        let wrapped = keys.wrap("kek-1", b"person", &DataKey::of(suite, &[9; 32]).unwrap()).unwrap();
        let again = keys.unwrap("kek-1", b"person", &wrapped).unwrap();
        assert!(again.suite == suite && *again.bytes == [9; 32], "a key keeps its cipher when it is wrapped");
    }
}
