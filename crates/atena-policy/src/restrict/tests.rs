use atena_domain::Dataset;

use super::*;
use crate::refusal::Refusal;
use crate::test_policy::{TEXT, TODAY, affair, catalog, policy, system};

const TAX_AFFAIR: &str = "市都民税賦課業務";

/// The text with these replacements, and something at its end for which it is refused.
fn refused(edits: &[(&str, &str)], trouble: &str) -> String {
    let text = edits.iter().fold(TEXT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the text");
        text.replacen(from, to, 1)
    });
    let text = text + trouble;
    assert!(Policy::compile(&text, &catalog(), TODAY).is_err());
    text
}

fn restricted(text: &str, settled: bool) -> Option<Restricted> {
    policy().restricted_by(text.as_bytes(), settled, &catalog(), TODAY).unwrap()
}

fn payment(policy: &Policy, id: &str) -> Result<Vec<String>, Refusal> {
    let permit = policy.authorize_release(&system(id), &affair(TAX_AFFAIR), Dataset::Payment, TODAY)?;
    Ok(permit.field_names().to_vec())
}

/// Every kind of trouble: an unknown system in a rule, an unknown key, a value of the wrong kind, no TOML at all.
const TROUBLES: [&str; 4] = [
    "[[rule]]\nid = \"x\"\nname = \"x\"\nversion = 1\nconsumers = [\"nowhere\"]\naffair = \"x\"\nvalid_from = 2020-01-01\n",
    "[[rule]]\nid = \"x\"\nvaild_from = 2020-01-01\n",
    "[[rule]]\nid = \"x\"\nconsumers = 7\n",
    "\n[[oops",
];

const REVOKE_TAX: (&str, &str) = ("id = \"resident-tax\"\n", "id = \"resident-tax\"\nrevoked = true\n");

/// deny-by-default: a revocation is never held up by what else is wrong in the file.
#[test]
fn a_revoked_system_is_cut_off_whatever_else_is_wrong() {
    for trouble in TROUBLES {
        let text = refused(&[REVOKE_TAX], trouble);
        assert_eq!(
            revoked_systems(text.as_bytes()).into_iter().collect::<Vec<_>>(),
            ["resident-tax", "retired"],
            "{trouble}"
        );
        let left = restricted(&text, false).unwrap();
        assert_eq!(left.taken, ["system \"resident-tax\" is revoked"], "{trouble}");
        assert_eq!(payment(&left.policy, "resident-tax").err(), Some(Refusal::CallerRevoked));
        assert!(!left.policy.system(&system("school")).unwrap().revoked());
        assert!(left.policy.authorize_push(&system("pension"), Dataset::Payment, TODAY).is_ok());
    }
}

#[test]
fn anything_but_false_revokes() {
    for value in ["\"true\"", "1", "\"yes\""] {
        let line = format!("id = \"school\"\nrevoked = {value}\n");
        let text = TEXT.replacen("id = \"school\"\n", &line, 1);
        assert!(restricted(&text, false).unwrap().policy.system(&system("school")).unwrap().revoked(), "{value}");
    }
    assert!(restricted(&refused(&[], TROUBLES[1]), true).is_none(), "nothing is taken away");
}

#[test]
fn a_rule_that_is_narrowed_or_gone_releases_no_more_than_both_files_say() {
    let fields = |edit| {
        let text = refused(&[edit], TROUBLES[0]);
        payment(&restricted(&text, true).unwrap().policy, "resident-tax")
    };
    assert_eq!(payment(&policy(), "resident-tax").unwrap(), ["fiscal_year", "months.month", "months.status"]);
    let narrower = (
        "payment = [\"months.status\", \"months.month\", \"fiscal_year\"]",
        "payment = [\"months.status\", \"remarks\"]",
    );
    assert_eq!(fields(narrower).unwrap(), ["months.status"], "nothing is added");
    for gone in [
        ("valid_to = 2027-03-31", "valid_to = 2026-11-22"),
        ("consumers = [\"resident-tax\"]", "consumers = [\"school\"]"),
        ("affair = \"市都民税賦課業務\"", "affair = \"別の事務\""),
        ("roles = [\"consumer\"]\npersonal_number_basis", "roles = []\npersonal_number_basis"),
        (
            "{ citation = \"別表第2(48)\", valid_from = 2021-09-01 }",
            "{ citation = \"別表第2(48)\", valid_from = 2021-09-01, valid_to = 2022-01-01 }",
        ),
    ] {
        let refusal = fields(gone);
        // The ordinance is in force until the end of the year.
        let stays = gone.0.contains("別表第2");
        assert_eq!(refusal.is_ok(), stays, "{gone:?}: {refusal:?}");
    }
}

