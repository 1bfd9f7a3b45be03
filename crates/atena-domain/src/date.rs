//! Dates and months as the contract writes them, and their Japanese form.

use std::fmt;

pub use jiff::civil::Date;

/// Earliest year of any date in a register: Meiji 1.
const YEAR_MIN: i16 = 1868;

/// Eras with their first day, newest first (元号).
const ERAS: [(&str, Date); 5] = [
    ("令和", jiff::civil::date(2019, 5, 1)),
    ("平成", jiff::civil::date(1989, 1, 8)),
    ("昭和", jiff::civil::date(1926, 12, 25)),
    ("大正", jiff::civil::date(1912, 7, 30)),
    ("明治", jiff::civil::date(1868, 1, 25)),
];

/// Why a text is no date or month. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// Not in the form asked for.
    #[error("must be {expected}")]
    Malformed {
        /// The form.
        expected: &'static str,
    },
    /// The calendar has no such day or month, or the year is before 1868.
    #[error("does not exist in the calendar of a register")]
    NoSuchDate,
}

/// A month, `YYYY-MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct YearMonth {
    year: i16,
    month: i8,
}

/// Parses `YYYY-MM-DD`.
///
/// # Errors
/// [`DateError`].
pub fn parse_date(text: &str) -> Result<Date, DateError> {
    let malformed = DateError::Malformed { expected: "YYYY-MM-DD" };
    let (month, day) = text.split_at_checked(7).ok_or(malformed)?;
    let day = day.strip_prefix('-').filter(|day| day.len() == 2).ok_or(malformed)?;
    let (year, month) = year_and_month(month).ok_or(malformed)?;
    let day: i8 = digits(day).ok_or(malformed)?;
    Date::new(year, month, day).ok().filter(|date| date.year() >= YEAR_MIN).ok_or(DateError::NoSuchDate)
}

/// The date in the Japanese calendar (和暦), e.g. 令和8年11月23日, 令和元年5月1日.
#[must_use]
pub fn wareki(date: Date) -> String {
    let era = ERAS.iter().find(|(_, first)| date >= *first);
    let (month, day) = (date.month(), date.day());
    match era {
        Some((name, first)) => match date.year() - first.year() + 1 {
            1 => format!("{name}元年{month}月{day}日"),
            year => format!("{name}{year}年{month}月{day}日"),
        },
        None => format!("西暦{}年{month}月{day}日", date.year()),
    }
}

// === impl YearMonth ===

impl YearMonth {
    /// A month of the calendar.
    ///
    /// # Errors
    /// [`DateError::NoSuchDate`].
    pub fn new(year: i16, month: i8) -> Result<Self, DateError> {
        let fits = (YEAR_MIN..=9999).contains(&year) && (1..=12).contains(&month);
        fits.then_some(Self { year, month }).ok_or(DateError::NoSuchDate)
    }

    /// Parses `YYYY-MM`.
    ///
    /// # Errors
    /// [`DateError`].
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let (year, month) = year_and_month(text).ok_or(DateError::Malformed { expected: "YYYY-MM" })?;
        Self::new(year, month)
    }

    /// The month of a date.
    #[must_use]
    pub fn of(date: Date) -> Self {
        Self { year: date.year(), month: date.month() }
    }

    /// Year.
    #[must_use]
    pub fn year(self) -> i16 {
        self.year
    }

    /// Month, 1 to 12.
    #[must_use]
    pub fn month(self) -> i8 {
        self.month
    }

    /// The fiscal year (年度) that runs from April to March.
    #[must_use]
    pub fn fiscal_year(self) -> i16 {
        self.year_from(4)
    }

    /// The year of a twelve-month period that begins in month `first` (7 for exemption years).
    #[must_use]
    pub fn year_from(self, first: i8) -> i16 {
        if self.month >= first { self.year } else { self.year - 1 }
    }

    /// Whole months from `earlier` to this one; negative if it is later.
    #[must_use]
    pub fn months_since(self, earlier: Self) -> i32 {
        (i32::from(self.year) - i32::from(earlier.year)) * 12 + i32::from(self.month) - i32::from(earlier.month)
    }
}

impl fmt::Display for YearMonth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}", self.year, self.month)
    }
}

fn year_and_month(text: &str) -> Option<(i16, i8)> {
    let (year, month) = text.split_at_checked(4)?;
    let month = month.strip_prefix('-').filter(|month| month.len() == 2)?;
    Some((digits(year)?, digits(month)?))
}

/// A number of ASCII digits only: no sign, no blank.
fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_dates_that_exist_pass() {
        assert!(parse_date("2024-02-29").is_ok());
        assert_eq!(parse_date("2023-02-29"), Err(DateError::NoSuchDate));
        assert_eq!(parse_date("1800-01-01"), Err(DateError::NoSuchDate));
        for wrong in ["", "2024-2-29", "20240229", "2024/02/29", "+024-02-29", "２０２４-０２-２９", "2024-02-29 "]
        {
            assert!(matches!(parse_date(wrong), Err(DateError::Malformed { .. })), "{wrong}");
        }
    }

    #[test]
    fn eras_change_on_their_first_day() {
        let say = |text: &str| wareki(parse_date(text).unwrap());
        assert_eq!(say("2026-11-23"), "令和8年11月23日");
        assert_eq!(say("2019-05-01"), "令和元年5月1日");
        assert_eq!(say("2019-04-30"), "平成31年4月30日");
        assert_eq!(say("1926-12-25"), "昭和元年12月25日");
        assert_eq!(say("1926-12-24"), "大正15年12月24日");
    }

    #[test]
    fn a_fiscal_year_runs_from_april_to_march() {
        assert_eq!(YearMonth::parse("2026-03").unwrap().fiscal_year(), 2025);
        assert_eq!(YearMonth::parse("2026-04").unwrap().fiscal_year(), 2026);
        assert!(YearMonth::parse("2026-13").is_err());
    }

    proptest! {
        #[test]
        fn a_date_written_comes_back(days in 0i32..60_000) {
            let date = jiff::civil::date(1868, 1, 25).saturating_add(jiff::Span::new().days(days));
            prop_assert_eq!(parse_date(&date.to_string()), Ok(date));
        }

        #[test]
        fn any_text_is_judged_without_panic(text in ".*") {
            let _ = parse_date(&text);
            let _ = YearMonth::parse(&text);
        }
    }
}
