use atena_domain::OperatorId;
use jiff::civil::date;

use super::*;
use crate::permit::RulesPermit;
use crate::test_policy::{TODAY, affair, edited, policy, system};

const TAX: &str = "市都民税賦課業務";
const ADDRESS: &str = "宛名管理事務";

fn release(caller: &str, affair_name: &str, dataset: Dataset, day: Date) -> Result<ReleasePermit, Refusal> {
    policy().authorize_release(&system(caller), &affair(affair_name), dataset, day)
}

#[test]
fn a_release_permit_says_what_it_was_given_for() {
    let permit = release("resident-tax", TAX, Dataset::Payment, TODAY).unwrap();
    assert_eq!(permit.caller(), &system("resident-tax"));
    assert_eq!(permit.division(), "市民税課");
    assert_eq!(permit.affair(), &affair(TAX));
    assert_eq!(permit.dataset(), Dataset::Payment);
    assert_eq!((permit.rule_id(), permit.rule_version()), ("transfer-1", 1));
    assert_eq!(permit.basis(), "条例; 別表第2(48)");
    assert_eq!(*permit.field_names(), ["fiscal_year", "months.month", "months.status"]);
    assert_eq!(permit.policy_hash(), policy().hash());
}

#[test]
fn deny_by_default_what_no_rule_names_is_refused() {
    let refused = |caller, affair_name, dataset| release(caller, affair_name, dataset, TODAY).err();
    assert_eq!(refused("resident-tax", TAX, Dataset::Benefit), Some(Refusal::ReleaseNotPermitted));
    assert_eq!(refused("resident-tax", ADDRESS, Dataset::Payment), Some(Refusal::ReleaseNotPermitted));
    assert_eq!(refused("school", TAX, Dataset::Payment), Some(Refusal::ReleaseNotPermitted));
    assert_eq!(refused("pension", TAX, Dataset::Payment), Some(Refusal::ReleaseNotPermitted));
    assert_eq!(refused("resident-tax", "別の事務", Dataset::Payment), Some(Refusal::UnknownAffair));
    assert_eq!(refused("nobody", TAX, Dataset::Payment), Some(Refusal::CallerUnknown));
    assert_eq!(refused("retired", TAX, Dataset::Payment), Some(Refusal::CallerRevoked));
}

#[test]
fn deny_by_default_a_rule_releases_nothing_before_and_after_its_time() {
    for (day, expected) in [
        (date(2015, 12, 31), Some(Refusal::ReleaseNotPermitted)),
        (date(2016, 1, 1), None),
        (date(2027, 3, 31), None),
        (date(2027, 4, 1), Some(Refusal::ReleaseNotPermitted)),
    ] {
        assert_eq!(release("resident-tax", TAX, Dataset::Payment, day).err(), expected, "{day}");
    }
}

#[test]
fn deny_by_default_a_rule_releases_nothing_once_its_last_legal_basis_has_ended() {
    let policy = edited(&[("{ citation = \"別表第2(48)\", valid_from = 2021-09-01 },", "")]).unwrap();
    let on = |day| policy.authorize_release(&system("resident-tax"), &affair(TAX), Dataset::Payment, day).err();
    assert_eq!(on(date(2026, 12, 31)), None);
    assert_eq!(on(date(2027, 1, 1)), Some(Refusal::ReleaseNotPermitted));
    assert!(
        policy.entitlements(&system("resident-tax"), date(2027, 1, 1)).iter().all(|one| one.rule_id != "transfer-1")
    );
}

#[test]
fn only_citations_in_force_are_recorded() {
    assert_eq!(release("resident-tax", TAX, Dataset::Payment, date(2020, 1, 1)).unwrap().basis(), "条例");
    assert_eq!(release("resident-tax", TAX, Dataset::Payment, date(2027, 1, 1)).unwrap().basis(), "別表第2(48)");
}

