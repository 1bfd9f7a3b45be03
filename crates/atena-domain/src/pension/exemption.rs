//! 免除: one application for exemption or deferment (国民年金法第88条の2 to 第90条の3, 施行規則第77条).

use crate::check::Check;
use crate::date::{Date, YearMonth};
use crate::violation::Violation;

/// An application and its decision.
#[derive(Debug, Clone, Default)]
pub struct Exemption<'a> {
    /// 基礎年金番号.
    pub basic_pension_number: &'a str,
    /// 種類: 1 全額, 2 4分の3, 3 半額, 4 4分の1, 5 納付猶予, 6 学生納付特例, 7 法定, 8 産前産後, 9 育児.
    pub kind: i32,
    /// 申請年月日.
    pub application_date: &'a str,
    /// 決定: 1 審査中, 2 承認, 3 却下, 4 取下げ.
    pub decision: i32,
    /// 決定年月日.
    pub decision_date: &'a str,
    /// 承認期間(開始).
    pub approved_from: &'a str,
    /// 承認期間(終了).
    pub approved_to: &'a str,
    /// 多胎妊娠.
    pub multiple_birth: bool,
    /// 出産(予定)日.
    pub birth_or_due_date: &'a str,
    /// 備考.
    pub remarks: &'a str,
}

/// Codes of `kind`.
const DEFERMENT: i32 = 5;
const STUDENT: i32 = 6;
const STATUTORY: i32 = 7;
const MATERNITY: i32 = 8;
const CHILDCARE: i32 = 9;

/// Codes of `decision`.
const PENDING: i32 = 1;
const APPROVED: i32 = 2;
const REJECTED: i32 = 3;

/// First month in which 育児期間の免除 exists.
const CHILDCARE_FROM: (i16, i8) = (2026, 10);

/// Months of a 産前産後 period.
const MATERNITY_MONTHS: i32 = 4;
const MATERNITY_MONTHS_MULTIPLE: i32 = 6;

// === impl Exemption ===

