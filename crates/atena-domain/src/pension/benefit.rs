//! 給付: one pension or lump sum awarded (国民年金法第15条).

use super::suspension::Suspension;
use crate::check::Check;
use crate::date::{Date, YearMonth};
use crate::violation::Violation;

/// A benefit.
#[derive(Debug, Clone, Default)]
pub struct Benefit<'a> {
    /// 基礎年金番号.
    pub basic_pension_number: &'a str,
    /// 年金コード: 4 digits, an open list.
    pub pension_code: &'a str,
    /// 年金証書番号: 基礎年金番号 and 年金コード.
    pub certificate_number: &'a str,
    /// 種類: 1 老齢基礎, 2 障害基礎, 3 遺族基礎, 4 付加, 5 寡婦, 6 死亡一時金, 7 特別障害給付金, 8 年金生活者支援給付金.
    pub kind: i32,
    /// 障害等級: 1 or 2, otherwise 0.
    pub disability_grade: i32,
    /// 裁定年月日.
    pub award_date: &'a str,
    /// 支給開始年月.
    pub payment_start_month: &'a str,
    /// 年金額.
    pub annual_amount_yen: i64,
    /// 支給停止.
    pub suspension: Option<Suspension<'a>>,
    /// 備考.
    pub remarks: &'a str,
}

/// Kinds that have a disability grade.
const DISABILITY: i32 = 2;
const SPECIAL_DISABILITY: i32 = 7;
const DEATH_LUMP_SUM: i32 = 6;

// === impl Benefit ===

impl Benefit<'_> {
    /// Everything that is wrong with the record. `today` is the day in Japan: what happened can't
    /// lie after it.
    #[must_use]
    pub fn violations(&self, today: Date) -> Vec<Violation> {
        let mut check = Check::default();
        check.basic_pension_number(self.basic_pension_number);
        check.holds(!self.pension_code.is_empty(), "pension_code", "is required");
        check.digits("pension_code", self.pension_code, 4, "must be 4 digits");
        check.digits("certificate_number", self.certificate_number, 14, "must be 14 digits without hyphen");
        if self.certificate_number.len() == 14 {
            check.holds(
                self.certificate_number.starts_with(self.basic_pension_number)
                    && self.certificate_number.ends_with(self.pension_code),
                "certificate_number",
                "must be basic_pension_number followed by pension_code",
            );
        }
        check.required_code("kind", self.kind, 8);
        let disability = matches!(self.kind, DISABILITY | SPECIAL_DISABILITY);
        let grade_fits = if disability { matches!(self.disability_grade, 1 | 2) } else { self.disability_grade == 0 };
        check.holds(grade_fits, "disability_grade", "must be 1 or 2 for a disability benefit and 0 for any other");
        check.required_past_date("award_date", self.award_date, today);
        let start = check.required_month("payment_start_month", self.payment_start_month);
        check.amount("annual_amount_yen", self.annual_amount_yen);
        if let Some(suspension) = self.suspension {
            check.holds(self.kind != DEATH_LUMP_SUM, "suspension", "a lump sum can't be suspended");
            suspension.check(&mut check);
            check.in_order(
                start,
                YearMonth::parse(suspension.from).ok(),
                "suspension.from",
                "must not be before payment_start_month",
            );
        }
        check.remarks(self.remarks);
        check.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 11, 26);

    fn good() -> Benefit<'static> {
        Benefit {
            basic_pension_number: "1234567890",
            pension_code: "5350",
            certificate_number: "12345678905350",
            kind: DISABILITY,
            disability_grade: 2,
            award_date: "2020-06-01",
            payment_start_month: "2020-07",
            annual_amount_yen: 831_700,
            ..Benefit::default()
        }
    }

    fn fields(record: &Benefit<'_>) -> Vec<String> {
        record.violations(TODAY).into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_good_benefit_has_no_violation() {
        assert!(good().violations(TODAY).is_empty());
    }

    #[test]
    fn an_award_lies_not_ahead_but_its_payment_may() {
        assert_eq!(fields(&Benefit { award_date: "2026-11-27", ..good() }), ["award_date"]);
        assert!(Benefit { payment_start_month: "2027-02", ..good() }.violations(TODAY).is_empty());
    }

    #[test]
    fn a_grade_belongs_to_disability_benefits_alone() {
        assert_eq!(fields(&Benefit { disability_grade: 0, ..good() }), ["disability_grade"]);
        assert_eq!(fields(&Benefit { kind: 1, ..good() }), ["disability_grade"]);
    }

    #[test]
    fn the_certificate_number_is_made_of_the_two_others() {
        assert_eq!(fields(&Benefit { certificate_number: "12345678901150", ..good() }), ["certificate_number"]);
        assert!(Benefit { certificate_number: "", ..good() }.violations(TODAY).is_empty());
    }

    #[test]
    fn a_suspension_has_a_reason_and_a_beginning_in_the_time_of_payment() {
        let suspension = Some(Suspension { reason: 0, from: "2019-01", to: "2018-01" });
        assert_eq!(
            fields(&Benefit { suspension, ..good() }),
            ["suspension.reason", "suspension.to", "suspension.from"]
        );
    }
}
