use proptest::prelude::*;

use super::*;
use crate::key_file::KeyFile;
use crate::key_service::KeyKind;
use crate::test_permit::{number_of, personal_number_permit};

fn vault(municipality: &str) -> Vault {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let municipality = MunicipalityCode::parse(municipality).unwrap();
    KeyFile::generate(&municipality).unwrap().write_new(&path).unwrap();
    Vault::open(&KeySource::File(path), &municipality).unwrap()
}

fn person(body: u64) -> UnifiedAddressNumber {
    UnifiedAddressNumber::from_body(body).unwrap()
}

const PLACE: SealContext<'static> = SealContext { table: "t", column: "c", row: b"r" };

fn number(body: u64) -> PersonalNumber {
    PersonalNumber::parse(&number_of(body)).ok().unwrap()
}

/// Two vaults with the same keys, of two municipalities.
fn same_keys_of_two_municipalities() -> (Vault, Vault) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let (machida, chiyoda) = (MunicipalityCode::parse("132098").unwrap(), MunicipalityCode::parse("131016").unwrap());
    KeyFile::generate(&machida).unwrap().write_new(&path).unwrap();
    let one = Vault::open(&KeySource::File(path.clone()), &machida).ok().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"132098\"", "\"131016\"")).unwrap();
    (one, Vault::open(&KeySource::File(path), &chiyoda).ok().unwrap())
}

/// one-person-one-number rests on it: the same number is always found, another never.
#[test]
fn an_index_is_the_same_exactly_if_the_number_is() {
    let (vault, permit) = (vault("132098"), personal_number_permit());
    let index = |body| *vault.blind_index(&number(body), 1, &permit).ok().unwrap().as_bytes();
    proptest!(|(one in 0_u64..100_000_000_000, other in 0_u64..100_000_000_000)| {
        prop_assert!(index(one) == index(one));
        prop_assert!((index(one) == index(other)) == (one == other));
    });
}

/// municipality-apart: even under the same keys nothing crosses the line.
#[test]
fn nothing_of_one_municipality_works_in_another() {
    let (one, other) = same_keys_of_two_municipalities();
    let (permit, tax) = (personal_number_permit(), SystemId::parse("resident-tax").unwrap());
    let (_, wrapped) = one.new_person_key(&person(1), &one.wrapping_ids()[0]).unwrap();
    assert!(other.unwrap_person_key(&person(1), &wrapped).is_err());
    assert!(other.open_cursor(&tax, &one.seal_cursor(&tax, b"position").unwrap()).is_err());
    assert!(other.municipal_key().open(&PLACE, &one.municipal_key().seal(&PLACE, b"case").unwrap()).is_err());
    let index = |vault: &Vault| *vault.blind_index(&number(1), 1, &permit).ok().unwrap().as_bytes();
    assert!(index(&one) != index(&other));
    assert_ne!(one.content_mac("view", b"content"), other.content_mac("view", b"content"));
    assert_ne!(one.pseudonym(&tax, Dataset::Payment, "P-1"), other.pseudonym(&tax, Dataset::Payment, "P-1"));
}

#[test]
fn a_person_key_opens_for_its_person_and_nobody_else() {
    let vault = vault("132098");
    let (key, wrapped) = vault.new_person_key(&person(1), &vault.wrapping_ids()[0]).unwrap();
    let sealed = key.seal(&PLACE, b"content").unwrap();
    let again = vault.unwrap_person_key(&person(1), &wrapped).unwrap();
    assert_eq!(again.open(&PLACE, &sealed).unwrap().as_slice(), b"content");
    assert!(vault.unwrap_person_key(&person(2), &wrapped).is_err());
}

#[test]
fn a_key_of_another_key_file_is_named_as_unknown() {
    let other = vault("132098");
    let (_, wrapped) = other.new_person_key(&person(1), &other.wrapping_ids()[0]).unwrap();
    assert!(matches!(vault("132098").unwrap_person_key(&person(1), &wrapped), Err(VaultError::UnknownKey)));
}

#[test]
fn a_cursor_of_another_consumer_does_not_open() {
    let vault = vault("132098");
    let (tax, welfare) = (SystemId::parse("resident-tax").unwrap(), SystemId::parse("welfare").unwrap());
    let cursor = vault.seal_cursor(&tax, b"position").unwrap();
    assert_eq!(vault.open_cursor(&tax, &cursor).unwrap().as_slice(), b"position");
    assert!(vault.open_cursor(&welfare, &cursor).is_err());
}