#[test]
fn what_is_absent_is_taken_away_only_from_a_whole_file_that_nobody_is_writing() {
    let start = TEXT.find("[[rule]]\nid = \"transfer-1\"").unwrap();
    let end = start + TEXT[start..].find("[[rule]]\nid = \"own-view-with-number\"").unwrap();
    let without = format!("{}{}{}", &TEXT[..start], &TEXT[end..], TROUBLES[0]);
    assert!(restricted(&without, false).is_none());
    let left = restricted(&without, true).unwrap();
    assert_eq!(left.taken, ["rule \"transfer-1\" version 1 releases nothing to system \"resident-tax\" any more"]);
    assert!(payment(&left.policy, "resident-tax").is_err());
    // A second look at the same file takes nothing more.
    assert!(left.policy.restricted_by(without.as_bytes(), true, &catalog(), TODAY).unwrap().is_none());

    let school =
        "[[system]]\nid = \"school\"\nname = \"学務システム\"\ndivision = \"学務課\"\nroles = [\"consumer\"]\n";
    let text = refused(&[(school, "")], "");
    assert!(restricted(&text, false).is_none());
    assert!(restricted(&text, true).unwrap().policy.system(&system("school")).unwrap().revoked());
    for half in ["", "municipality_code = \"132098\"\n", &TEXT[..TEXT.find("[[system]]").unwrap()]] {
        assert!(restricted(half, true).is_none(), "half a file: {half:?}");
    }
    let slip = refused(&[("id = \"school\"", "id = \"school \"")], "");
    assert!(restricted(&slip, true).is_none(), "an id that can't be read may be the one that seems to be absent");
}

#[test]
fn a_dataset_that_changes_hands_is_lost_to_the_one_and_not_yet_given_to_the_other() {
    let text = refused(&[("id = \"payment\"\nowner = \"pension\"", "id = \"payment\"\nowner = \"school\"")], "");
    let left = restricted(&text, true).unwrap();
    assert_eq!(left.taken, ["system \"pension\" may no longer push dataset \"payment\""]);
    for id in ["pension", "school"] {
        assert!(left.policy.authorize_push(&system(id), Dataset::Payment, TODAY).is_err(), "{id}");
    }
    assert!(left.policy.authorize_push(&system("pension"), Dataset::Benefit, TODAY).is_ok());
}

/// municipality-apart: the file of another municipality in the wrong place is no revocation of everybody.
#[test]
fn a_file_of_another_municipality_takes_nothing_away() {
    for trouble in TROUBLES {
        let text = refused(&[("132098", "131016"), REVOKE_TAX], trouble);
        assert!(restricted(&text, true).is_none(), "{trouble}");
    }
}

fn revoked(file: &[u8], settled: bool) -> Vec<String> {
    match policy().restricted_by(file, settled, &catalog(), TODAY).unwrap() {
        Some(left) => left.policy.systems().filter(|it| it.revoked()).map(|it| it.id().to_string()).collect(),
        None => vec!["retired".to_owned()],
    }
}

/// deny-by-default: a revocation that is itself written wrongly is one.
#[test]
fn a_revocation_that_is_no_toml_counts() {
    for line in [
        "revoked = True",
        "revoked = yes",
        "revoked = ture",
        "revoked =",
        "revoked = \"true",
        "revoked = true # 廃止\nrevoked = false",
        "revoked: true",
        "revoked true",
        "revoke = true",
        "Revoked = true",
        "ｒｅｖｏｋｅｄ＝ｔｒｕｅ",
        "revoked　＝　true",
        "\"revoked\" = true,",
    ] {
        let text = TEXT.replacen("id = \"school\"\n", &format!("id = \"school\"\n{line}\n"), 1);
        for text in [text.clone(), text.clone() + TROUBLES[3], text.replace('\n', "\r\n"), text.replace('\n', "\r")] {
            assert_eq!(revoked(text.as_bytes(), false), ["retired", "school"], "{line}");
        }
        let above = TEXT.replacen("id = \"school\"\n", &format!("{line}\nid = \"school\"\n"), 1) + TROUBLES[3];
        assert_eq!(revoked(above.as_bytes(), false), ["retired", "school"], "{line}");
    }
    for line in ["revoked = False", "revoked = false, ", "# revoked = true", "name = \"revoked = true\""] {
        let text = TEXT.replacen("id = \"school\"\n", &format!("id = \"school\"\n{line}\n"), 1) + TROUBLES[3];
        assert_eq!(revoked(text.as_bytes(), true), ["retired"], "{line}");
    }
}

