//! Whether the values of a list are neighbours: numbers among which there are few others. Reading
//! past a few others costs less than looking up each value.

/// Fewer values are looked up one by one.
const COUNT_MIN: usize = 16;

/// At least one of so many numbers must be in the list.
const SPARSE_MAX: u64 = 4;

/// How far apart two numbers are that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// By one: they may have any digits.
    Consecutive,
    /// By ten: the last digit is a check digit.
    CheckDigit,
}

impl Spacing {
    /// Whether these values are neighbours. They are in order. Neighbours have one length and
    /// differ only in decimal digits at the end: between other texts there may be any number of
    /// texts.
    pub(super) fn are_neighbours(self, values: &[&str]) -> bool {
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return false };
        if values.len() < COUNT_MIN || values.iter().any(|value| value.len() != first.len()) {
            return false;
        }
        let alike = first.bytes().zip(last.bytes()).take_while(|(one, other)| one == other).count();
        let number = |text: &str| {
            let digits = text.get(alike..).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse::<u64>().ok()
        };
        let Some(between) = number(last).zip(number(first)).and_then(|(last, first)| last.checked_sub(first)) else {
            return false;
        };
        let sparse_max = match self {
            Self::Consecutive => SPARSE_MAX,
            Self::CheckDigit => 10 * SPARSE_MAX,
        };
        between < sparse_max * values.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(step: u64) -> Vec<String> {
        (0..20).map(|number| format!("P{:08}", 100 + step * number)).collect()
    }

    fn close(values: &[String]) -> bool {
        Spacing::Consecutive.are_neighbours(&values.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn dense_numbers_are_neighbours() {
        assert!(close(&numbers(1)) && close(&numbers(4)));
        assert!(!close(&numbers(5)), "most rows of the range would be left out");
        let numbers_of_people = numbers(40);
        let people: Vec<_> = numbers_of_people.iter().map(String::as_str).collect();
        assert!(Spacing::CheckDigit.are_neighbours(&people));
        assert!(!close(&numbers(1)[..15]) && !close(&[]));
    }

    #[test]
    fn nothing_is_known_of_what_lies_between_other_texts() {
        let keys: Vec<_> = (0..20).map(|number| format!("{number:02}-2025")).collect();
        assert!(!close(&keys), "there may be any number of texts between 01-2025 and 02-2025");
        let mixed: Vec<_> = (95..115).map(|number| format!("P{number}")).collect();
        assert!(!close(&mixed), "P100 comes before P95");
        let same: Vec<_> = (0..20).map(|_| "P1".to_owned()).collect();
        assert!(!close(&same));
    }
}
