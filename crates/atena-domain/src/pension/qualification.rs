//! 資格: one period of insurance (国民年金法第7条 to 第9条, 附則第5条).

use crate::check::{Check, Path};
use crate::date::Date;
use crate::violation::Violation;

/// A period of insurance.
#[derive(Debug, Clone, Default)]
pub struct Qualification<'a> {
    /// 基礎年金番号.
    pub basic_pension_number: &'a str,
    /// 被保険者種別: 1 第1号, 2 第2号, 3 第3号, 4 任意.
    pub insured_type: i32,
    /// 資格取得; reasons 1 to 5.
    pub acquisition: Option<DatedReason<'a>>,
    /// 種別変更; reasons 1 to 5.
    pub type_change: Option<DatedReason<'a>>,
    /// 資格喪失; reasons 1 to 8.
    pub loss: Option<DatedReason<'a>>,
    /// 届出年月日.
    pub notification_date: &'a str,
    /// 国民年金基金加入年月日.
    pub pension_fund_joined_date: &'a str,
    /// 備考.
    pub remarks: &'a str,
}

/// An event with its date and the code of its reason.
#[derive(Debug, Clone, Copy, Default)]
pub struct DatedReason<'a> {
    /// `YYYY-MM-DD`.
    pub date: &'a str,
    /// Code of the reason.
    pub reason: i32,
}

/// Codes that the rules speak of.
const VOLUNTARY: i32 = 4;
const ACQUIRED_VOLUNTARILY: i32 = 5;
const LOST_BY_DEATH: i32 = 1;
const LOST_TO_CATEGORY_2: i32 = 3;
const LOST_TO_CATEGORY_3: i32 = 4;
const LOST_AT_65: i32 = 7;
const LOST_AT_480_MONTHS: i32 = 8;
const LEFT_VOLUNTARILY: i32 = 6;

// === impl Qualification ===

impl Qualification<'_> {
    /// Everything that is wrong with the record. `today` is the day in Japan: what happened can't
    /// lie after it.
    #[must_use]
    pub fn violations(&self, today: Date) -> Vec<Violation> {
        let mut check = Check::default();
        check.basic_pension_number(self.basic_pension_number);
        check.required_code("insured_type", self.insured_type, 4);
        check.holds(self.acquisition.is_some(), "acquisition", "is required");
        let acquisition = self.acquisition.and_then(|event| event.check(&mut check, "acquisition", 5));
        let type_change = self.type_change.and_then(|event| event.check(&mut check, "type_change", 5));
        let loss = self.loss.and_then(|event| event.check(&mut check, "loss", 8));
        check.until(acquisition, today, "acquisition.date", "must not be after today (in Japan)");
        check.until(type_change, today, "type_change.date", "must not be after today (in Japan)");
        self.check_loss_date(&mut check, loss, today);
        check.in_order(acquisition, loss, "loss.date", "must not be before acquisition.date");
        check.in_order(acquisition, type_change, "type_change.date", "must not be before acquisition.date");
        check.in_order(type_change, loss, "type_change.date", "must not be after loss.date");

        let reason = |event: Option<DatedReason<'_>>| event.map_or(0, |event| event.reason);
        let voluntary = self.insured_type == VOLUNTARY;
        if reason(self.acquisition) == ACQUIRED_VOLUNTARILY {
            check.holds(voluntary, "acquisition.reason", "voluntary acquisition is for insured type 4 (任意加入)");
        }
        if matches!(reason(self.loss), LOST_AT_65 | LOST_AT_480_MONTHS | LEFT_VOLUNTARILY) {
            check.holds(voluntary, "loss.reason", "this reason is for insured type 4 (任意加入)");
        }
        let notified = check.past_date("notification_date", self.notification_date, today);
        check.in_order(acquisition, notified, "notification_date", "must not be before acquisition.date");
        check.past_date("pension_fund_joined_date", self.pension_fund_joined_date, today);
        check.remarks(self.remarks);
        check.done()
    }

    /// A loss that is known beforehand may lie ahead. After a death the loss is the next day
    /// (国民年金法第9条).
    fn check_loss_date(&self, check: &mut Check, loss: Option<Date>, today: Date) {
        let field = "loss.date";
        match self.loss.map_or(0, |event| event.reason) {
            LOST_BY_DEATH => {
                let last = today.tomorrow().unwrap_or(today);
                check.until(loss, last, field, "must not be after tomorrow (in Japan): the day after the death");
            }
            LOST_TO_CATEGORY_2 | LOST_TO_CATEGORY_3 => {
                check.until(loss, today, field, "must not be after today (in Japan)");
            }
            _ => {}
        }
    }
}

