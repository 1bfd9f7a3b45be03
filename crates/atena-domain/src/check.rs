//! Collects every violation of a record at once. Private to this crate: the records say what they check, this says how.

use crate::date::{self, Date, DateError, YearMonth};
use crate::violation::Violation;

/// Longest remark, in characters.
const REMARKS_CHARS_MAX: usize = 200;

/// Where a field stands below its record. Written out only where something is wrong with it: nearly all records are good.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    /// `field`.
    Field(&'a str),
    /// `part.field`.
    Of(&'a str, &'a str),
    /// `list[index].field`.
    In(&'a str, usize, &'a str),
}

/// The violations found so far.
#[derive(Default)]
pub(crate) struct Check {
    violations: Vec<Violation>,
}

// === impl Path ===

impl<'a> From<&'a str> for Path<'a> {
    fn from(field: &'a str) -> Self {
        Self::Field(field)
    }
}

impl From<Path<'_>> for String {
    fn from(path: Path<'_>) -> Self {
        match path {
            Path::Field(field) => field.to_owned(),
            Path::Of(part, field) => format!("{part}.{field}"),
            Path::In(list, index, field) => format!("{list}[{index}].{field}"),
        }
    }
}

// === impl Check ===

impl Check {
    pub(crate) fn done(self) -> Vec<Violation> {
        self.violations
    }

    pub(crate) fn wrong<'a>(&mut self, field: impl Into<Path<'a>>, rule: &'static str) {
        self.violations.push(Violation::new(field.into(), rule));
    }

    /// Notes `rule` unless `holds`.
    pub(crate) fn holds<'a>(&mut self, holds: bool, field: impl Into<Path<'a>>, rule: &'static str) {
        if !holds {
            self.wrong(field, rule);
        }
    }

    /// A date, or none where the text is empty.
    pub(crate) fn date<'a>(&mut self, field: impl Into<Path<'a>>, text: &str) -> Option<Date> {
        let field = field.into();
        if text.is_empty() {
            return None;
        }
        match date::parse_date(text) {
            Ok(date) => Some(date),
            Err(DateError::Malformed { .. }) => {
                self.wrong(field, "must be a date, YYYY-MM-DD");
                None
            }
            Err(DateError::NoSuchDate) => {
                self.wrong(field, "is a date that does not exist, or before 1868");
                None
            }
        }
    }

    /// Notes a date that lies after `last`.
    pub(crate) fn until<'a>(&mut self, date: Option<Date>, last: Date, field: impl Into<Path<'a>>, rule: &'static str) {
        self.in_order(date, Some(last), field, rule);
    }

    /// A date that happened: not after today, or none where the text is empty.
    pub(crate) fn past_date<'a>(&mut self, field: impl Into<Path<'a>>, text: &str, today: Date) -> Option<Date> {
        let field = field.into();
        let date = self.date(field, text);
        self.until(date, today, field, "must not be after today (in Japan)");
        date
    }

    pub(crate) fn required_past_date<'a>(
        &mut self,
        field: impl Into<Path<'a>>,
        text: &str,
        today: Date,
    ) -> Option<Date> {
        let field = field.into();
        self.holds(!text.is_empty(), field, "is required (YYYY-MM-DD)");
        self.past_date(field, text, today)
    }

    pub(crate) fn required_date<'a>(&mut self, field: impl Into<Path<'a>>, text: &str) -> Option<Date> {
        let field = field.into();
        self.holds(!text.is_empty(), field, "is required (YYYY-MM-DD)");
        self.date(field, text)
    }

    /// A month, or none where the text is empty.
    pub(crate) fn month<'a>(&mut self, field: impl Into<Path<'a>>, text: &str) -> Option<YearMonth> {
        let field = field.into();
        if text.is_empty() {
            return None;
        }
        let month = YearMonth::parse(text).ok();
        self.holds(month.is_some(), field, "must be a month that exists, YYYY-MM");
        month
    }

    pub(crate) fn required_month<'a>(&mut self, field: impl Into<Path<'a>>, text: &str) -> Option<YearMonth> {
        let field = field.into();
        self.holds(!text.is_empty(), field, "is required (YYYY-MM)");
        self.month(field, text)
    }

    /// Two dates or months in order, as far as both are there.
    pub(crate) fn in_order<'a, T: PartialOrd>(
        &mut self,
        earlier: Option<T>,
        later: Option<T>,
        field: impl Into<Path<'a>>,
        rule: &'static str,
    ) {
        if let (Some(earlier), Some(later)) = (earlier, later) {
            self.holds(earlier <= later, field, rule);
        }
    }

    /// A code of a list numbered 1 to `last`; 0 where it is not given.
    pub(crate) fn code<'a>(&mut self, field: impl Into<Path<'a>>, code: i32, last: i32) {
        self.holds((0..=last).contains(&code), field, "is not in the code list");
    }

    pub(crate) fn required_code<'a>(&mut self, field: impl Into<Path<'a>>, code: i32, last: i32) {
        self.holds((1..=last).contains(&code), field, "is required and must be in the code list");
    }

    /// Exactly `count` ASCII digits, or empty.
    pub(crate) fn digits(&mut self, field: &str, text: &str, count: usize, rule: &'static str) {
        let fits = text.is_empty() || (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()));
        self.holds(fits, field, rule);
    }

    /// 基礎年金番号: 10 digits, no known check digit.
    pub(crate) fn basic_pension_number(&mut self, text: &str) {
        let field = "basic_pension_number";
        self.holds(!text.is_empty(), field, "is required");
        self.digits(field, text, 10, "must be 10 digits without hyphen");
        self.holds(!is_zeros(text), field, "must not be a placeholder of zeros only");
    }

    /// Text of at most `max` characters without control characters; every other code point is kept as it is.
    pub(crate) fn text(&mut self, field: &str, text: &str, max: usize) {
        // One pass: nearly all texts are short and good.
        let (mut count, mut control, mut lost) = (0, false, false);
        for character in text.chars() {
            count += 1;
            control |= character.is_control();
            lost |= is_lost(character);
        }
        self.holds(count <= max, field, "is longer than the contract allows");
        self.holds(!control, field, "holds a control character");
        self.holds(!lost, field, "holds U+FFFD or a noncharacter: a conversion before lost a character");
    }

    /// A reading in katakana, at most `max` characters.
    pub(crate) fn kana(&mut self, field: &str, text: &str, max: usize) {
        self.text(field, text, max);
        let katakana =
            |character| matches!(character, 'ァ'..='ヺ' | '・' | 'ー' | 'ヽ' | 'ヾ' | '゠' | '＝' | '　' | ' ');
        self.holds(text.chars().all(katakana), field, "must be full-width katakana");
    }

    pub(crate) fn remarks(&mut self, text: &str) {
        self.text("remarks", text, REMARKS_CHARS_MAX);
    }

    pub(crate) fn amount<'a>(&mut self, field: impl Into<Path<'a>>, yen: i64) {
        self.holds(yen >= 0, field, "must not be negative");
    }
}

