//! Records made of anything at all: judged without panic, and no violation repeats a value.

use atena_domain::Violation;
use atena_domain::pension::{
    Benefit, DatedReason, Exemption, Payment, PaymentMonth, Qualification, Suspension, WelfarePension,
};
use proptest::prelude::*;

/// Stands in every text; no rule's text and no field's name contains it.
const MARK: &str = "\u{10DE92}";

/// Texts near the forms that the rules ask for, and far from them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[0-9]{1,15}",
        "[12][0-9]{3}-[01][0-9]",
        "[12][0-9]{3}-[01][0-9]-[0-3][0-9]",
        ".{0,250}",
    ]
}

fn marked() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("{text}{MARK}"))
}

fn code() -> impl Strategy<Value = i32> {
    prop_oneof![-1..11i32, any::<i32>()]
}

/// Every pension record that these texts and codes make.
fn judge(texts: &[String], codes: &[i32], amount_yen: i64, flag: bool) -> Vec<Violation> {
    let text = |index: usize| texts[index].as_str();
    let event = |index: usize| flag.then(|| DatedReason { date: text(index), reason: codes[index] });
    let suspension = flag.then(|| Suspension { reason: codes[2], from: text(4), to: text(5) });
    let mut found = Qualification {
        basic_pension_number: text(0),
        insured_type: codes[0],
        acquisition: event(1),
        type_change: event(2),
        loss: event(3),
        notification_date: text(4),
        pension_fund_joined_date: text(5),
        remarks: text(6),
    }
    .violations(jiff::civil::date(2026, 11, 26));
    let months = (0..texts.len()).map(|index| PaymentMonth { month: text(index), status: text(6 - index), amount_yen });
    found.extend(
        Payment {
            basic_pension_number: text(0),
            fiscal_year: codes[0],
            months: months.collect(),
            additional_premium_start_date: text(1),
            additional_premium_end_date: text(2),
            remarks: text(6),
        }
        .violations(jiff::civil::date(2026, 11, 26)),
    );
    found.extend(
        Exemption {
            basic_pension_number: text(0),
            kind: codes[0],
            application_date: text(1),
            decision: codes[1],
            decision_date: text(2),
            approved_from: text(3),
            approved_to: text(4),
            multiple_birth: flag,
            birth_or_due_date: text(5),
            remarks: text(6),
        }
        .violations(jiff::civil::date(2026, 11, 26)),
    );
    found.extend(
        Benefit {
            basic_pension_number: text(0),
            pension_code: text(1),
            certificate_number: text(2),
            kind: codes[0],
            disability_grade: codes[1],
            award_date: text(3),
            payment_start_month: text(4),
            annual_amount_yen: amount_yen,
            suspension,
            remarks: text(6),
        }
        .violations(jiff::civil::date(2026, 11, 26)),
    );
    found.extend(
        WelfarePension {
            certificate_number: text(0),
            status: codes[0],
            award_date: text(1),
            payment_start_month: text(2),
            annual_amount_yen: amount_yen,
            suspension,
            income_report_date: text(3),
            remarks: text(6),
        }
        .violations(jiff::civil::date(2026, 11, 26)),
    );
    found
}

proptest! {
    #[test]
    fn any_record_is_judged_without_panic(
        texts in proptest::collection::vec(text(), 7),
        codes in proptest::collection::vec(code(), 4),
        amount_yen in any::<i64>(),
        flag in any::<bool>(),
    ) {
        let _ = judge(&texts, &codes, amount_yen, flag);
    }

    #[test]
    fn no_violation_repeats_a_value(
        texts in proptest::collection::vec(marked(), 7),
        codes in proptest::collection::vec(code(), 4),
        flag in any::<bool>(),
    ) {
        let found = judge(&texts, &codes, -1, flag);
        prop_assert!(!found.is_empty());
        for violation in found {
            prop_assert!(!violation.field.contains(MARK) && !violation.text.contains(MARK), "{}", violation.field);
        }
    }
}
