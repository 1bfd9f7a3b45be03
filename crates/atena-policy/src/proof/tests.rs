use std::sync::Arc;

use super::*;
use crate::filter::FieldFilter;
use crate::test_policy::{TODAY, affair, catalog, policy, system};

const PAYMENT_PLACE: usize = 0;
const PERSON_PLACE: usize = 1;

/// Lets the compiled policy release other fields than its rules say.
fn sabotage(policy: &mut Policy, system_id: &str, place: usize, allowed: &[&[u32]]) {
    let grants = policy.grants.get_mut(&system(system_id)).unwrap();
    grants[place].release.filter = Arc::new(FieldFilter::allowing(allowed.iter().copied()));
}

fn broken(policy: &Policy) -> (Invariant, String) {
    let counterexample = policy.prove(&catalog(), TODAY).unwrap_err();
    (counterexample.invariant, counterexample.field)
}

#[test]
fn every_combination_is_asked() {
    let policy = policy();
    let proof = policy.prove(&catalog(), TODAY).unwrap();
    // 6 systems, 3 affairs, 13 fields; 3 fields by transfer-1, 2 by own-view-with-number, 1 by own-view.
    assert_eq!(proof, Proof { cases: 6 * 3 * 13, released: 6, hash: policy.hash() });
}

#[test]
fn the_proof_finds_a_field_released_without_a_rule() {
    let mut policy = policy();
    sabotage(&mut policy, "resident-tax", PAYMENT_PLACE, &[&[2], &[3, 1], &[3, 2], &[3, 3]]);
    assert_eq!(broken(&policy), (Invariant::DenyByDefault, "months.amount_yen".to_owned()));
}

#[test]
fn the_proof_finds_a_field_withheld_against_a_rule() {
    let mut policy = policy();
    sabotage(&mut policy, "resident-tax", PAYMENT_PLACE, &[&[2], &[3, 1]]);
    assert_eq!(broken(&policy), (Invariant::DenyByDefault, "months.status".to_owned()));
}

#[test]
fn the_proof_finds_a_whole_message_released_for_one_of_its_fields() {
    let mut policy = policy();
    sabotage(&mut policy, "resident-tax", PAYMENT_PLACE, &[&[2], &[3]]);
    // What is unknown within the message came out as well.
    assert_eq!(broken(&policy), (Invariant::DenyByDefault, String::new()));
}

#[test]
fn the_proof_finds_a_personal_number_released_without_a_legal_basis() {
    let mut policy = policy();
    sabotage(&mut policy, "school", 0, &[&[1], &[2, 1]]);
    assert_eq!(broken(&policy), (Invariant::NumberConfinement, "personal_number".to_owned()));
}

#[test]
fn the_proof_finds_a_legal_basis_that_the_decision_overlooks() {
    let mut policy = policy();
    // As if the compiler had forgotten that the rule holds a personal number, on a day without a basis for it.
    policy.grants.get_mut(&system("resident-tax")).unwrap()[PERSON_PLACE].release.holds_personal_number = false;
    let counterexample = policy.prove(&catalog(), jiff::civil::date(2028, 4, 1)).unwrap_err();
    assert_eq!(counterexample.invariant, Invariant::NumberConfinement);
    assert_eq!(
        counterexample.to_string(),
        "number-confinement does not hold on 2028-04-01: system resident-tax, affair 宛名管理事務, dataset person, field personal_number"
    );
}

#[test]
fn the_proof_finds_a_rule_given_to_the_wrong_system() {
    let mut policy = policy();
    let grants = policy.grants.get(&system("resident-tax")).unwrap().clone();
    policy.grants.insert(system("school"), grants);
    let counterexample = policy.prove(&catalog(), TODAY).unwrap_err();
    assert_eq!(counterexample.system, system("school"));
    assert!([affair("市都民税賦課業務"), affair("宛名管理事務")].contains(&counterexample.affair));
}

#[test]
fn a_contract_whose_fields_moved_is_not_proved() {
    use crate::catalog::{CatalogField, DatasetFields};
    let moved = FieldCatalog::new(vec![DatasetFields {
        dataset: Dataset::Payment,
        fields: vec![CatalogField {
            path: "fiscal_year".to_owned(),
            numbers: vec![7],
            sensitivity: Sensitivity::Pension,
        }],
    }]);
    assert_eq!(policy().prove(&moved, TODAY).unwrap_err().invariant, Invariant::DenyByDefault);
}

#[test]
fn the_days_of_change_are_those_on_which_something_begins_or_has_ended() {
    use jiff::civil::date;
    let days: Vec<_> = policy().days_of_change(TODAY).into_iter().collect();
    assert_eq!(days, [TODAY, date(2027, 1, 1), date(2027, 4, 1), date(2028, 4, 1)]);
}
