//! Errors of the command line. They may not show a number of a person that was typed in the wrong place.

use std::io::Write as _;

use clap::error::ErrorKind;

/// Digits in a row that may be a number of a person: local and pension numbers have ten and more.
const DIGITS_MAX: usize = 7;

/// What stands for a number that is not shown.
const HIDDEN: char = '…';

/// Prints help to stdout, and errors to stderr without long numbers.
pub(crate) fn print(error: &clap::Error) {
    let plain = error.render().to_string();
    let shown = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        _ => without_numbers(&plain),
    };
    // Nowhere else to report to, should stderr be closed.
    let _ = match shown {
        Some(text) => std::io::stderr().write_all(text.as_bytes()),
        None => error.print(),
    };
}

/// The text with each long number hidden; `None` where it has none.
pub(crate) fn without_numbers(text: &str) -> Option<String> {
    let mut shown = String::with_capacity(text.len());
    let mut digits = String::new();
    let mut hidden = false;
    for character in text.chars().chain(std::iter::once('\0')) {
        if character.is_ascii_digit() || ('０'..='９').contains(&character) {
            digits.push(character);
            continue;
        }
        if digits.chars().count() > DIGITS_MAX {
            shown.push(HIDDEN);
            hidden = true;
        } else {
            shown.push_str(&digits);
        }
        digits.clear();
        shown.push(character);
    }
    shown.pop();
    hidden.then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_hidden_and_short_ones_are_shown() {
        let hidden = without_numbers("value '123456789018' for 1..=1000, １２３４５６７８９０１８").unwrap();
        assert_eq!(hidden, "value '…' for 1..=1000, …");
        assert_eq!(without_numbers("value '1001' is not in 1..=1000"), None);
        assert_eq!(without_numbers("ends in 123456789018").unwrap(), "ends in …");
    }
}