#[test]
fn own_number_only_a_record_has_another_name_in_every_system() {
    let vault = vault("132098");
    let name = |system: &str| vault.pseudonym(&SystemId::parse(system).unwrap(), Dataset::Payment, "P-1");
    assert_eq!(name("welfare"), name("welfare"));
    assert_ne!(name("welfare"), name("resident-tax"));
    assert_eq!(name("welfare").len(), 32);
}

#[test]
fn parts_cannot_be_shifted_into_one_another() {
    let vault = vault("132098");
    assert_ne!(vault.content_mac("ab", b"c"), vault.content_mac("a", b"bc"));
}

/// A key that signed is still known when it signs no more; its private half is gone.
#[test]
fn of_an_older_key_of_the_log_the_public_half_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let source = KeySource::File(path.clone());
    let municipality = MunicipalityCode::parse("132098").unwrap();
    KeyFile::generate(&municipality).unwrap().write_new(&path).unwrap();
    let open = || Vault::open(&source, &municipality).ok().unwrap();
    let first = open().log_keys();
    source.add(&municipality, KeyKind::Log).unwrap();
    let both = open();
    assert_eq!(both.log_keys().iter().map(|key| (key.version, key.signs)).collect::<Vec<_>>(), [(1, true), (2, true)]);
    assert_eq!(both.log_keys()[0], first[0]);
    assert_ne!(both.sign_log_head(1, b"head").unwrap(), both.sign_log_head(2, b"head").unwrap());
    for _ in 0..2 {
        source.keep_newest(&municipality, KeyKind::Log).unwrap();
        let after = open();
        let left: Vec<_> = after.log_keys().iter().map(|key| (key.version, key.public_key, key.signs)).collect();
        assert_eq!(left, [(1, first[0].public_key, false), (2, both.log_keys()[1].public_key, true)]);
        assert!(matches!(after.sign_log_head(1, b"head"), Err(VaultError::UnknownKey)));
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().matches("[[log]]").count(), 1);
}

/// While keys are rotated nothing that is stored becomes unreadable, and in the end the old keys are gone.
#[test]
fn versions_of_keys_stand_side_by_side_until_the_old_ones_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let source = KeySource::File(folder.path().join("keys.toml"));
    let municipality = MunicipalityCode::parse("132098").unwrap();
    let KeySource::File(path) = &source else { unreachable!() };
    KeyFile::generate(&municipality).unwrap().write_new(path).unwrap();
    let open = || Vault::open(&source, &municipality).ok().unwrap();
    let (before, permit) = (open(), personal_number_permit());
    let old = before.wrapping_ids()[0].clone();
    let (key, wrapped) = before.new_person_key(&person(1), &old).unwrap();
    let sealed = key.seal_personal_number(&number(1), &PLACE).unwrap();
    let index = |vault: &Vault, version| vault.blind_index(&number(1), version, &permit).map(|it| *it.as_bytes());
    for kind in [KeyKind::Wrapping, KeyKind::BlindIndex] {
        source.add(&municipality, kind).unwrap();
    }
    let after = open();
    assert_eq!((after.wrapping_ids().len(), after.index_versions()), (2, vec![1, 2]));
    let again = after.wrap_again(&person(1), &wrapped, &after.wrapping_ids()[1]).unwrap();
    let indexed = *after.index_again(&key, &PLACE, &sealed, 2).ok().unwrap().as_bytes();
    assert!(indexed == index(&after, 2).ok().unwrap() && indexed != index(&after, 1).ok().unwrap());
    assert!(index(&before, 1).ok() == index(&after, 1).ok());
    // One that was opened before finds the newer key by itself.
    while before.unwrap_person_key(&person(1), &again).is_err() {}
    for kind in [KeyKind::Wrapping, KeyKind::BlindIndex] {
        source.keep_newest(&municipality, kind).unwrap();
    }
    let last = open();
    assert!(last.unwrap_person_key(&person(1), &again).is_ok());
    assert!(matches!(last.unwrap_person_key(&person(1), &wrapped), Err(VaultError::UnknownKey)));
    assert!(index(&last, 1).is_err());
    last.read_again().unwrap();
    // What was read from the database before the end is still opened.
    after.read_again().unwrap();
    assert!(after.unwrap_person_key(&person(1), &wrapped).is_ok());
}

/// Digests are compared with those that were stored before: part by part they are what they are over the message put together.
#[test]
fn a_digest_is_that_of_the_whole_message() {
    let vault = vault("132098");
    let key = vault.keys.load().now.purpose_key(Purpose::Digest).ok().unwrap();
    for content in [b"".as_slice(), b"content", &[7; 1000]] {
        let whole = message(&vault.municipality, &[b"payment", content]);
        assert_eq!(vault.content_mac("payment", content), crate::key_service::hmac_sha256(&key, &whole));
    }
}