#[test]
fn a_new_version_takes_over_on_its_first_day() {
    let successor = r#"
[[rule]]
id = "transfer-1"
name = "移転先1"
version = 2
consumers = ["resident-tax"]
affair = "市都民税賦課業務"
valid_from = 2027-04-01
basis = [{ citation = "新条例", valid_from = 2027-04-01 }]
[rule.release]
payment = ["fiscal_year"]

[[rule]]
id = "own-view-with-number""#;
    let policy = edited(&[("[[rule]]\nid = \"own-view-with-number\"", successor)]).unwrap();
    let version = |day| {
        let permit = policy.authorize_release(&system("resident-tax"), &affair(TAX), Dataset::Payment, day).unwrap();
        (permit.rule_version(), permit.field_names().len())
    };
    assert_eq!(version(date(2027, 3, 31)), (1, 3));
    assert_eq!(version(date(2027, 4, 1)), (2, 1));
    let entitled = policy.entitlements(&system("resident-tax"), date(2027, 4, 1));
    assert_eq!(entitled.iter().filter(|one| one.rule_id == "transfer-1").count(), 1);
}

#[test]
fn number_confinement_a_number_permit_needs_a_legal_basis_on_the_day() {
    let permit = release("resident-tax", ADDRESS, Dataset::Person, TODAY).unwrap();
    let number = permit.personal_number().unwrap();
    assert_eq!((number.caller(), number.basis()), (&system("resident-tax"), "別表24"));

    let ended = date(2028, 4, 1);
    let refused = release("resident-tax", ADDRESS, Dataset::Person, ended).err();
    assert_eq!(refused, Some(Refusal::PersonalNumberNotPermitted));
    let registration = policy().authorize_registration(&system("resident-tax"), ended).unwrap();
    assert!(!registration.may_use_personal_number() && registration.personal_number().is_none());
}

#[test]
fn number_confinement_other_permits_give_no_number_permit() {
    assert!(release("resident-tax", TAX, Dataset::Payment, TODAY).unwrap().personal_number().is_none());
    assert!(release("school", ADDRESS, Dataset::Person, TODAY).unwrap().personal_number().is_none());
    let policy = policy();
    assert!(policy.authorize_registration(&system("school"), TODAY).unwrap().personal_number().is_none());
    let registration = policy.authorize_registration(&system("resident-tax"), TODAY).unwrap();
    assert_eq!(registration.personal_number().unwrap().basis(), "別表24");
}

#[test]
fn only_the_owner_pushes_and_nobody_pushes_people() {
    let policy = policy();
    let permit = policy.authorize_push(&system("pension"), Dataset::Qualification, TODAY).unwrap();
    assert_eq!((permit.owner(), permit.dataset()), (&system("pension"), Dataset::Qualification));
    assert_eq!((permit.affair().as_str(), permit.basis()), ("国民年金事務", "国民年金法"));
    assert_eq!(permit.division(), "保険年金課");
    let refused = |caller, dataset, day| policy.authorize_push(&system(caller), dataset, day).err();
    assert_eq!(refused("resident-tax", Dataset::Payment, TODAY), Some(Refusal::NotDatasetOwner));
    assert_eq!(refused("pension", Dataset::Person, TODAY), Some(Refusal::NotDatasetOwner));
    assert_eq!(refused("pension", Dataset::Payment, date(1961, 3, 31)), Some(Refusal::NotDatasetOwner));
    assert_eq!(refused("nobody", Dataset::Payment, TODAY), Some(Refusal::CallerUnknown));
}

#[test]
fn everybody_registers_people_except_auditors_and_the_revoked() {
    let policy = policy();
    let permit = policy.authorize_registration(&system("school"), TODAY).unwrap();
    assert_eq!((permit.caller(), permit.division()), (&system("school"), "学務課"));
    assert_eq!((permit.affair().as_str(), permit.basis()), (ADDRESS, "番号法第9条第1項"));
    let refused = |caller, day| policy.authorize_registration(&system(caller), day).err();
    assert_eq!(refused("auditor", TODAY), Some(Refusal::RoleRequired));
    assert_eq!(refused("retired", TODAY), Some(Refusal::CallerRevoked));
    assert_eq!(refused("school", date(2015, 10, 4)), Some(Refusal::RoleRequired));
}

