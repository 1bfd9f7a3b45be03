//! 資格: one period of insurance (国民年金法第7条 to 第9条, 附則第5条).

use crate::check::{Check, Path};
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
const LOST_AT_65: i32 = 7;
const LOST_AT_480_MONTHS: i32 = 8;
const LEFT_VOLUNTARILY: i32 = 6;

// === impl Qualification ===

impl Qualification<'_> {
    /// Everything that is wrong with the record.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        check.basic_pension_number(self.basic_pension_number);
        check.required_code("insured_type", self.insured_type, 4);
        check.holds(self.acquisition.is_some(), "acquisition", "is required");
        let acquisition = self.acquisition.and_then(|event| event.check(&mut check, "acquisition", 5));
        let type_change = self.type_change.and_then(|event| event.check(&mut check, "type_change", 5));
        let loss = self.loss.and_then(|event| event.check(&mut check, "loss", 8));
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
        let notified = check.date("notification_date", self.notification_date);
        check.in_order(acquisition, notified, "notification_date", "must not be before acquisition.date");
        check.date("pension_fund_joined_date", self.pension_fund_joined_date);
        check.remarks(self.remarks);
        check.done()
    }
}

// === impl DatedReason ===

impl DatedReason<'_> {
    fn check(self, check: &mut Check, path: &str, last_reason: i32) -> Option<crate::date::Date> {
        check.required_code(Path::Of(path, "reason"), self.reason, last_reason);
        check.required_date(Path::Of(path, "date"), self.date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Qualification<'static> {
        Qualification {
            basic_pension_number: "1234567890",
            insured_type: 1,
            acquisition: Some(DatedReason { date: "2005-04-01", reason: 1 }),
            ..Qualification::default()
        }
    }

    fn fields(record: &Qualification<'_>) -> Vec<String> {
        record.violations().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_good_record_has_no_violation() {
        assert!(good().violations().is_empty());
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
    fn a_violation_never_holds_the_value() {
        let record = Qualification { basic_pension_number: "98765-4321", ..good() };
        assert!(!format!("{:?}", record.violations()).contains("98765"));
    }
}
