//! The policy that is installed by default, against the real contract.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use atena_domain::{Affair, Dataset, SystemId};
use atena_policy::{FieldCatalog, Policy, Refusal, Role, Sensitivity, Verdict};
use jiff::civil::{Date, date};

mod contract;

const TEXT: &str = include_str!("../../../deploy/policy.toml");
const TODAY: Date = date(2026, 11, 23);

/// With a legal basis for personal numbers.
const WITH_NUMBER: [&str; 7] = [
    "pension",
    "resident-tax",
    "public-assistance",
    "welfare",
    "long-term-care",
    "national-health-insurance",
    "late-elderly-medical",
];

fn policy() -> (Policy, FieldCatalog) {
    let catalog = contract::catalog();
    let policy = Policy::compile(TEXT, &catalog, TODAY).unwrap_or_else(|error| panic!("{error}"));
    (policy, catalog)
}

fn released(policy: &Policy, caller: &str, affair: &str, dataset: Dataset) -> Result<Vec<String>, Refusal> {
    let (caller, affair) = (SystemId::parse(caller).unwrap(), Affair::parse(affair).unwrap());
    policy.authorize_release(&caller, &affair, dataset, TODAY).map(|permit| permit.field_names().to_vec())
}

#[test]
fn it_is_compiled_and_proved() {
    let (policy, catalog) = policy();
    let fields: usize = Dataset::ALL.iter().map(|dataset| catalog.fields(*dataset).len()).sum();
    let proof = policy.prove(&catalog, TODAY).unwrap();
    // 14 systems; the affairs of the two transfers, of the addresses and of the pension.
    assert_eq!(proof.cases, (14 * 4 * fields) as u64);
    assert_eq!(proof.released, (15 + 25 + 7 * 30 + 3 * 29) as u64);
    assert_eq!(policy.municipality_code().as_str(), "132098");
}

#[test]
fn pension_data_goes_to_two_systems_for_one_affair_each() {
    let (policy, catalog) = policy();
    let found: BTreeSet<_> = policy
        .matrix(&catalog, TODAY)
        .into_iter()
        .filter(|row| row.dataset != Dataset::Person && row.verdict != Verdict::Denied)
        .map(|row| format!("{} {} {}", row.system, row.affair, row.dataset))
        .collect();
    let expected = [
        "public-assistance 生活保護事務 benefit",
        "public-assistance 生活保護事務 payment",
        "public-assistance 生活保護事務 qualification",
        "resident-tax 市都民税賦課業務 payment",
        "resident-tax 市都民税賦課業務 qualification",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn tax_system_never_receives_benefit() {
    let (policy, _) = policy();
    for dataset in [Dataset::Benefit, Dataset::Exemption, Dataset::WelfarePension] {
        let refused = released(&policy, "resident-tax", "市都民税賦課業務", dataset);
        assert_eq!(refused, Err(Refusal::ReleaseNotPermitted));
    }
}

#[test]
fn exactly_the_fields_that_hold_a_basic_pension_number_or_a_note_stay_with_the_owner() {
    let (policy, catalog) = policy();
    for dataset in [Dataset::Qualification, Dataset::Payment, Dataset::Benefit] {
        let fields = released(&policy, "public-assistance", "生活保護事務", dataset).unwrap();
        let withheld: Vec<_> = catalog
            .fields(dataset)
            .iter()
            .map(|field| field.path.as_str())
            .filter(|path| !fields.iter().any(|field| field == path))
            .collect();
        // The first ten digits of a certificate number are the basic pension number.
        let expected: &[_] = match dataset {
            Dataset::Benefit => &["basic_pension_number", "certificate_number", "remarks"],
            _ => &["basic_pension_number", "remarks"],
        };
        assert_eq!(withheld, expected, "{dataset}");
    }
}

#[test]
fn number_confinement_the_last_three_systems_never_receive_a_personal_number() {
    let (policy, catalog) = policy();
    let receives: BTreeSet<_> = policy
        .matrix(&catalog, TODAY)
        .into_iter()
        .filter(|row| row.sensitivity == Sensitivity::PersonalNumber && row.verdict != Verdict::Denied)
        .map(|row| row.system.to_string())
        .collect();
    assert_eq!(receives, WITH_NUMBER.map(str::to_owned).into());
    for system in policy.systems() {
        // Those who bring in migrated people may state their numbers, and never read one.
        let expected = WITH_NUMBER.contains(&system.id().as_str()) || system.has_role(Role::AddressAdministrator);
        assert_eq!(system.may_use_personal_number(TODAY), expected, "{}", system.id());
    }
}

#[test]
fn every_business_system_reads_back_its_own_view() {
    let (policy, catalog) = policy();
    let all = catalog.fields(Dataset::Person).len();
    for system in policy.systems() {
        let expected = match (system.has_role(Role::Consumer), WITH_NUMBER.contains(&system.id().as_str())) {
            (false, _) => None,
            (true, true) => Some(all),
            (true, false) => Some(all - 1),
        };
        let fields = released(&policy, system.id().as_str(), "宛名管理事務", Dataset::Person).ok();
        assert_eq!(fields.map(|fields| fields.len()), expected, "{}", system.id());
    }
}

#[test]
fn the_two_transfers_are_recorded_with_their_three_citations() {
    let (policy, _) = policy();
    for (caller, affair, rule, basis) in [
        (
            "resident-tax",
            "市都民税賦課業務",
            "transfer-1",
            "町田市個人番号及び特定個人情報の利用に関する条例; 番号法第19条第8項 別表第2(48); 命令第26条の3",
        ),
        (
            "public-assistance",
            "生活保護事務",
            "transfer-2",
            "町田市個人番号及び特定個人情報の利用に関する条例; 番号法第19条第8項 別表第2(50); 命令第26条の4",
        ),
    ] {
        let (caller, affair) = (SystemId::parse(caller).unwrap(), Affair::parse(affair).unwrap());
        let permit = policy.authorize_release(&caller, &affair, Dataset::Payment, TODAY).unwrap();
        assert_eq!((permit.rule_id(), permit.rule_version(), permit.basis()), (rule, 1, basis));
    }
}

#[test]
fn only_the_address_administrator_receives_unified_numbers_and_nobody_sees_protected_addresses() {
    let (policy, _) = policy();
    let unified: Vec<_> = policy
        .systems()
        .filter(|system| system.receives_unified_address_number())
        .map(|system| system.id().as_str())
        .collect();
    assert_eq!(unified, ["address-administrator"]);
    assert!(policy.systems().all(|system| !system.sees_protected_address() && !system.revoked()));
}