/// Whether a text is made of zeros only: a placeholder for a number that is not known.
#[must_use]
pub fn is_zeros(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'0')
}

/// What stands for a character that a conversion lost, and code points that are no characters.
fn is_lost(character: char) -> bool {
    let code = u32::from(character);
    code == 0xfffd || code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(judge: impl FnOnce(&mut Check)) -> usize {
        let mut check = Check::default();
        judge(&mut check);
        check.done().len()
    }

    #[test]
    fn a_reading_is_full_width_katakana() {
        for right in ["", "マチダ　タロウ", "マチダ タロウ", "ジャン＝ポール・ヴィヨン", "ヾヽ", "ヶヵヷヺ゠"]
        {
            assert_eq!(judged(|check| check.kana("kana", right, 100)), 0, "{right}");
        }
        for wrong in ["まちだ", "ﾏﾁﾀﾞ", "町田", "Machida", "カ\u{3099}", "マチダ\u{2003}タロウ", "ー-", "゛"]
        {
            assert_eq!(judged(|check| check.kana("kana", wrong, 100)), 1, "{wrong}");
        }
    }

    #[test]
    fn a_character_that_was_lost_is_refused_and_a_rare_one_is_kept() {
        for right in ["神\u{fa19}邉\u{e0102}\u{10de92}", "\u{e000}", "𠮷"] {
            assert_eq!(judged(|check| check.text("text", right, 10)), 0, "{right}");
        }
        for wrong in ["町\u{fffd}", "\u{ffff}", "\u{1fffe}", "\u{fdd0}", "a\u{85}", "\u{0}"] {
            assert_eq!(judged(|check| check.text("text", wrong, 10)), 1, "{}", wrong.escape_unicode());
        }
    }

    #[test]
    fn a_pension_number_of_zeros_is_a_placeholder() {
        assert_eq!(judged(|check| check.basic_pension_number("0000000000")), 1);
        assert_eq!(judged(|check| check.basic_pension_number("0000000001")), 0);
    }
}
