//! Files as clerks have them, through the real program: each line is read or refused, counted and named, and no error shows a cell.

use std::path::Path;
use std::process::Output;

use encoding_rs::SHIFT_JIS;
use serde_json::Value;

use crate::people::personal_number;
use crate::town::{Town, atena};

/// The byte order mark of UTF-8.
const MARK: &str = "\u{feff}";

/// A file for one run of the program.
fn written(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn run(town: &Town, arguments: &[&str]) -> Output {
    atena(&[arguments, &["--home", town.home_text(), "--server", town.address()]].concat())
}

fn register(town: &Town, file: &str, form: &[&str]) -> Output {
    run(town, &[&["register", "--as", "pension", file], form].concat())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The objects that a run printed.
fn objects(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Exit code, and lines with content, rows read and rows refused.
type Counted = (i32, u64, u64, u64);

/// How a run ended, and what its summary says.
fn counted(output: &Output) -> Counted {
    let objects = objects(output);
    let summary = objects.iter().find(|object| object.get("lines").is_some());
    let summary = summary.unwrap_or_else(|| panic!("no summary: {}", text(output)));
    let of = |key: &str| summary[key].as_u64().unwrap();
    (output.status.code().unwrap(), of("lines"), of("rows_read"), of("rows_refused"))
}

/// A row of a new person, who has a name of their own.
fn row(local: &str) -> String {
    format!("{local},機密　太郎,1,1980-01-02,1")
}

const HEADER: &str = "宛名番号,氏名,性別,生年月日,個人番号なし新規フラグ";

#[test]
fn rows_read_and_rows_refused_are_the_lines_with_content() {
    let town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    let csv = |rows: &str| format!("{HEADER}\r\n{rows}").into_bytes();
    let (one, two, three) = (row("P1"), row("P2"), row("P3"));
    let json = |local: &str| {
        format!(
            "{{\"localAddressNumber\":\"{local}\",\"person\":{{\"name\":{{\"fullName\":\"機密\"}}}},\"newWithoutPersonalNumber\":true}}"
        )
    };
    let mut cut = csv(&format!("{one}\r\nP2,鈴木　")).clone();
    cut.extend_from_slice(b"\xe8\x8a,1,1980-01-02,1\r\n");
    let dos_end = SHIFT_JIS.encode(&format!("{HEADER}\r\n{one}\r\n\u{1a}")).0.into_owned();
    // To a block of 128 bytes, as old systems do.
    let mut padded = dos_end.clone();
    padded.resize(128, 0);
    let cases: Vec<(&str, Vec<u8>, Counted)> = vec![
        ("whole.csv", csv(&format!("{one}\r\n{two}\r\n")), (0, 2, 2, 0)),
        ("dos-end.csv", dos_end, (0, 1, 1, 0)),
        ("empty-lines.csv", csv(&format!("{one}\r\n\r\n,,,,\r\n{two}\r\n\r\n")), (0, 2, 2, 0)),
        ("header-alone.csv", csv(""), (0, 0, 0, 0)),
        ("short-row.csv", csv(&format!("{one}\nP2,x\n{three}\n")), (2, 3, 2, 1)),
        ("open-quote.csv", csv(&format!("{one}\nP2,\"機密,1,1980-01-02,1\n{three}\n")), (2, 3, 1, 2)),
        ("cut.csv", cut, (2, 2, 1, 1)),
        // A row inside of a cell, whose quotation mark opens on a line of its own.
        ("planted.csv", csv(&format!("\"\n{}\n\",P1,1,1980-01-02,1\n{three}\n", row("P9"))), (2, 4, 1, 3)),
        ("padded.csv", padded, (0, 1, 1, 0)),
        ("lost.csv", csv(&format!("{one}\nP2,機密\u{fffd},1,1980-01-02,1\n")), (2, 2, 1, 1)),
        ("twice.csv", format!("{HEADER},氏名\n{one},機密\n").into_bytes(), (2, 1, 0, 1)),
        ("two-spellings.csv", format!("{HEADER},person.name.full_name\n{one},機密\n").into_bytes(), (2, 1, 0, 1)),
        ("no-header.csv", format!("{one}\n{two}\n").into_bytes(), (2, 2, 0, 2)),
        ("cat.jsonl", format!("{}{}\n{}\n", json("J1"), json("J2"), json("J3")).into_bytes(), (2, 2, 1, 1)),
        (
            "key-twice.jsonl",
            json("J4").replace("{\"fullName\"", "{\"full_name\":\"x\",\"fullName\"").into_bytes(),
            (2, 1, 0, 1),
        ),
        ("cp932.jsonl", SHIFT_JIS.encode(&json("J5")).0.into_owned(), (2, 1, 0, 1)),
        ("lost.jsonl", json("J6").replace("機密", "機密\\ufffd").into_bytes(), (2, 1, 0, 1)),
    ];
    for (name, content, expected) in cases {
        let output = register(&town, &written(folder.path(), name, content), &["--json"]);
        assert_eq!(counted(&output), expected, "{name}: {}", text(&output));
        assert!(!text(&output).contains("機密"), "{name} shows a cell: {}", text(&output));
    }
}

#[test]
fn a_file_in_utf_8_is_not_stored_as_cp932_whatever_is_said() {
    let town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    let header = "local_address_number,name.full_name,sex,birth_date.date,new_without_personal_number";
    let content = format!("{header}\nP1,高橋健,1,1980-01-02,1\n");
    let file = written(folder.path(), "people.csv", &content);
    let output = register(&town, &file, &["--json", "--encoding", "cp932"]);
    assert_eq!(counted(&output), (2, 1, 0, 1), "{}", text(&output));
    assert!(text(&output).contains("the file is in UTF-8"), "{}", text(&output));
    let file = written(folder.path(), "people-cp932.csv", SHIFT_JIS.encode(&content).0);
    assert_eq!(counted(&register(&town, &file, &["--json", "--encoding", "cp932"])), (0, 1, 1, 0));
}

#[test]
fn the_same_rules_hold_for_records() {
    let town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    register(&town, &written(folder.path(), "people.csv", format!("{HEADER}\n{}\n", row("P1"))), &[]);
    let header = "宛名番号,レコードキー,改訂番号,基礎年金番号,年度,月別納付年月1,月別納付記号1";
    let record = |key: &str, year: &str| format!("P1,{key},1,1234567890,{year},2025-04,A");
    let push = |name: &str, content: String| {
        let file = written(folder.path(), name, content);
        run(&town, &["push", "--as", "pension", "--dataset", "payment", &file, "--json"])
    };
    let columns = String::from_utf8(atena(&["push", "--help"]).stdout).unwrap();
    assert!(columns.contains("DOS end of file"), "the rules are in --help: {columns}");
    let rows = format!("{}\n{}\nP1,K-3,\"1\n", record("K-1", "2025"), record("K-2", "機密"));
    let output = push("open.csv", format!("{header}\n{rows}"));
    let known = text(&output);
    assert!(!known.contains("機密"), "{known}");
    let (code, lines, read, refused) = counted(&output);
    assert_eq!((code, lines, read + refused), (2, 3, 3), "{known}");
    let twice = push("twice.csv", format!("{header},record_key\n{},K-9\n", record("K-4", "2025")));
    assert_eq!(counted(&twice), (2, 1, 0, 1), "{}", text(&twice));
}

#[test]
fn rows_that_need_a_person_are_listed_and_make_the_exit_code_2() {
    let town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    let number = personal_number(31);
    let person = |local: &str, name: &str| format!("{local},{number},{name},1,1970-01-02");
    let header = "宛名番号,個人番号,氏名,性別,生年月日";
    let content = format!("{header}\n{}\n\n{}\n", person("P1", "甲"), person("P2", "乙"));
    let file = written(folder.path(), "same-number.csv", content);
    let json = register(&town, &file, &["--json"]);
    assert_eq!(counted(&json), (2, 2, 2, 0), "{}", text(&json));
    let listed = objects(&json).into_iter().find(|object| object.get("review_case_id").is_some()).unwrap();
    assert_eq!((&listed["line"], &listed["local_address_number"]), (&4.into(), &"P2".into()));
    let case = listed["review_case_id"].as_str().unwrap();
    assert!(!case.is_empty() && listed["reason"] == "REVIEW_REQUIRED");
    for form in [&[][..], &["--csv"]] {
        let output = register(&town, &file, form);
        assert_eq!(output.status.code(), Some(2));
        let shown = text(&output);
        for part in ["REVIEW_REQUIRED", "P2", case] {
            assert!(shown.contains(part), "{form:?} lacks {part}: {shown}");
        }
        assert!(!shown.contains(&number), "{shown}");
    }
}

/// For clerks: rows in the order of the file, by the reader or the gateway, and columns as its header has them.
#[test]
fn errors_come_in_the_order_of_lines_and_name_the_columns_of_the_file() {
    let town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        row("P1"),
        "P2,機密".to_owned(),
        row("P3").replace("1980-01-02", "1980-02-30"),
        row("P4").replace(",1,1980", ",機密,1980"),
        row("P5").replace("機密　太郎", ""),
    ];
    let file = written(folder.path(), "people.csv", format!("{HEADER}\n{}\n", rows.join("\n")));
    let output = register(&town, &file, &["--json", "--request-size", "2"]);
    let told: Vec<(u64, String)> = objects(&output)
        .iter()
        .filter_map(|object| Some((object.get("line")?.as_u64()?, object["fields"].to_string())))
        .collect();
    assert_eq!(told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4, 5, 6], "{told:?}");
    for (index, column) in [(1, "生年月日"), (2, "性別"), (3, "氏名")] {
        assert!(told[index].1.contains(column), "{told:?}");
    }
    assert!(!text(&output).contains("機密"), "{}", text(&output));
}

#[test]
fn a_file_of_another_kind_is_refused_with_what_to_do_and_nothing_is_sent() {
    let town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    let whole = format!("{HEADER}\n{}\n", row("P1"));
    let utf16: Vec<u8> = format!("{MARK}{whole}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, content, told) in [
        ("empty.csv", Vec::new(), "empty"),
        ("mark.csv", MARK.as_bytes().to_vec(), "empty"),
        ("end.csv", vec![0x1a], "empty"),
        ("empty.jsonl", b"\n\n".to_vec(), "empty"),
        ("utf-16.csv", utf16, "UTF-16"),
        ("book.csv", b"PK\x03\x04\x14\0\x06\0".to_vec(), "Excel"),
    ] {
        let output = register(&town, &written(folder.path(), name, content), &[]);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output));
        assert!(text(&output).contains(told) && text(&output).contains(name), "{name}: {}", text(&output));
    }
}

