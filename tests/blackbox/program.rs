//! The program as an operator meets it: help, refusals that say what to do, files.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::town::{Town, atena, printed};

/// A run that must be refused: what it said.
fn refused(arguments: &[&str]) -> String {
    let output = atena(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn deny_by_default_the_permission_matrix_is_the_golden_file() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/policy-matrix.txt");
    let town = Town::prepare();
    let matrix = printed(&atena(&["policy", "matrix", "--home", town.home_text()]));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &matrix).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    assert!(matrix == expected, "who receives what has changed: run `make golden` and look at the difference");
}

#[test]
fn every_command_teaches_and_shows_an_example() {
    let overview = printed(&atena(&["--help"]));
    let commands =
        ["init", "serve", "register", "push", "pull", "entitlements", "transfers", "policy", "sample", "demo"];
    for command in commands {
        assert!(overview.contains(command), "{command} is not in the overview");
        let help = printed(&atena(&[command, "--help"]));
        assert!(help.contains("Usage: atena") && help.len() > 200, "{command}: {help}");
    }
}

#[test]
fn init_never_overwrites_a_home() {
    let town = Town::prepare();
    let keys = std::fs::read(town.home().join("keys.toml")).unwrap();
    let text = refused(&["init", "--home", town.home_text()]);
    assert!(text.contains("never overwrites") || text.contains("already"), "{text}");
    assert_eq!(std::fs::read(town.home().join("keys.toml")).unwrap(), keys);
}

