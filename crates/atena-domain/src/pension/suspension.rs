//! 支給停止: shared by benefits and the welfare pension.

use crate::check::Check;

/// A suspension of payment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Suspension<'a> {
    /// 支給停止事由: 1 to 7.
    pub reason: i32,
    /// `YYYY-MM`.
    pub from: &'a str,
    /// `YYYY-MM`; empty while it lasts.
    pub to: &'a str,
}

impl Suspension<'_> {
    pub(crate) fn check(self, check: &mut Check) {
        check.required_code("suspension.reason", self.reason, 7);
        let from = check.required_month("suspension.from", self.from);
        let to = check.month("suspension.to", self.to);
        check.in_order(from, to, "suspension.to", "must not be before suspension.from");
    }
}
