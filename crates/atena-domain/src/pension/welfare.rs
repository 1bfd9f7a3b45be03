//! 福祉年金: 老齢福祉年金 (国民年金法(昭和60年改正前)第79条の2).

use super::suspension::Suspension;
use crate::check::Check;
use crate::date::Date;
use crate::violation::Violation;

/// A welfare pension.
#[derive(Debug, Clone, Default)]
pub struct WelfarePension<'a> {
    /// 証書記号番号.
    pub certificate_number: &'a str,
    /// 支給区分: 1 全部支給, 2 一部支給停止, 3 全部支給停止.
    pub status: i32,
    /// 裁定年月日.
    pub award_date: &'a str,
    /// 支給開始年月.
    pub payment_start_month: &'a str,
    /// 年金額.
    pub annual_amount_yen: i64,
    /// 支給停止.
    pub suspension: Option<Suspension<'a>>,
    /// 所得状況届提出年月日.
    pub income_report_date: &'a str,
    /// 備考.
    pub remarks: &'a str,
}

/// Codes of `status`.
const FULL: i32 = 1;
const WHOLLY_SUSPENDED: i32 = 3;

// === impl WelfarePension ===

impl WelfarePension<'_> {
    /// Everything that is wrong with the record. `today` is the day in Japan: what happened can't
    /// lie after it.
    #[must_use]
    pub fn violations(&self, today: Date) -> Vec<Violation> {
        let mut check = Check::default();
        let number = self.certificate_number;
        check.holds(
            (1..=14).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "certificate_number",
            "is required: 1 to 14 letters or digits",
        );
        check.required_code("status", self.status, 3);
        check.required_past_date("award_date", self.award_date, today);
        check.required_month("payment_start_month", self.payment_start_month);
        check.amount("annual_amount_yen", self.annual_amount_yen);
        if self.status == WHOLLY_SUSPENDED {
            check.holds(self.annual_amount_yen <= 0, "annual_amount_yen", "must be 0 when wholly suspended");
        }
        match self.suspension {
            Some(suspension) => {
                check.holds(self.status != FULL, "suspension", "must be absent when paid in full");
                suspension.check(&mut check);
            }
            None => check.holds(self.status <= FULL, "suspension", "is required when partly or wholly suspended"),
        }
        check.past_date("income_report_date", self.income_report_date, today);
        check.remarks(self.remarks);
        check.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 11, 26);

    fn good() -> WelfarePension<'static> {
        WelfarePension {
            certificate_number: "A123",
            status: FULL,
            award_date: "1986-04-01",
            payment_start_month: "1986-04",
            annual_amount_yen: 405_500,
            ..WelfarePension::default()
        }
    }

    #[test]
    fn an_award_and_a_report_lie_not_ahead() {
        let record = WelfarePension { award_date: "2026-11-27", income_report_date: "2026-11-27", ..good() };
        let fields: Vec<_> = record.violations(TODAY).into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["award_date", "income_report_date"]);
    }

    #[test]
    fn a_suspension_goes_with_its_status() {
        assert!(good().violations(TODAY).is_empty());
        let suspension = Some(Suspension { reason: 1, from: "2025-08", to: "" });
        assert_eq!(WelfarePension { suspension, ..good() }.violations(TODAY).len(), 1);
        assert_eq!(WelfarePension { status: 2, ..good() }.violations(TODAY).len(), 1);
        assert_eq!(
            WelfarePension { status: WHOLLY_SUSPENDED, suspension, ..good() }.violations(TODAY)[0].field,
            "annual_amount_yen"
        );
    }
}