#[test]
fn separation_of_duties_each_role_opens_its_own_door_only() {
    let policy = policy();
    let opens = |caller: &str| {
        let id = system(caller);
        [
            policy.authorize_resolve(&id, TODAY).is_ok(),
            policy.authorize_audit(&id, TODAY).is_ok(),
            policy.authorize_address_administration(&id, TODAY).is_ok(),
        ]
    };
    assert_eq!(opens("pension"), [false, false, false]);
    assert_eq!(opens("resident-tax"), [false, false, false]);
    assert_eq!(opens("auditor"), [false, true, false]);
    assert_eq!(opens("administrator"), [true, false, true]);
    assert_eq!(opens("retired"), [false, false, false]);
    assert_eq!(
        policy.authorize_audit(&system("auditor"), TODAY).unwrap().auditor(),
        &Auditor::System(system("auditor"))
    );
    assert_eq!(policy.authorize_audit(&system("school"), TODAY).err(), Some(Refusal::RoleRequired));
    assert_eq!(policy.authorize_resolve(&system("retired"), TODAY).err(), Some(Refusal::CallerRevoked));
}

#[test]
fn a_console_may_do_nothing_by_itself() {
    let policy = edited(&[("roles = [\"auditor\"]", "roles = [\"console\"]")]).unwrap();
    let console = system("auditor");
    assert_eq!(policy.authorize_registration(&console, TODAY).err(), Some(Refusal::RoleRequired));
    assert_eq!(policy.authorize_audit(&console, TODAY).err(), Some(Refusal::RoleRequired));
    assert_eq!(policy.authorize_resolve(&console, TODAY).err(), Some(Refusal::RoleRequired));
    assert_eq!(policy.authorize_address_administration(&console, TODAY).err(), Some(Refusal::RoleRequired));
    for dataset in Dataset::ALL {
        assert!(policy.authorize_push(&console, dataset, TODAY).is_err());
        assert!(policy.authorize_release(&console, &affair(TAX), dataset, TODAY).is_err());
    }
}

#[test]
fn who_answers_for_the_rules_reads_those_of_every_system() {
    let policy = policy();
    let permit = RulesPermit { reader: OperatorId::parse("m2001").unwrap() };
    let rules = policy.rules_in_force(&permit, TODAY);
    let of = |id: &str| rules.iter().filter(|(system, _)| system.as_str() == id).count();
    for consumer in ["resident-tax", "school", "pension", "retired"] {
        assert_eq!(of(consumer), policy.entitlements(&system(consumer), TODAY).len(), "{consumer}");
    }
    assert_eq!(of("resident-tax") + of("school"), rules.len());
}

#[test]
fn entitlements_are_what_would_be_released() {
    let policy = policy();
    let entitled = policy.entitlements(&system("resident-tax"), TODAY);
    assert_eq!(entitled.len(), 2);
    let first = &entitled[0];
    assert_eq!((first.rule_id.as_str(), first.rule_name.as_str(), first.rule_version), ("transfer-1", "移転先1", 1));
    assert_eq!((first.affair.as_str(), first.dataset), (TAX, Dataset::Payment));
    assert_eq!(first.bases.len(), 2);
    assert_eq!((first.valid_from, first.valid_to), (date(2016, 1, 1), Some(date(2027, 3, 31))));
    for nobody in ["pension", "auditor", "retired", "nobody"] {
        assert!(policy.entitlements(&system(nobody), TODAY).is_empty(), "{nobody}");
    }
    assert_eq!(policy.entitlements(&system("resident-tax"), date(2028, 4, 1)).len(), 0);
}
