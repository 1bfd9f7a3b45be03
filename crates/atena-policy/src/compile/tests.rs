use atena_domain::Dataset;

use super::*;
use crate::test_policy::{TEXT, TODAY, affair, catalog, edited, policy, system};

/// The problems after replacing `from` by `to`, as they are displayed.
fn problems(from: &str, to: &str) -> Vec<String> {
    edited(&[(from, to)]).unwrap_err().problems().iter().map(ToString::to_string).collect()
}

/// Line of the first occurrence of `needle` after `after` in the unchanged text.
fn line(after: &str, needle: &str) -> u32 {
    let start = TEXT.find(after).unwrap();
    line_of(TEXT, start + TEXT[start..].find(needle).unwrap())
}

/// One problem: what to replace, by what, after what to look for the line, what is on that line, the message.
struct Case(&'static str, &'static str, (&'static str, &'static str), &'static str);

#[test]
fn each_problem_is_reported_with_its_line_and_reason() {
    const RULE: &str = "id = \"transfer-1\"";
    let cases = [
        Case(
            "\"132098\"",
            "\"132099\"",
            ("", "132098"),
            "policy: municipality_code must be 6 digits with a valid check digit (全国地方公共団体コード)",
        ),
        Case(
            "id = \"qualification\"",
            "id = \"qualifications\"",
            ("", "id = \"qualification\""),
            "policy names dataset \"qualifications\" which does not exist",
        ),
        Case("id = \"benefit\"", "id = \"payment\"", ("", "id = \"benefit\""), "dataset \"payment\" is there twice"),
        Case(
            "id = \"benefit\"",
            "id = \"person\"",
            ("", "id = \"benefit\""),
            "dataset \"person\" has no owner: every registered system registers its own view",
        ),
        Case(
            "owner = \"pension\"",
            "owner = \"pensions\"",
            ("", "owner ="),
            "dataset \"qualification\" names system \"pensions\" which is not registered",
        ),
        Case(
            "owner = \"pension\"",
            "owner = \"school\"",
            ("", "owner ="),
            "dataset \"qualification\" names system \"school\" which lacks role dataset_owner",
        ),
        Case(
            "affair = \"国民年金事務\"",
            "affair = \"\"",
            ("", "affair = \"国民年金事務\""),
            "dataset \"qualification\": affair must be 1 to 64 characters without control characters",
        ),
        Case(
            "basis = [{ citation = \"番号法第9条第1項\", valid_from = 2015-10-05 }]",
            "",
            ("", "affair = \"宛名管理事務\""),
            "registration has no legal basis",
        ),
        Case(
            "id = \"school\"",
            "id = \"School\"",
            ("", "id = \"school\""),
            "system \"School\": id must be 1 to 32 of a-z 0-9 -, a letter first",
        ),
        Case("id = \"retired\"", "id = \"school\"", ("", "id = \"retired\""), "system \"school\" is there twice"),
        Case(
            "name = \"学務システム\"",
            "name = \" \"",
            ("", "学務システム"),
            "system \"school\": name must be 1 to 200 characters without control characters, not all blank",
        ),
        Case(
            "roles = [\"auditor\"]",
            "roles = [\"clerk\"]",
            ("", "roles = [\"auditor\"]"),
            "system \"auditor\" has role \"clerk\" which does not exist; there are dataset_owner, consumer, auditor, address_administrator and console",
        ),
        Case(
            "roles = [\"auditor\"]",
            "roles = [\"auditor\", \"consumer\"]",
            ("", "id = \"auditor\""),
            "system \"auditor\" is an auditor and may have no other role, personal number or unified number",
        ),
        Case(
            "roles = [\"auditor\"]",
            "roles = [\"auditor\"]\nunified_address_number = true",
            ("", "id = \"auditor\""),
            "system \"auditor\" is an auditor and may have no other role, personal number or unified number",
        ),
        Case(
            "roles = [\"auditor\"]",
            "roles = [\"console\"]\nprotected_address = true",
            ("", "id = \"auditor\""),
            "system \"auditor\" is a console and may have no other role, personal number, unified number or protected address",
        ),
        Case(
            "id = \"auditor\"",
            "id = \"person\"",
            ("", "id = \"auditor\""),
            "system \"person\" has an id that is kept for people who sign in with their own certificate",
        ),
        Case(
            "division = \"学務課\"\nroles = [\"consumer\"]",
            "division = \"学務課\"\nroles = [\"consumer\", \"dataset_owner\"]",
            ("", "id = \"school\""),
            "system \"school\" has role dataset_owner and owns no dataset",
        ),
        Case("id = \"transfer-1\"", "id = \"移転\"", ("", RULE), "rule \"移転\": id must be 1 to 64 of a-z 0-9 -"),
        Case(
            "id = \"own-view\"",
            "id = \"own-view-with-number\"",
            ("", "id = \"own-view\"\n"),
            "rule \"own-view-with-number\" version 1 is there twice",
        ),
        Case("version = 1", "version = 0", ("", "version = 1"), "rule \"transfer-1\": version must be 1 or more"),
        Case(
            "consumers = [\"resident-tax\"]",
            "consumers = []",
            (RULE, "consumers"),
            "rule \"transfer-1\": consumers must name at least one system",
        ),
        Case(
            "consumers = [\"resident-tax\"]",
            "consumers = [\"tax\"]",
            (RULE, "consumers"),
            "rule \"transfer-1\" names system \"tax\" which is not registered",
        ),
        Case(
            "consumers = [\"resident-tax\"]",
            "consumers = [\"pension\"]",
            (RULE, "consumers"),
            "rule \"transfer-1\" names system \"pension\" which lacks role consumer",
        ),
        Case(
            "consumers = [\"resident-tax\"]",
            "consumers = [\"resident-tax\", \"resident-tax\"]",
            (RULE, "consumers"),
            "rule \"transfer-1\": consumer \"resident-tax\" is there twice",
        ),
        Case(
            "valid_to = 2027-03-31",
            "valid_to = 2026-11-22",
            (RULE, "valid_to"),
            "rule \"transfer-1\" has ended; remove it, or make a new version",
        ),
        Case(
            "valid_to = 2027-03-31",
            "valid_to = 2015-12-31",
            (RULE, "valid_from"),
            "rule \"transfer-1\": valid_to is before valid_from",
        ),
        Case(
            "valid_to = 2027-03-31",
            "valid_to = 2027-03-31T00:00:00",
            (RULE, "valid_to"),
            "rule \"transfer-1\": valid_to must be a date without time, e.g. 2026-04-01",
        ),
        Case(
            "2021-09-01 },",
            "2021-09-01, valid_to = 2021-08-31 },",
            (RULE, "2021-09-01"),
            "rule \"transfer-1\": valid_to is before valid_from",
        ),
        Case(
            "payment = [\"months.status\", \"months.month\", \"fiscal_year\"]",
            "",
            ("", RULE),
            "rule \"transfer-1\" releases nothing",
        ),
        Case(
            "[\"months.status\", \"months.month\", \"fiscal_year\"]",
            "[]",
            (RULE, "payment"),
            "rule \"transfer-1\": dataset \"payment\" releases nothing",
        ),
        Case(
            "payment = [",
            "payments = [",
            (RULE, "payment"),
            "rule \"transfer-1\" names dataset \"payments\" which does not exist",
        ),
        Case(
            "\"fiscal_year\"",
            "\"amount\"",
            (RULE, "payment"),
            "rule \"transfer-1\" names field \"amount\" which dataset \"payment\" does not have",
        ),
        Case(
            "\"fiscal_year\"",
            "\"months.*\"",
            (RULE, "payment"),
            "rule \"transfer-1\" names field \"months.*\" which dataset \"payment\" does not have",
        ),
        Case(
            "\"fiscal_year\"",
            "\"months\"",
            (RULE, "payment"),
            "rule \"transfer-1\" names field \"months\" which dataset \"payment\" does not have",
        ),
        Case(
            "\"fiscal_year\"",
            "\"months.month\"",
            (RULE, "payment"),
            "rule \"transfer-1\": field \"months.month\" of dataset \"payment\" is there twice",
        ),
        Case(
            "person = [\"name.full_name\"]",
            "person = [\"name.full_name\", \"personal_number\"]",
            ("", "person = [\"name.full_name\"]"),
            "rule \"own-view\" releases \"personal_number\" to system \"school\" which has no legal basis in force to use personal numbers",
        ),
        Case(
            "consumers = [\"school\"]",
            "consumers = [\"school\", \"resident-tax\"]",
            ("", "id = \"own-view\"\n"),
            "rule \"own-view\" version 1 and rule \"own-view-with-number\" version 1 both release dataset \"person\" to system \"resident-tax\" for affair \"宛名管理事務\" at the same time",
        ),
    ];
    for Case(from, to, (after, needle), message) in cases {
        let expected = format!("policy.toml:{}: {message}", line(after, needle));
        let found = problems(from, to);
        assert!(found.contains(&expected), "{from} -> {to}\nexpected {expected}\nfound {found:#?}");
    }
}

#[test]
fn a_rule_whose_legal_bases_have_all_ended_is_refused() {
    let error = edited(&[
        ("valid_to = 2026-12-31", "valid_to = 2026-11-22"),
        ("2021-09-01 }", "2021-09-01, valid_to = 2024-05-26 }"),
    ]);
    let expected = Reason::BasisEnded { place: "rule \"transfer-1\"".to_owned() };
    assert_eq!(error.unwrap_err().problems(), [Problem { line: line("", "id = \"transfer-1\""), reason: expected }]);
}

#[test]
fn a_personal_number_basis_that_has_ended_is_none() {
    let found = problems("valid_to = 2028-03-31", "valid_to = 2026-11-22");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("no legal basis in force to use personal numbers"), "{found:?}");
}