/// number-confinement on the command line: a number typed in the wrong place is in no error.
#[test]
fn errors_of_arguments_show_no_number_of_a_person() {
    let plain = personal_number(77);
    let groups: Vec<&str> = plain.as_bytes().chunks(4).map(|four| std::str::from_utf8(four).unwrap()).collect();
    let town = Town::prepare();
    let home = town.home_text();
    for number in [plain.clone(), groups.join(" "), groups.join("-"), format!("P{plain}")] {
        for arguments in [
            vec!["register", "--home", "x", "--as", "pension", "--request-size", &number, "people.csv"],
            vec!["register", "--home", "x", "--as", "pension", "people.csv", &number],
            vec!["transfers", "--home", "x", "--limit", &number, &number],
            vec![&number],
            // Where a file, a home, a system or a date should stand.
            vec!["register", "--home", home, "--as", "pension", &number],
            vec!["register", "--home", &number, "--as", "pension", "people.csv"],
            vec!["entitlements", "--home", home, "--as", &number],
            vec!["pull", "--home", home, "--as", "pension", "--cursor-file", "/dev/null/x", "--out", &number],
            vec!["pki", "issue", "--home", home, "--system", &number],
            vec!["clock", "confirm", "--home", home, "--date", &number],
            vec!["policy", "check", &number],
        ] {
            let output = atena(&arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
            for part in [&number, &plain] {
                assert!(!text(&output).contains(part.as_str()), "{arguments:?}: {}", text(&output));
            }
            assert!(!output.stderr.is_empty());
        }
    }
}

#[test]
fn tables_in_csv_begin_with_a_byte_order_mark_and_logs_have_no_colours() {
    let mut town = Town::start();
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "people.csv", format!("{HEADER}\n{}\n", row("P1")));
    let output = register(&town, &file, &["--csv"]);
    assert!(output.stdout.starts_with(MARK.as_bytes()), "{}", text(&output));
    let audit = run(&town, &["transfers", "--csv"]);
    assert!(audit.stdout.starts_with(MARK.as_bytes()), "{}", text(&audit));
    for form in [&[][..], &["--json"]] {
        let output = register(&town, &file, form);
        assert!(!output.stdout.starts_with(MARK.as_bytes()) && !output.stdout.contains(&0x1b), "{form:?}");
    }
    town.stop();
    let log = std::fs::read(town.log_file()).unwrap();
    assert!(!log.is_empty() && !log.contains(&0x1b), "no escape sequence in a log that is a file");
}