#[test]
fn a_revocation_counts_below_a_header_that_is_wrong_or_missing() {
    let marked = TEXT.replacen(REVOKE_TAX.0, REVOKE_TAX.1, 1);
    let header = "[[system]]\nid = \"resident-tax\"";
    for wrong in [
        "[[system]",
        "[system]]",
        "[system",
        "[[systems]]",
        "[[systm]] # 税",
        "［［system］］",
        "# [[system]]",
        "[[system.rule]]",
    ] {
        let text = marked.replacen(header, &format!("{wrong}\nid = \"resident-tax\""), 1);
        for text in [text.clone(), text + TROUBLES[3]] {
            assert_eq!(revoked(text.as_bytes(), false), ["resident-tax", "retired"], "{wrong}");
        }
    }
    // At the end of the entry, below a table of it.
    let below = "id = \"school\"\n[[system.personal_number_basis]]\ncitation = \"x\"\nvalid_from = 2016-01-01\nrevoked = true\n";
    let text = TEXT.replacen("id = \"school\"\n", below, 1);
    for text in [text.clone(), text + TROUBLES[3]] {
        assert_eq!(revoked(text.as_bytes(), false), ["retired", "school"], "{text}");
    }
    // A rule has an id of its own.
    let rule = TEXT.replacen("id = \"own-view\"\n", "id = \"school\"\nrevoked = true\n", 1);
    for text in [rule.clone(), rule + TROUBLES[3]] {
        assert_eq!(revoked(text.as_bytes(), false), ["retired"], "{text}");
    }
}

#[test]
fn a_revocation_counts_in_any_encoding() {
    let marked = TEXT.replacen(REVOKE_TAX.0, REVOKE_TAX.1, 1);
    // 市民税 in Shift_JIS, and a backslash as second byte of a character (表).
    for name in [b"\x8es\x96\xaf\x90\xc5".as_slice(), b"\x95\x5c"] {
        let (before, after) = marked.split_once("市民税システム").unwrap();
        let file = [before.as_bytes(), name, after.as_bytes()].concat();
        assert_eq!(revoked(&file, true), ["resident-tax", "retired"]);
    }
    let units = || marked.encode_utf16();
    let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units().flat_map(u16::to_be_bytes).collect();
    for file in [[b"\xff\xfe", &*little].concat(), [b"\xfe\xff", &*big].concat(), little, big] {
        assert_eq!(revoked(&file, true), ["resident-tax", "retired"]);
    }
    assert_eq!(revoked(format!("\u{feff}{marked}{}", TROUBLES[3]).as_bytes(), true), ["resident-tax", "retired"]);
    // Ids and affairs of such a file may be others, so nothing else is taken away.
    let whole: Vec<u8> =
        TEXT.chars().flat_map(|it| if it.is_ascii() { vec![it as u8] } else { b"\x8e\x73".to_vec() }).collect();
    assert!(policy().restricted_by(&whole, true, &catalog(), TODAY).unwrap().is_none());
}

#[test]
fn a_line_that_is_not_written_to_its_end_revokes_once_nothing_writes_the_file() {
    let until = TEXT.find("roles = [\"consumer\"]\n\n[[rule]]").unwrap_or(TEXT.len());
    let start = TEXT[..until].find("division = \"学務課\"\n").unwrap() + "division = \"学務課\"\n".len();
    for half in ["revoked = ", "revoked = fal"] {
        let text = TEXT[..start].to_owned() + half;
        assert_eq!(revoked(text.as_bytes(), false), ["retired"], "{half}");
        assert_eq!(revoked(text.as_bytes(), true), ["retired", "school"], "{half}");
    }
}

