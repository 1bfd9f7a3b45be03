//! one-person-one-number and own-number-only, as registering systems meet them.

use atena_proto::v1;
use atena_proto::v1::RegistrationOutcome as Outcome;

use crate::people::{personal_number, registration};
use crate::town::{Town, reason};

/// The unified number that an address administrator is told for its own local number.
async fn unified(town: &Town, local: &str) -> String {
    let request = v1::ResolveNumbersRequest { local_address_numbers: vec![local.to_owned()], ..Default::default() };
    let answer = town.address_service("address-administrator").resolve_numbers(request).await.unwrap().into_inner();
    let [number] = answer.numbers.as_slice() else { panic!("{local} did not resolve") };
    number.unified_address_number.clone()
}

fn outcome(result: &v1::RegistrationResult) -> Outcome {
    if let Some(error) = &result.error {
        panic!("{}: {}", error.reason, error.message);
    }
    result.outcome()
}

/// The reason of a registration that must be refused.
async fn refusal(town: &Town, system: &str, registration: v1::PersonRegistration) -> String {
    reason(&town.register(system, registration).await.err().unwrap_or_else(|| panic!("not refused")))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_one_number_issued_once_linked_after_and_never_told_to_a_business_system() {
    let town = Town::start();
    let number = personal_number(14_142_135_623);
    let systems = ["pension", "resident-tax", "public-assistance", "welfare", "long-term-care"];
    for (index, system) in systems.into_iter().enumerate() {
        let result = town.register(system, registration("A1", Some(&number))).await.unwrap();
        let expected = if index == 0 { Outcome::Issued } else { Outcome::Linked };
        assert_eq!(outcome(&result), expected, "{system}");
        assert_eq!(result.unified_address_number, "", "own-number-only: {system}");
        let again = town.register(system, registration("A1", Some(&number))).await.unwrap();
        assert_eq!(outcome(&again), Outcome::Unchanged, "{system}");
    }
    let mut moved = registration("A1", Some(&number));
    moved.person.as_mut().unwrap().sex = Some(v1::Sex::Female.into());
    assert_eq!(outcome(&town.register("pension", moved).await.unwrap()), Outcome::Updated);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_contradict_each_other_are_refused_or_left_to_a_person() {
    let town = Town::start();
    let (one, two) = (personal_number(1), personal_number(2));
    outcome(&town.register("pension", registration("A1", Some(&one))).await.unwrap());
    outcome(&town.register("pension", registration("A2", Some(&two))).await.unwrap());

    let other_number = refusal(&town, "pension", registration("A1", Some(&personal_number(3)))).await;
    assert_eq!(other_number, "LOCAL_NUMBER_CONFLICT");

    let second_local = town.register("pension", registration("A3", Some(&one))).await.unwrap();
    assert_eq!(outcome(&second_local), Outcome::ReviewRequired);
    let case = second_local.review_case_id;
    assert!(!case.is_empty());
    let again = town.register("pension", registration("A3", Some(&one))).await.unwrap();
    assert_eq!(again.review_case_id, case, "the same case is not opened twice");

    let mut unknown = registration("A4", None);
    unknown.new_without_personal_number = false;
    let unflagged = refusal(&town, "pension", unknown).await;
    assert_eq!(unflagged, "INVALID_FIELD", "without a number only as a match or flagged as new");
    assert_eq!(outcome(&town.register("pension", registration("A4", None)).await.unwrap()), Outcome::Issued);
    let mut matched = registration("A1", None);
    matched.new_without_personal_number = false;
    assert_eq!(outcome(&town.register("pension", matched).await.unwrap()), Outcome::Unchanged);

    for wrong in ["123456789012", "12345678901", "1234567890123", "１２３４５６７８９０１８", "abcdefghijkl"]
    {
        let refused = refusal(&town, "pension", registration("A9", Some(wrong))).await;
        assert_eq!(refused, "INVALID_PERSONAL_NUMBER");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrated_numbers_keep_a_wrong_check_digit_and_are_never_issued_again() {
    let town = Town::start();
    // The first numbers that would be issued, one with its right check digit and one with a wrong one.
    let first = town.register("address-administrator", registration("Z1", None)).await.unwrap();
    outcome(&first);
    let body: u64 = unified(&town, "Z1").await[..14].parse().unwrap();
    let next = |distance: u64, digit: u64| format!("{:014}{digit}", body + distance);
    let mut taken = Vec::new();
    for digit in 0..10 {
        let mut migrated = registration(&format!("M{digit}"), None);
        migrated.migrated_unified_address_number = next(1, digit);
        let result = town.register("address-administrator", migrated).await.unwrap();
        assert_eq!(outcome(&result), Outcome::Issued, "check digit {digit} is kept as it came");
        taken.push(next(1, digit));
        assert_eq!(unified(&town, &format!("M{digit}")).await, next(1, digit));
    }
    outcome(&town.register("address-administrator", registration("Z2", None)).await.unwrap());
    let issued = unified(&town, "Z2").await;
    assert!(!taken.contains(&issued), "one-person-one-number");
    assert_eq!(issued[..14].parse::<u64>().unwrap(), body + 2, "the body that came by migration is skipped");

    // Who comes later with the same personal number meets the person who came by migration.
    let number = personal_number(41);
    let mut known = registration("M97", Some(&number));
    known.migrated_unified_address_number = next(5, 0);
    outcome(&town.register("address-administrator", known).await.unwrap());
    let later = town.register("pension", registration("P97", Some(&number))).await.unwrap();
    assert_eq!(outcome(&later), Outcome::Linked);

    let mut twice = registration("M99", None);
    twice.migrated_unified_address_number = next(1, 0);
    assert_eq!(refusal(&town, "address-administrator", twice).await, "INVALID_FIELD");
    let mut by_pension = registration("M98", None);
    by_pension.migrated_unified_address_number = next(7, 0);
    let reason = refusal(&town, "pension", by_pension).await;
    assert_eq!(reason, "ROLE_REQUIRED", "only an address administrator migrates numbers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_personal_number_keeps_the_person_and_the_history() {
    let town = Town::start();
    let (old, new, taken) = (personal_number(11), personal_number(12), personal_number(13));
    outcome(&town.register("pension", registration("A1", Some(&old))).await.unwrap());
    outcome(&town.register("pension", registration("A2", Some(&taken))).await.unwrap());
    let replace = |number: &str| v1::ReplacePersonalNumberRequest {
        request_id: String::new(),
        local_address_number: "A1".to_owned(),
        new_personal_number: number.to_owned(),
        effective_date: "2026-10-01".to_owned(),
    };
    let mut pension = town.address_service("pension");
    let conflict = pension.replace_personal_number(replace(&taken)).await.err().unwrap();
    assert_eq!(reason(&conflict), "PERSONAL_NUMBER_CONFLICT");
    let done = pension.replace_personal_number(replace(&new)).await.unwrap().into_inner();
    assert_eq!(done.outcome(), Outcome::Updated);
    // Another system that comes with the new number meets the same person, and so does one that still has the old number.
    let linked = town.register("resident-tax", registration("T1", Some(&new))).await.unwrap();
    assert_eq!(outcome(&linked), Outcome::Linked);
    let mut school = town.address_service("school-affairs");
    let refused = school.replace_personal_number(replace(&new)).await.err().unwrap();
    assert_eq!(reason(&refused), "PERSONAL_NUMBER_NOT_PERMITTED");
}

/// one-person-one-number: a mistaken change is taken back, and the number is free for its right
/// person.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistaken_change_is_taken_back_and_frees_the_number_for_its_right_person() {
    let town = Town::start();
    let (first, second, mistaken) = (personal_number(101), personal_number(102), personal_number(103));
    let replace = async |number: &str, date: &str| {
        let request = v1::ReplacePersonalNumberRequest {
            request_id: String::new(),
            local_address_number: "A1".to_owned(),
            new_personal_number: number.to_owned(),
            effective_date: date.to_owned(),
        };
        town.address_service("pension").replace_personal_number(request).await
    };
    let number_of = async |local: &str| {
        let request = v1::GetPersonRequest {
            local_address_number: local.to_owned(),
            affair: "宛名管理事務".to_owned(),
            include_personal_number: true,
            ..Default::default()
        };
        let answer = town.address_service("pension").get_person(request).await.unwrap().into_inner();
        answer.person.unwrap().personal_number
    };
    outcome(&town.register("pension", registration("A1", Some(&first))).await.unwrap());
    outcome(&town.register("address-administrator", registration("Z1", Some(&first))).await.unwrap());
    let person = unified(&town, "Z1").await;
    for number in [&second, &mistaken] {
        let done = replace(number, "2026-10-01").await.unwrap().into_inner();
        assert_eq!(done.outcome(), Outcome::Updated);
    }
    let review = town.register("pension", registration("A2", Some(&mistaken))).await.unwrap();
    assert_eq!(outcome(&review), Outcome::ReviewRequired, "its right person meets the wrong one");

    let back = replace(&second, "2026-10-02").await.unwrap().into_inner();
    assert_eq!((back.outcome(), number_of("A1").await), (Outcome::Updated, second.clone()));
    assert_eq!(replace(&second, "2026-10-02").await.unwrap().into_inner().outcome(), Outcome::Unchanged);
    assert_eq!(unified(&town, "Z1").await, person, "the unified number stays");
    let again = town.register("pension", registration("A1", Some(&second))).await.unwrap();
    assert_eq!(outcome(&again), Outcome::Unchanged);

    let right = town.register("pension", registration("A2", Some(&mistaken))).await.unwrap();
    assert_eq!(outcome(&right), Outcome::Issued, "a person of their own");
    assert_eq!(number_of("A2").await, mistaken);
    let conflict = replace(&mistaken, "2026-10-03").await.err().unwrap();
    assert_eq!(reason(&conflict), "PERSONAL_NUMBER_CONFLICT", "it is another person's now");

    // The history before the mistake is kept: no other person can have the first number.
    let known = town.register("welfare", registration("W1", Some(&first))).await.unwrap();
    assert_eq!(outcome(&known), Outcome::Linked);
    let taken = v1::ReplacePersonalNumberRequest {
        local_address_number: "A2".to_owned(),
        new_personal_number: first,
        effective_date: "2026-10-01".to_owned(),
        ..Default::default()
    };
    let refused = town.address_service("pension").replace_personal_number(taken).await.err().unwrap();
    assert_eq!(reason(&refused), "PERSONAL_NUMBER_CONFLICT");

    for wrong in ["2999-01-01", "", "2026-02-30"] {
        let refused = replace(&personal_number(104), wrong).await.err().unwrap();
        assert_eq!(reason(&refused), "INVALID_FIELD", "{wrong}");
    }
    let zeros = replace("000000000000", "2026-10-01").await.err().unwrap();
    assert_eq!(reason(&zeros), "INVALID_PERSONAL_NUMBER");
}

#[tokio::test(flavor = "multi_thread")]
async fn number_confinement_a_refusal_never_depends_on_whether_the_number_is_stored() {
    let town = Town::start();
    let stored = personal_number(21);
    outcome(&town.register("pension", registration("A1", Some(&stored))).await.unwrap());
    let unstored = personal_number(22);
    for system in ["school-affairs", "health-management", "public-health-center"] {
        let mut answers = Vec::new();
        for number in [stored.as_str(), unstored.as_str(), "123456789012", "1"] {
            let refused = town.register(system, registration("S1", Some(number))).await.err().unwrap();
            assert_eq!(reason(&refused), "PERSONAL_NUMBER_NOT_PERMITTED", "{system}");
            answers.push((refused.code(), refused.message().to_owned(), refused.details().to_vec()));
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{system} can tell numbers apart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_number_only_conversion_is_for_systems_that_may_know_the_unified_number() {
    let town = Town::start();
    outcome(&town.register("pension", registration("A1", Some(&personal_number(31)))).await.unwrap());
    for system in ["pension", "resident-tax", "public-assistance", "school-affairs", "auditor"] {
        let request = v1::ResolveNumbersRequest { local_address_numbers: vec!["A1".into()], ..Default::default() };
        let refused = town.address_service(system).resolve_numbers(request).await.err().unwrap();
        assert_eq!(reason(&refused), "ROLE_REQUIRED", "{system}");
    }
}