#[test]
fn a_pension_dataset_without_owner_is_refused() {
    let found = problems(
        "[[dataset]]\nid = \"benefit\"\nowner = \"pension\"\naffair = \"国民年金事務\"\nbasis = [{ citation = \"国民年金法\", valid_from = 1961-04-01 }]\n",
        "",
    );
    assert_eq!(found, ["policy.toml:1: dataset \"benefit\" has no owner"]);
}

#[test]
fn unknown_keys_are_refused_with_their_line() {
    for (place, key) in
        [("[registration]", "colour"), ("[[system]]", "color"), ("[[rule]]", "wildcard"), ("[[dataset]]", "to")]
    {
        let found = problems(place, &format!("{place}\n{key} = true"));
        let expected = format!("policy.toml:{}: unknown field `{key}`", line("", place) + 1);
        assert!(found.len() == 1 && found[0].starts_with(&expected), "expected {expected}, found {found:?}");
    }
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let found = problems("[[rule]]", "[[rule]");
    assert!(found.len() == 1 && found[0].starts_with(&format!("policy.toml:{}: ", line("", "[[rule]]"))), "{found:?}");
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let error = edited(&[
        ("\"fiscal_year\"", "\"amount\""),
        ("\"132098\"", "\"1\""),
        ("roles = [\"auditor\"]", "roles = [\"clerk\"]"),
    ])
    .unwrap_err();
    let lines: Vec<_> = error.problems().iter().map(|problem| problem.line).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.is_sorted());
    assert_eq!(error.to_string().lines().count(), 3);
}

