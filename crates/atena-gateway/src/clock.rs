//! The one place that reads the clock.

use jiff::civil::Date;
use jiff::{Timestamp, tz};

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The day in Japan (JST, UTC+9, no daylight saving): rules and legal bases are valid by the day.
pub(crate) fn japanese_day(at: Timestamp) -> Date {
    tz::offset(9).to_datetime(at).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_changes_at_midnight_in_japan() {
        let before: Timestamp = "2026-03-31T14:59:59Z".parse().unwrap();
        let after: Timestamp = "2026-03-31T15:00:00Z".parse().unwrap();
        assert_eq!(japanese_day(before).to_string(), "2026-03-31");
        assert_eq!(japanese_day(after).to_string(), "2026-04-01");
    }
}
