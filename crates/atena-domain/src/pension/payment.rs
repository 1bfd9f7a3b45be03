//! 納付: the payment record of one fiscal year (年度, April to March).

use super::symbol::PaymentSymbol;
use crate::check::{Check, Path};
use crate::date::Date;
use crate::violation::Violation;

/// A year of payments.
#[derive(Debug, Clone, Default)]
pub struct Payment<'a> {
    /// 基礎年金番号.
    pub basic_pension_number: &'a str,
    /// 年度.
    pub fiscal_year: i32,
    /// The months, in order.
    pub months: Vec<PaymentMonth<'a>>,
    /// 付加保険料納付申出年月日.
    pub additional_premium_start_date: &'a str,
    /// 付加保険料納付辞退年月日.
    pub additional_premium_end_date: &'a str,
    /// 備考.
    pub remarks: &'a str,
}

/// One month.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaymentMonth<'a> {
    /// `YYYY-MM`.
    pub month: &'a str,
    /// 月別納付記号.
    pub status: &'a str,
    /// 納付額 in yen.
    pub amount_yen: i64,
}

/// The scheme began in fiscal year 1961.
const FISCAL_YEAR_MIN: i32 = 1961;

// === impl Payment ===

impl Payment<'_> {
    /// Months of a year.
    pub const MONTHS_MAX: usize = 12;

    /// Everything that is wrong with the record. `today` is the day in Japan: what happened can't
    /// lie after it.
    #[must_use]
    pub fn violations(&self, today: Date) -> Vec<Violation> {
        let mut check = Check::default();
        check.basic_pension_number(self.basic_pension_number);
        check.holds((FISCAL_YEAR_MIN..=9999).contains(&self.fiscal_year), "fiscal_year", "must be 1961 or later");
        check.holds(!self.months.is_empty(), "months", "is required: at least one month");
        check.holds(self.months.len() <= Self::MONTHS_MAX, "months", "a year has at most 12 months");
        let mut before = None;
        // A longer list is wrong as a whole; its surplus is not looked at one by one.
        for (index, entry) in self.months.iter().take(Self::MONTHS_MAX).enumerate() {
            let path = Path::In("months", index, "month");
            if let Some(month) = check.required_month(path, entry.month) {
                check.holds(
                    i32::from(month.fiscal_year()) == self.fiscal_year,
                    path,
                    "must lie in the fiscal year (April to March)",
                );
                check.holds(
                    before.is_none_or(|before| before < month),
                    path,
                    "must follow the month before it, each month once",
                );
                before = Some(month);
            }
            entry.check(&mut check, index);
        }
        let start = check.past_date("additional_premium_start_date", self.additional_premium_start_date, today);
        let end = check.past_date("additional_premium_end_date", self.additional_premium_end_date, today);
        let field = "additional_premium_end_date";
        check.in_order(start, end, field, "must not be before additional_premium_start_date");
        check.holds(
            self.additional_premium_end_date.is_empty() || !self.additional_premium_start_date.is_empty(),
            field,
            "needs additional_premium_start_date",
        );
        check.remarks(self.remarks);
        check.done()
    }
}

// === impl PaymentMonth ===

impl PaymentMonth<'_> {
    fn check(self, check: &mut Check, index: usize) {
        let amount = Path::In("months", index, "amount_yen");
        check.amount(amount, self.amount_yen);
        match PaymentSymbol::parse(self.status) {
            Some(symbol) if self.amount_yen > 0 => {
                check.holds(symbol.is_paid(), amount, "must be 0 for a month that was not paid");
            }
            Some(_) => {}
            None => check.wrong(
                Path::In("months", index, "status"),
                "must be one symbol of 国民年金納付記録の見方 (kana in full width)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 11, 26);

    fn good() -> Payment<'static> {
        Payment {
            basic_pension_number: "1234567890",
            fiscal_year: 2025,
            months: vec![
                PaymentMonth { month: "2025-04", status: "A", amount_yen: 17_510 },
                PaymentMonth { month: "2026-03", status: "サ", amount_yen: 0 },
            ],
            ..Payment::default()
        }
    }

    fn fields(record: &Payment<'_>) -> Vec<String> {
        record.violations(TODAY).into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_good_year_has_no_violation() {
        assert!(good().violations(TODAY).is_empty());
    }

    #[test]
    fn months_outside_the_year_double_or_out_of_order_are_refused() {
        let month = |month| PaymentMonth { month, status: "*", amount_yen: 0 };
        let record =
            Payment { months: vec![month("2025-03"), month("2025-05"), month("2025-05"), month("2025-13")], ..good() };
        assert_eq!(fields(&record), ["months[0].month", "months[2].month", "months[3].month"]);
    }

    #[test]
    fn a_month_may_lie_ahead_and_a_request_may_not() {
        let months = vec![PaymentMonth { month: "2028-03", status: "P", amount_yen: 17_000 }];
        let prepaid = Payment { fiscal_year: 2027, months, ..good() };
        assert!(prepaid.violations(TODAY).is_empty(), "前納");
        let (start, end) = ("2026-11-27", "2026-11-28");
        let record = Payment { additional_premium_start_date: start, additional_premium_end_date: end, ..prepaid };
        assert_eq!(fields(&record), ["additional_premium_start_date", "additional_premium_end_date"]);
    }

    #[test]
    fn an_unpaid_month_has_no_amount_and_no_amount_is_negative() {
        let month = |status, amount_yen| PaymentMonth { month: "2025-04", status, amount_yen };
        for (status, amount, field) in
            [("*", 100, "months[0].amount_yen"), ("A", -1, "months[0].amount_yen"), ("?", 0, "months[0].status")]
        {
            let record = Payment { months: vec![month(status, amount)], ..good() };
            assert_eq!(fields(&record), [field]);
        }
    }
}
