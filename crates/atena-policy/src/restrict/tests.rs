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
    policy().restricted_by(text, settled, &catalog(), TODAY).unwrap()
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
        assert_eq!(revoked_systems(&text).into_iter().collect::<Vec<_>>(), ["resident-tax", "retired"], "{trouble}");
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
    assert!(left.policy.restricted_by(&without, true, &catalog(), TODAY).unwrap().is_none());

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
    let text = refused(&[("132098", "131016"), REVOKE_TAX], TROUBLES[0]);
    assert!(restricted(&text, true).is_none());
}