#[test]
fn keys_and_private_keys_are_for_their_owner_alone() {
    let town = Town::prepare();
    let mut secret = vec![town.home().join("keys.toml"), town.home().join("pki/ca.key")];
    let systems = std::fs::read_dir(town.home().join("pki/systems")).unwrap();
    secret.extend(systems.map(|entry| entry.unwrap().path()).filter(|path| path.extension().unwrap() == "key"));
    for path in secret {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_key_file_that_others_can_read_is_refused_with_the_remedy() {
    let town = Town::prepare();
    let keys = town.home().join("keys.toml");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o640)).unwrap();
    let text = refused(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
    assert!(text.contains("chmod 600") && text.contains("keys.toml"), "{text}");
}

#[test]
fn a_policy_with_a_problem_is_refused_with_its_line_and_the_reason() {
    // What is wrong, and the text whose line is named.
    let bad = [
        ("\"insured_type\",", "\"shoe_size\",", "shoe_size"),
        ("owner = \"pension\"", "owner = \"nobody\"", "nobody"),
        ("valid_from = 2016-01-01\nbasis", "valid_from = 2016-01-01\nvalid_to = 2020-01-01\nbasis", "transfer-1"),
        ("id = \"own-view\"", "id = \"transfer-1\"", "transfer-1"),
        (
            "person = [\n  \"name.full_name\"",
            "person = [\n  \"personal_number\",\n  \"name.full_name\"",
            "personal_number",
        ),
    ];
    for (before, after, named) in bad {
        let town = Town::prepare();
        town.change("policy.toml", |text| {
            assert!(text.contains(before), "{before}");
            let place = text.rfind(before).filter(|_| named == "personal_number").or(text.find(before)).unwrap();
            format!("{}{after}{}", &text[..place], &text[place + before.len()..])
        });
        let text = refused(&["serve", "--home", town.home_text(), "--listen", "127.0.0.1:0"]);
        assert!(text.contains("policy.toml:"), "the line is named: {text}");
        assert!(text.contains(named), "{named}: {text}");
        let checked = refused(&["policy", "check", town.home().join("policy.toml").to_str().unwrap()]);
        assert!(checked.contains("policy.toml:") && checked.contains(named), "{named}: {checked}");
    }
}

#[test]
fn settings_with_an_unknown_key_are_refused() {
    let town = Town::prepare();
    town.change("atena.toml", |text| format!("lissten = \"127.0.0.1:1\"\n{text}"));
    let text = refused(&["serve", "--home", town.home_text()]);
    assert!(text.contains("lissten") && text.contains("atena.toml"), "{text}");
}

#[test]
fn a_sample_is_reproducible_and_goes_in_without_one_rejection() {
    let town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for out in [&one, &two] {
        printed(&atena(&["sample", "--persons", "200", "--seed", "7", "--out", out.to_str().unwrap()]));
    }
    let files = |folder: &Path, kind: &str| -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(folder.join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    for kind in ["people", "records"] {
        let (ones, twos) = (files(&one, kind), files(&two, kind));
        assert!(!ones.is_empty() && ones.len() == twos.len());
        for (one, two) in ones.iter().zip(&twos) {
            assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap(), "{}", one.display());
        }
    }
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let at = ["--home", town.home_text(), "--server", town.address(), "--json"];
    for file in files(&one, "people") {
        let told = printed(&atena(&[&["register", "--as", &name(&file), file.to_str().unwrap()], &at[..]].concat()));
        assert!(!told.contains("REJECTED"), "{}: {told}", file.display());
    }
    for file in files(&one, "records") {
        let of_dataset = ["push", "--as", "pension", "--dataset", &name(&file), file.to_str().unwrap()];
        let told = printed(&atena(&[&of_dataset, &at[..]].concat()));
        assert!(!told.contains("REJECTED"), "{}: {told}", file.display());
    }
}

#[test]
fn a_file_in_shift_jis_registers_like_one_in_utf_8() {
    let town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    printed(&atena(&["sample", "--persons", "3", "--seed", "1", "--out", folder.path().to_str().unwrap()]));
    let sample = std::fs::read_to_string(folder.path().join("people/resident-tax.csv")).unwrap();
    let header = sample.trim_start_matches('\u{feff}').lines().next().unwrap();
    let columns: Vec<&str> = header.split(',').collect();
    let row: Vec<&str> = columns
        .iter()
        .map(|column| match *column {
            "宛名番号" => "T1",
            "氏名" => "髙橋　①郎",
            "個人番号なし新規フラグ" => "1",
            _ => "",
        })
        .collect();
    assert!(row.contains(&"T1") && row.contains(&"髙橋　①郎") && row.contains(&"1"), "{header}");
    let text = format!("{header}\r\n{}\r\n", row.join(","));
    let (bytes, _, unmapped) = encoding_rs::SHIFT_JIS.encode(&text);
    assert!(!unmapped);
    let file = folder.path().join("shift_jis.csv");
    std::fs::write(&file, bytes).unwrap();
    let register = |file: &Path| {
        let file = file.to_str().unwrap();
        let at = ["--home", town.home_text(), "--server", town.address(), "--json"];
        printed(&atena(&[&["register", "--as", "resident-tax", file], &at[..]].concat()))
    };
    let told = register(&file);
    assert!(told.contains("ISSUED"), "{told}");
    std::fs::write(&file, text).unwrap();
    let again = register(&file);
    assert!(again.contains("UNCHANGED"), "the same person, code point for code point: {again}");
}

/// deny-by-default and number-confinement, by comparison: whoever may not have something can't notice it, and whoever may, does.
#[test]
fn the_default_rules_let_nobody_notice_what_they_do_not_give() {
    if crate::ENGINE == crate::town::Engine::Postgres {
        // The towns of the proof keep everything in SQLite.
        return;
    }
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policy.toml");
    let proved = printed(&atena(&["prove", "--policy", policy, "--json"]));
    let row = |differs: &str| -> serde_json::Value {
        let line = proved.lines().find(|line| line.contains(differs)).unwrap_or_else(|| panic!("{differs}: {proved}"));
        serde_json::from_str(line).unwrap()
    };
    // Six systems may use personal numbers and one may be told amounts of benefits; remarks are for nobody but their owner.
    for (differs, same, seen) in [
        ("how often remarks change", 13, 0),
        ("personal numbers", 7, 7),
        ("benefit.annual_amount_yen", 12, 1),
        ("payment.months.amount_yen", 11, 2),
        ("benefit.remarks", 13, 0),
    ] {
        let row = row(differs);
        assert_eq!((&row["same"], &row["seen"]), (&same.into(), &seen.into()), "{row}");
        // Nor can whoever reads traces and counters; each call of those who may not have it was compared.
        assert!(row["traces"].as_u64().unwrap() >= 200 && row["counters"].as_u64().unwrap() >= 80, "{row}");
    }
}
