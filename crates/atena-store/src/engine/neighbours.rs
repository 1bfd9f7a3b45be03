//! Whether values of a list are neighbours: numbers of which nearly all between the first and the last are in the list. Reading past a few
//! others costs less than looking each one up.

/// Fewer are looked up one by one.
const COUNT_MIN: usize = 16;

/// At least one among so many numbers is of the list.
const SPARSE_MAX: u64 = 4;

/// How far apart numbers are that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spacing {
    /// One, as far as anybody knows.
    Close,
    /// Ten: the last digit is a check digit.
    CheckDigit,
}

impl Spacing {
    /// The first and the last of these values, which are in order, if they are neighbours: all of one length, alike but for decimal digits
    /// at the end. Of other texts nobody knows how many there may be between them.
    pub(super) fn first_and_last<'v>(self, values: &[&'v str]) -> Option<(&'v str, &'v str)> {
        let (first, last) = (*values.first()?, *values.last()?);
        if values.len() < COUNT_MIN || values.iter().any(|value| value.len() != first.len()) {
            return None;
        }
        let alike = first.bytes().zip(last.bytes()).take_while(|(one, other)| one == other).count();
        let number = |text: &str| {
            let digits = text.get(alike..).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            digits.parse::<u64>().ok()
        };
        let between = number(last)?.checked_sub(number(first)?)?;
        let sparse_max = match self {
            Self::Close => SPARSE_MAX,
            Self::CheckDigit => 10 * SPARSE_MAX,
        };
        (between < sparse_max * values.len() as u64).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(step: u64) -> Vec<String> {
        (0..20).map(|number| format!("P{:08}", 100 + step * number)).collect()
    }

    fn found(values: &[String]) -> Option<(&str, &str)> {
        Spacing::Close.first_and_last(&values.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn dense_numbers_are_neighbours() {
        assert_eq!(found(&numbers(1)), Some(("P00000100", "P00000119")));
        assert_eq!(found(&numbers(4)), Some(("P00000100", "P00000176")));
        assert_eq!(found(&numbers(5)), None, "most of what lies between would be read in vain");
        let numbers_of_people = numbers(40);
        let people: Vec<_> = numbers_of_people.iter().map(String::as_str).collect();
        assert_eq!(Spacing::CheckDigit.first_and_last(&people), Some(("P00000100", "P00000860")));
        assert_eq!(found(&numbers(1)[..15]), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn nothing_is_known_of_what_lies_between_other_texts() {
        let keys: Vec<_> = (0..20).map(|number| format!("{number:02}-2025")).collect();
        assert_eq!(found(&keys), None, "there may be any number of texts between 01-2025 and 02-2025");
        let mixed: Vec<_> = (95..115).map(|number| format!("P{number}")).collect();
        assert_eq!(found(&mixed), None, "P100 comes before P95");
        let same: Vec<_> = (0..20).map(|_| "P1".to_owned()).collect();
        assert_eq!(found(&same), None);
    }
}