/// A slip of the pen takes nothing away: what is misspelt may be what seems to be absent.
#[test]
fn a_misspelt_key_or_name_takes_nothing_away() {
    for slip in [
        ("roles = [\"dataset_owner\"]", "rolse = [\"dataset_owner\"]"),
        ("roles = [\"dataset_owner\"]", "roles = [\"dataset_ownr\"]"),
        ("roles = [\"dataset_owner\"]", "roles = \"dataset_owner\""),
        ("personal_number_basis =", "personal_number_bassis ="),
        ("unified_address_number = true", "unified_adress_number = true"),
        ("unified_address_number = true", "unified_address_number = ture"),
        ("affair = \"宛名管理事務\"\nbasis", "affair = \"宛名管理事務\"\nbasi"),
        ("affair = \"国民年金事務\"\nbasis", "affair = \"国民年金事務\"\nbasi"),
        ("affair = \"国民年金事務\"\nbasis = [{ citation", "affair = \"国民年金事務\"\nbasis = [{ citaton"),
        ("id = \"payment\"\nowner = \"pension\"", "id = \"payment\"\nowner = \"pensoin\""),
        ("id = \"payment\"\nowner", "id = \"paymnet\"\nowner"),
        ("id = \"benefit\"", "id = \"payment\""),
        ("[[dataset]]\nid = \"payment\"", "[[datset]]\nid = \"payment\""),
        ("[[system]]\nid = \"school\"", "[[systm]]\nid = \"school\""),
        ("[[system]]\nid = \"school\"", "[[system]]\nid = \"shcool\""),
        ("[[system]]\nid = \"school\"", "[[system]]\nid = \"pension\""),
        ("[[rule]]\nid = \"transfer-1\"", "[[rules]]\nid = \"transfer-1\""),
        ("[[rule]]\nid = \"own-view\"", "# [[rule]]\nid = \"own-view\""),
        ("consumers = [\"resident-tax\"]", "consumers = [\"resident-txa\"]"),
        ("[rule.release]", "[rule.relase]"),
        ("payment = [\"months.status\"", "payment = [\"months.statsu\""),
        ("payment = [\"months.status\"", "paymnet = [\"months.status\""),
        ("valid_to = 2027-03-31", "valid_to = \"31.3.2027\""),
    ] {
        for trouble in ["", TROUBLES[0], TROUBLES[1]] {
            let taken = restricted(&refused(&[slip], trouble), true).map(|left| left.taken);
            assert_eq!(taken, None, "{slip:?} {trouble}");
        }
    }
}

/// What else is wrong with an entry does not keep in what it says is gone.
#[test]
fn what_an_entry_takes_away_counts_though_another_key_of_it_is_misspelt() {
    for (from, to, what) in [
        ("unified_address_number = true", "unified_address_number = false\nnmae = \"x\"", "unified_address_number"),
        ("roles = [\"dataset_owner\"]", "roles = []\nnmae = \"x\"", "role dataset_owner"),
        ("valid_to = 2028-03-31 }]", "valid_to = 2026-01-01 }]\nnmae = \"x\"", "basis for personal numbers"),
        (
            "basis = [{ citation = \"番号法第9条第1項\", valid_from = 2015-10-05 }]\n\n[[dataset]]",
            "basis = []\nnmae = \"x\"\n\n[[dataset]]",
            "registration has less",
        ),
    ] {
        let left = restricted(&refused(&[(from, to)], ""), true).unwrap();
        assert!(left.taken.len() == 1 && left.taken[0].contains(what), "{to}: {:?}", left.taken);
    }
}

#[test]
fn a_basis_of_registration_that_has_ended_ends_registrations() {
    let from = "valid_from = 2015-10-05 }]\n\n[[dataset]]";
    let to = "valid_from = 2015-10-05, valid_to = 2026-11-22 }]\n\n[[dataset]]";
    let left = restricted(&refused(&[(from, to)], TROUBLES[0]), true).unwrap();
    assert_eq!(left.taken, ["registration has less of a legal basis"]);
    let register = |policy: &Policy| policy.authorize_registration(&system("pension"), TODAY).is_ok();
    assert!(register(&policy()) && !register(&left.policy));
}

/// A file that is being written ends somewhere: what is not there yet is not taken away.
#[test]
fn half_a_file_takes_nothing_away_at_the_first_look() {
    for (end, _) in TEXT.match_indices('\n') {
        assert!(restricted(&TEXT[..end], false).is_none_or(|left| left.taken.is_empty()), "{}", &TEXT[..end]);
    }
}