impl Exemption<'_> {
    /// Everything that is wrong with the record. `today` is the day in Japan: what happened can't
    /// lie after it.
    #[must_use]
    pub fn violations(&self, today: Date) -> Vec<Violation> {
        let mut check = Check::default();
        check.basic_pension_number(self.basic_pension_number);
        check.required_code("kind", self.kind, 9);
        check.required_code("decision", self.decision, 4);
        let applied = check.past_date("application_date", self.application_date, today);
        let decided = check.past_date("decision_date", self.decision_date, today);
        check.in_order(applied, decided, "decision_date", "must not be before application_date");
        if self.kind != STATUTORY {
            check.holds(!self.application_date.is_empty(), "application_date", "is required, except for 法定免除");
        }
        if matches!(self.decision, APPROVED | REJECTED) {
            check.holds(!self.decision_date.is_empty(), "decision_date", "is required once decided");
        }
        if self.decision == PENDING {
            check.holds(self.decision_date.is_empty(), "decision_date", "must be empty while pending");
        }
        self.check_period(&mut check);
        self.check_birth(&mut check);
        check.remarks(self.remarks);
        check.done()
    }

    fn check_period(&self, check: &mut Check) {
        let from = check.month("approved_from", self.approved_from);
        let to = check.month("approved_to", self.approved_to);
        if self.decision != APPROVED {
            let none = self.approved_from.is_empty() && self.approved_to.is_empty();
            check.holds(none, "approved_from", "a period is only for an approved application");
            return;
        }
        check.holds(!self.approved_from.is_empty(), "approved_from", "is required when approved");
        let open_ended = self.kind == STATUTORY;
        check.holds(
            open_ended || !self.approved_to.is_empty(),
            "approved_to",
            "is required when approved, except for 法定免除",
        );
        check.in_order(from, to, "approved_to", "must not be before approved_from");
        let (Some(from), Some(to)) = (from, to) else {
            return;
        };
        let field = "approved_to";
        match self.kind {
            1..=DEFERMENT => {
                check.holds(from.year_from(7) == to.year_from(7), field, "the period must lie within one July to June");
            }
            STUDENT => {
                check.holds(
                    from.fiscal_year() == to.fiscal_year(),
                    field,
                    "the period must lie within one April to March",
                );
            }
            MATERNITY => {
                let months = if self.multiple_birth { MATERNITY_MONTHS_MULTIPLE } else { MATERNITY_MONTHS };
                check.holds(
                    to.months_since(from) < months,
                    field,
                    "a 産前産後 period has at most 4 months, 6 for a multiple birth",
                );
            }
            CHILDCARE => {
                let (year, month) = CHILDCARE_FROM;
                let begins = YearMonth::new(year, month).ok();
                check.in_order(begins, Some(from), "approved_from", "育児期間の免除 begins in 2026-10");
            }
            _ => {}
        }
    }

    fn check_birth(&self, check: &mut Check) {
        check.date("birth_or_due_date", self.birth_or_due_date);
        let maternity = self.kind == MATERNITY;
        check.holds(
            maternity != self.birth_or_due_date.is_empty(),
            "birth_or_due_date",
            "is required for 産前産後 and for nothing else",
        );
        check.holds(maternity || !self.multiple_birth, "multiple_birth", "is for 産前産後 only");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 11, 26);

    fn good() -> Exemption<'static> {
        Exemption {
            basic_pension_number: "1234567890",
            kind: 1,
            application_date: "2025-07-10",
            decision: APPROVED,
            decision_date: "2025-09-01",
            approved_from: "2025-07",
            approved_to: "2026-06",
            ..Exemption::default()
        }
    }

    fn fields(record: &Exemption<'_>) -> Vec<String> {
        record.violations(TODAY).into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn an_exemption_year_runs_from_july_to_june() {
        assert!(good().violations(TODAY).is_empty());
        assert_eq!(fields(&Exemption { approved_to: "2026-07", ..good() }), ["approved_to"]);
    }

    #[test]
    fn a_students_year_runs_from_april_to_march() {
        let student = Exemption { kind: STUDENT, approved_from: "2025-04", approved_to: "2026-03", ..good() };
        assert!(student.violations(TODAY).is_empty());
        assert_eq!(fields(&Exemption { approved_to: "2026-04", ..student }), ["approved_to"]);
    }

    #[test]
    fn a_maternity_period_has_four_months_or_six_for_twins() {
        let single = Exemption {
            kind: MATERNITY,
            birth_or_due_date: "2025-09-20",
            approved_from: "2025-08",
            approved_to: "2025-11",
            ..good()
        };
        assert!(single.violations(TODAY).is_empty());
        let long = Exemption { approved_to: "2025-12", ..single.clone() };
        assert_eq!(fields(&long), ["approved_to"]);
        assert!(Exemption { multiple_birth: true, ..long }.violations(TODAY).is_empty());
        assert_eq!(fields(&Exemption { birth_or_due_date: "", ..single }), ["birth_or_due_date"]);
    }

    #[test]
    fn a_statutory_exemption_may_be_open_and_needs_no_application() {
        let statutory = Exemption { kind: STATUTORY, application_date: "", approved_to: "", ..good() };
        assert!(statutory.violations(TODAY).is_empty());
    }

    #[test]
    fn an_application_and_its_decision_lie_not_ahead_but_a_period_and_a_birth_may() {
        let record = Exemption { application_date: "2026-11-27", decision_date: "2026-11-28", ..good() };
        assert_eq!(fields(&record), ["application_date", "decision_date"]);
        let record = Exemption {
            kind: MATERNITY,
            birth_or_due_date: "2027-03-01",
            approved_from: "2027-02",
            approved_to: "2027-05",
            ..good()
        };
        assert!(record.violations(TODAY).is_empty());
    }

    #[test]
    fn a_period_goes_with_approval_and_a_decision_follows_its_application() {
        assert_eq!(fields(&Exemption { decision: REJECTED, ..good() }), ["approved_from"]);
        assert_eq!(fields(&Exemption { decision_date: "2025-07-09", ..good() }), ["decision_date"]);
    }
}