#[test]
fn the_hash_is_of_the_content_and_not_of_the_text() {
    let hash = policy().hash();
    let same = [
        ("municipality_code", "# 町田市\nmunicipality_code"),
        (
            "[\"months.status\", \"months.month\", \"fiscal_year\"]",
            "[\"fiscal_year\", \"months.month\", \"months.status\"]",
        ),
        ("name = \"監査\"\ndivision = \"市政情報課\"", "division = \"市政情報課\"\nname = \"監査\""),
    ];
    for edit in same {
        assert_eq!(edited(&[edit]).unwrap().hash(), hash, "{edit:?}");
    }
    let other = [
        ("\"months.status\", ", ""),
        ("\"132098\"", "\"131016\""),
        ("division = \"学務課\"", "division = \"教務課\""),
        ("revoked = true", "revoked = false"),
        ("valid_to = 2027-03-31", "valid_to = 2027-04-30"),
        ("citation = \"条例\"", "citation = \"新条例\""),
        ("unified_address_number = true", "unified_address_number = true\nprotected_address = true"),
    ];
    for edit in other {
        assert_ne!(edited(&[edit]).unwrap().hash(), hash, "{edit:?}");
    }
    assert_eq!(Policy::compile(TEXT, &catalog(), TODAY.tomorrow().unwrap()).unwrap().hash(), hash);
}

#[test]
fn the_registry_is_read_as_written() {
    use crate::system::Role;
    use crate::test_policy::system;
    let policy = policy();
    assert_eq!(policy.municipality_code().as_str(), "132098");
    assert_eq!(policy.systems().count(), 6);
    assert_eq!(
        policy.rules().map(|rule| rule.id()).collect::<Vec<_>>(),
        ["transfer-1", "own-view-with-number", "own-view"]
    );
    let tax = policy.system(&system("resident-tax")).unwrap();
    assert_eq!((tax.id(), tax.name(), tax.division()), (&system("resident-tax"), "市民税システム", "市民税課"));
    assert_eq!(tax.roles(), [Role::Consumer]);
    assert!(tax.may_use_personal_number(TODAY) && !tax.receives_unified_address_number());
    assert!(!tax.sees_protected_address() && !tax.revoked());
    assert!(policy.system(&system("retired")).unwrap().revoked());
    assert!(policy.system(&system("nobody")).is_none());
}

/// deny-by-default: a rule that still names a revoked system is no reason to refuse the file, so the revocation counts at once.
#[test]
fn a_rule_that_names_a_revoked_system_is_warned_of_and_releases_nothing_to_it() {
    let policy = edited(&[("consumers = [\"resident-tax\"]", "consumers = [\"retired\"]")]).unwrap();
    let warnings: Vec<_> = policy.warnings().iter().map(ToString::to_string).collect();
    let line = line("id = \"transfer-1\"", "consumers");
    let message = "names system \"retired\" which is revoked and gets nothing; take it out of `consumers`";
    assert_eq!(warnings, [format!("policy.toml:{line}: rule \"transfer-1\" {message}")]);
    let refused = policy.authorize_release(&system("retired"), &affair("市都民税賦課業務"), Dataset::Payment, TODAY);
    assert!(refused.is_err());
}
