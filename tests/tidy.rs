//! What a linter can't keep: documents that stay true, files that stay small, contracts that stay covered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "these are tests")]

#[path = "tidy/knots.rs"]
mod knots;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines that a source file may have, tests included.
const LINES_MAX: usize = 450;

/// Files that are longer, each with the reason.
const LONGER: &[(&str, usize, &str)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files under `folder` that end in `ending`, relative to the root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !name.ends_with("/target") {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<String> {
    let mut documents = files("docs", ".md");
    documents
        .extend(["README.md", "README.ja.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"].map(str::to_owned));
    documents
}

/// What stands between backticks in a text, outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn no_room_grows_too_large() {
    for file in files("crates", ".rs").into_iter().chain(files("tests", ".rs")) {
        let lines = read(&file).lines().count();
        let allowed = LONGER.iter().find(|(name, ..)| *name == file).map_or(LINES_MAX, |(_, lines, _)| *lines);
        assert!(lines <= allowed, "{file} has {lines} lines: one subject each, or say here why not");
    }
}

#[test]
fn documents_name_no_vanished_file() {
    let folders = ["crates/", "proto/", "deploy/", "tests/", "docs/", ".ci/"];
    for document in documents() {
        for name in quoted(&read(&document)) {
            let path = name.split([' ', ':', '#', '*', '{', '<']).next().unwrap().trim_end_matches('/');
            if folders.iter().any(|folder| name.starts_with(folder)) {
                assert!(root().join(path).exists(), "{document} names {name}, which is not there");
            }
        }
    }
}

#[test]
fn documents_name_no_vanished_crate() {
    let crates: BTreeSet<String> = std::fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let kinds = ["domain", "policy", "proto", "vault", "store", "gateway", "cli", "ledger"];
    for document in documents() {
        for name in quoted(&read(&document)) {
            let names_crate = name.strip_prefix("atena-").is_some_and(|kind| kinds.contains(&kind));
            assert!(!names_crate || crates.contains(name), "{document} names {name}, which is not there");
        }
    }
}

#[test]
fn commands_that_documents_name_exist() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter(|line| !line.starts_with([' ', '\t', '#']))
        .filter_map(|line| line.split_once(':').map(|(target, _)| target))
        .collect();
    for document in documents() {
        for target in quoted(&read(&document)).iter().filter_map(|name| name.strip_prefix("make ")) {
            let target = target.split_whitespace().next().unwrap();
            assert!(targets.contains(target), "{document} names make {target}");
        }
    }
    assert!(read(".ci/run").contains("make test"), "CI calls the README's test command");
}

#[test]
fn every_method_of_the_contract_has_a_black_box_test() {
    let tests: String = files("tests", ".rs").iter().chain(&files("tests", ".py")).map(|file| read(file)).collect();
    for file in files("proto", ".proto") {
        let text = read(&file);
        for method in text.lines().filter_map(|line| line.trim().strip_prefix("rpc ")) {
            let method = method.split('(').next().unwrap();
            let snake: String = method
                .char_indices()
                .flat_map(|(index, letter)| {
                    (letter.is_uppercase() && index > 0).then_some('_').into_iter().chain(letter.to_lowercase())
                })
                .collect();
            let called = tests.contains(&format!(".{snake}(")) || tests.contains(&format!(".{method}("));
            assert!(called, "no test of tests/ calls {method}");
        }
    }
}

#[test]
fn no_python_test_runs_code_between_fork_and_exec() {
    // A fork of a process that runs gRPC's threads may deadlock before it becomes another program.
    for file in files("tests", ".py") {
        for word in ["preexec_fn", "os.fork", "multiprocessing"] {
            let forks = read(&file).lines().any(|line| line.contains(word) && !line.trim_start().starts_with('#'));
            assert!(!forks, "{file} uses {word}: start a program that sets things up, such as prlimit");
        }
    }
}

#[test]
fn samples_in_deploy_are_what_init_writes() {
    for file in files("deploy", ".toml") {
        let _: toml::Table = read(&file).parse().unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[test]
fn every_decision_is_in_the_list_of_decisions() {
    let numbers: Vec<String> =
        files("docs/decisions", ".md").iter().map(|file| file["docs/decisions/".len()..].to_owned()).collect();
    let list = read("docs/decisions/README.md");
    let mut seen = BTreeSet::new();
    for name in numbers.iter().filter(|name| name.as_str() != "README.md") {
        let (number, _) = name.split_once('-').unwrap_or_else(|| panic!("{name}"));
        assert!(number.len() == 4 && seen.insert(number), "{name}: one number, one decision");
        assert!(list.contains(&format!("]({name})")), "docs/decisions/README.md has no line for {name}");
    }
}