// === impl DatedReason ===

impl DatedReason<'_> {
    fn check(self, check: &mut Check, path: &str, last_reason: i32) -> Option<Date> {
        check.required_code(Path::Of(path, "reason"), self.reason, last_reason);
        check.required_date(Path::Of(path, "date"), self.date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 11, 26);

    fn good() -> Qualification<'static> {
        Qualification {
            basic_pension_number: "1234567890",
            insured_type: 1,
            acquisition: Some(DatedReason { date: "2005-04-01", reason: 1 }),
            ..Qualification::default()
        }
    }

    fn fields(record: &Qualification<'_>) -> Vec<String> {
        record.violations(TODAY).into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_good_record_has_no_violation() {
        assert!(good().violations(TODAY).is_empty());
    }

    #[test]
    fn every_violation_is_told_at_once() {
        let record = Qualification {
            basic_pension_number: "12-34",
            insured_type: 9,
            acquisition: Some(DatedReason { date: "2005-02-30", reason: 0 }),
            loss: Some(DatedReason { date: "", reason: 99 }),
            notification_date: "yesterday",
            ..Qualification::default()
        };
        assert_eq!(
            fields(&record),
            [
                "basic_pension_number",
                "insured_type",
                "acquisition.reason",
                "acquisition.date",
                "loss.reason",
                "loss.date",
                "notification_date"
            ]
        );
    }

    #[test]
    fn a_loss_before_the_acquisition_is_refused() {
        let record = Qualification { loss: Some(DatedReason { date: "2004-04-01", reason: 1 }), ..good() };
        assert_eq!(fields(&record), ["loss.date"]);
    }

    #[test]
    fn reasons_of_voluntary_insurance_need_the_voluntary_type() {
        let record = Qualification { loss: Some(DatedReason { date: "2015-04-01", reason: 7 }), ..good() };
        assert_eq!(fields(&record), ["loss.reason"]);
    }

    #[test]
    fn what_happened_lies_not_ahead_and_what_is_known_beforehand_may() {
        let loss = |date, reason| Qualification { loss: Some(DatedReason { date, reason }), ..good() };
        assert!(loss("2026-11-27", LOST_BY_DEATH).violations(TODAY).is_empty(), "the day after a death today");
        for (date, reason) in [("2026-11-28", LOST_BY_DEATH), ("2026-11-27", 3), ("2026-11-27", 4)] {
            assert_eq!(fields(&loss(date, reason)), ["loss.date"], "{reason}");
        }
        for reason in [2, 5] {
            assert!(loss("2030-01-01", reason).violations(TODAY).is_empty(), "{reason}");
        }
        let ahead = Some(DatedReason { date: "2026-11-27", reason: 1 });
        let record = Qualification {
            acquisition: ahead,
            type_change: ahead,
            notification_date: "2026-11-27",
            pension_fund_joined_date: "2026-11-27",
            ..good()
        };
        assert_eq!(
            fields(&record),
            ["acquisition.date", "type_change.date", "notification_date", "pension_fund_joined_date"]
        );
    }

    #[test]
    fn a_violation_never_holds_the_value() {
        let record = Qualification { basic_pension_number: "98765-4321", ..good() };
        assert!(!format!("{:?}", record.violations(TODAY)).contains("98765"));
    }
}
