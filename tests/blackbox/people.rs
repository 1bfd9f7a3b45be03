//! People and records for the tests, all made up.

use atena_proto::v1;

/// The check digit of personal numbers (総務省令第85号第5条), written anew for the tests.
fn check_digit(body: &str) -> u32 {
    let weighted = |(position, digit): (usize, char)| {
        digit.to_digit(10).unwrap() * u32::try_from(if position < 6 { position + 2 } else { position - 4 }).unwrap()
    };
    match body.chars().rev().enumerate().map(weighted).sum::<u32>() % 11 {
        0 | 1 => 0,
        remainder => 11 - remainder,
    }
}

/// A generated personal number.
pub(crate) fn personal_number(body: u64) -> String {
    let body = format!("{body:011}");
    format!("{body}{}", check_digit(&body))
}

/// A registration with a personal number, or of a new person without one.
pub(crate) fn registration(local: &str, personal_number: Option<&str>) -> v1::PersonRegistration {
    v1::PersonRegistration {
        local_address_number: local.to_owned(),
        person: Some(v1::Person {
            personal_number: personal_number.unwrap_or_default().to_owned(),
            name: Some(v1::PersonName { full_name: "町田　太郎".to_owned(), ..Default::default() }),
            sex: v1::Sex::Male.into(),
            birth_date: Some(v1::UncertainDate { date: "1985-04-01".to_owned(), ..Default::default() }),
            ..Default::default()
        }),
        new_without_personal_number: personal_number.is_none(),
        migrated_unified_address_number: String::new(),
    }
}

/// A person with every field set.
pub(crate) fn whole_person(personal_number: &str) -> v1::Person {
    let text = |text: &str| text.to_owned();
    v1::Person {
        personal_number: text(personal_number),
        name: Some(v1::PersonName {
            full_name: text("町田　太郎"),
            family_name: text("町田"),
            given_name: text("太郎"),
            full_name_kana: text("マチダ　タロウ"),
            roman_name: text("MACHIDA TARO"),
            foreign_kanji_name: text("町田太郎"),
        }),
        alias: Some(v1::Alias {
            alias: text("町田　次郎"), alias_kana: text("マチダ　ジロウ"), verified: true
        }),
        former_surname: Some(v1::FormerSurname {
            former_surname: text("旧町"),
            former_surname_kana: text("キュウマチ"),
        }),
        sex: v1::Sex::Male.into(),
        birth_date: Some(v1::UncertainDate { date: String::new(), unknown: true, text: text("昭和60年頃") }),
        address: Some(v1::Address {
            municipality_code: text("132098"),
            town_code: text("1234567"),
            prefecture: text("東京都"),
            city: text("町田市"),
            town: text("森野二丁目"),
            block: text("２番２２号"),
            building: text("市庁舎"),
            postal_code: text("1948520"),
            country_code: text("840"),
            country_name: text("アメリカ合衆国"),
            overseas_address: text("1 Example Street"),
        }),
        protected: false,
        restricted_to_owner: true,
        resident_status: v1::ResidentStatus::Resident.into(),
    }
}

/// A person to register whose status is this one (住民状態).
pub(crate) fn registration_with(
    local: &str,
    personal_number: Option<&str>,
    status: v1::ResidentStatus,
) -> v1::PersonRegistration {
    let mut registration = registration(local, personal_number);
    registration.person.as_mut().unwrap().resident_status = status.into();
    registration
}

/// A record of the pension system about `local`.
pub(crate) fn record(local: &str, key: &str, revision: u64, body: v1::pushed_record::Body) -> v1::PushedRecord {
    v1::PushedRecord { local_address_number: local.to_owned(), record_key: key.to_owned(), revision, body: Some(body) }
}

/// A qualification of the first category.
pub(crate) fn qualification() -> v1::Qualification {
    v1::Qualification {
        basic_pension_number: "1234567890".to_owned(),
        insured_type: v1::InsuredType::Category1.into(),
        acquisition: Some(v1::Acquisition {
            date: "2005-04-01".to_owned(),
            reason: v1::AcquisitionReason::Age20.into(),
        }),
        notification_date: "2005-04-10".to_owned(),
        ..Default::default()
    }
}

/// One record of each dataset with every field set.
pub(crate) fn one_of_each(local: &str) -> Vec<v1::PushedRecord> {
    use v1::pushed_record::Body;
    let text = |text: &str| text.to_owned();
    let suspension = || {
        Some(v1::Suspension { reason: v1::SuspensionReason::Income.into(), from: text("2025-01"), to: text("2025-12") })
    };
    let bodies = [
        (
            "Q-1",
            Body::Qualification(v1::Qualification {
                type_change: Some(v1::TypeChange {
                    date: text("2010-04-01"),
                    reason: v1::TypeChangeReason::BecameDependentSpouse.into(),
                }),
                loss: Some(v1::Loss { date: text("2020-04-01"), reason: v1::LossReason::ToCategory2.into() }),
                pension_fund_joined_date: text("2006-04-01"),
                remarks: text("internal note"),
                ..qualification()
            }),
        ),
        (
            "P-1",
            Body::Payment(v1::Payment {
                basic_pension_number: text("1234567890"),
                fiscal_year: 2025,
                months: vec![v1::PaymentMonth { month: text("2025-04"), status: text("B"), amount_yen: 17_910 }],
                additional_premium_start_date: text("2025-04-01"),
                additional_premium_end_date: text("2025-10-01"),
                remarks: text("internal note"),
            }),
        ),
        (
            "E-1",
            Body::Exemption(v1::Exemption {
                basic_pension_number: text("1234567890"),
                kind: v1::ExemptionKind::Maternity.into(),
                application_date: text("2025-07-10"),
                decision: v1::ExemptionDecision::Approved.into(),
                decision_date: text("2025-09-01"),
                approved_from: text("2025-05"),
                approved_to: text("2025-10"),
                multiple_birth: true,
                birth_or_due_date: text("2025-08-10"),
                remarks: text("internal note"),
            }),
        ),
        (
            "B-1",
            Body::Benefit(v1::Benefit {
                basic_pension_number: text("1234567890"),
                pension_code: text("5350"),
                certificate_number: text("12345678905350"),
                kind: v1::BenefitKind::Disability.into(),
                disability_grade: 2,
                award_date: text("2020-06-01"),
                payment_start_month: text("2020-07"),
                annual_amount_yen: 831_700,
                suspension: suspension(),
                unpaid_benefit_claimed: true,
                remarks: text("internal note"),
            }),
        ),
        (
            "W-1",
            Body::WelfarePension(v1::WelfarePension {
                certificate_number: text("A1"),
                status: v1::WelfarePensionStatus::PartlySuspended.into(),
                award_date: text("1986-04-01"),
                payment_start_month: text("1986-05"),
                annual_amount_yen: 400_000,
                suspension: suspension(),
                income_report_date: text("2026-08-01"),
                remarks: text("internal note"),
            }),
        ),
    ];
    bodies.into_iter().map(|(key, body)| record(local, key, 1, body)).collect()
}
