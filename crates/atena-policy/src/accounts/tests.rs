//! Who may sign in, until when, and for what.

use atena_domain::OperatorId;
use jiff::civil::{Date, date};

use super::{Accounts, PersonRole, Right};
use crate::refusal::Refusal;

const TODAY: Date = date(2026, 11, 24);

const TEXT: &str = r#"
[[account]]
id = "a1001"
division = "監査事務局"
roles = ["auditor"]
certificate = true
valid_from = 2026-04-01
expires = 2027-03-31

[[account]]
id = "m2001"
division = "保険年金課"
roles = ["operator", "information-manager"]
oidc_subject = "7c1e"
valid_from = 2026-04-01
expires = 2026-11-24

[[account]]
id = "x3001"
division = "監査事務局"
roles = ["auditor-with-content"]
certificate = true
oidc_subject = "9f00"
valid_from = 2026-12-01
expires = 2027-03-31
"#;

fn id(text: &str) -> OperatorId {
    OperatorId::parse(text).unwrap()
}

fn problems(from: &str, to: &str) -> String {
    assert!(TEXT.contains(from), "{from}");
    Accounts::read(&TEXT.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn people_sign_in_only_in_the_way_that_their_account_names() {
    let accounts = Accounts::read(TEXT).unwrap();
    assert_eq!(accounts.by_certificate(&id("a1001"), TODAY).unwrap().division(), "監査事務局");
    assert_eq!(accounts.by_subject("7c1e", TODAY).unwrap().id(), &id("m2001"));
    assert_eq!(accounts.by_certificate(&id("m2001"), TODAY).err(), Some(Refusal::CallerUnknown));
    for unknown in ["", "7C1E", "7c1e ", "a1001"] {
        assert_eq!(accounts.by_subject(unknown, TODAY).err(), Some(Refusal::CallerUnknown), "{unknown}");
    }
}

#[test]
fn an_account_is_good_on_its_first_and_last_day_and_not_beyond() {
    let accounts = Accounts::read(TEXT).unwrap();
    let on = |day| accounts.by_certificate(&id("a1001"), day).map(|account| account.id().clone());
    for good in [date(2026, 4, 1), date(2027, 3, 31)] {
        assert_eq!(on(good), Ok(id("a1001")), "{good}");
    }
    for ended in [date(2026, 3, 31), date(2027, 4, 1)] {
        assert_eq!(on(ended), Err(Refusal::CallerRevoked), "{ended}");
        assert_eq!(accounts.authorize_audit(&id("a1001"), ended).err(), Some(Refusal::CallerRevoked));
    }
}

#[test]
fn a_role_gives_its_rights_and_no_other() {
    let accounts = Accounts::read(TEXT).unwrap();
    let may = |who: &str, right, day| accounts.authorize(&id(who), right, day).map(|_| ());
    assert_eq!(may("a1001", Right::ReadLog, TODAY), Ok(()));
    assert_eq!(may("a1001", Right::Reconstruct, TODAY), Err(Refusal::RoleRequired));
    assert_eq!(may("a1001", Right::ReadRules, TODAY), Err(Refusal::RoleRequired));
    assert_eq!(may("m2001", Right::ReadRules, TODAY), Ok(()));
    assert_eq!(may("m2001", Right::ReadLog, TODAY), Err(Refusal::RoleRequired));
    assert_eq!(may("x3001", Right::Reconstruct, TODAY), Err(Refusal::CallerRevoked), "not yet");
    assert_eq!(may("x3001", Right::Reconstruct, date(2026, 12, 1)), Ok(()));
    assert_eq!(may("nobody", Right::ReadLog, TODAY), Err(Refusal::CallerUnknown));
    assert!(PersonRole::Operator.rights().is_empty(), "who runs the machine has no call of the contract");
}

#[test]
fn only_an_operator_acts_at_the_machine_and_only_while_the_account_is_good() {
    let accounts = Accounts::read(TEXT).unwrap();
    let on = |who: &str, day| accounts.authorize_operator(&id(who), day).map(|permit| permit.operator().clone());
    assert_eq!(on("m2001", TODAY), Ok(id("m2001")));
    assert_eq!(on("m2001", date(2026, 11, 25)), Err(Refusal::CallerRevoked));
    assert_eq!(on("a1001", TODAY), Err(Refusal::RoleRequired));
    assert_eq!(on("nobody", TODAY), Err(Refusal::CallerUnknown));
}

#[test]
fn every_problem_is_told_with_its_line() {
    for (from, to, told) in [
        ("id = \"a1001\"", "id = \"a 1001\"", "people.toml:3: account \"a 1001\": id must be"),
        ("id = \"m2001\"", "id = \"A1001\"", "people.toml:11: account \"A1001\" is there twice"),
        ("oidc_subject = \"9f00\"", "oidc_subject = \"7c1e\"", "people.toml:23: account \"x3001\": another account"),
        ("roles = [\"auditor\"]", "roles = [\"auditor\", \"operator\"]", "no other role"),
        ("roles = [\"auditor\"]", "roles = []", "has no role"),
        ("roles = [\"auditor\"]", "roles = [\"root\"]", "which does not exist; there are operator,"),
        ("certificate = true", "certificate = false", "has no way to sign in"),
        ("oidc_subject = \"7c1e\"", "oidc_subject = \"\"", "people.toml:14: "),
        ("division = \"監査事務局\"", "division = \" \"", "division must be"),
        ("expires = 2027-03-31", "expires = 2026-03-31", "expires is before valid_from"),
        ("expires = 2027-03-31", "expires = 2028-03-31", "more than 400 days"),
        ("expires = 2027-03-31", "expires = 2027-03-31T00:00:00", "must be a date without time"),
        ("expires = 2027-03-31\n", "", "missing field `expires`"),
        ("division = ", "name = \"x\"\ndivision = ", "unknown field `name`"),
        ("division = ", "name = \"x\"\ndivision = ", "people.toml:4: "),
    ] {
        let text = problems(from, to);
        assert!(text.contains(told), "{told} is not in {text}");
    }
    let several = TEXT.replace("certificate = true", "certificate = false").replace("\"auditor\"]", "\"root\"]");
    assert_eq!(Accounts::read(&several).unwrap_err().problems().len(), 2);
}

#[test]
fn an_empty_file_lets_nobody_in() {
    assert_eq!(Accounts::read("").unwrap().iter().count(), 0);
}
