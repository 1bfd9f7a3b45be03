//! Errors of the command line. They may not show a number of a person that was typed in the wrong place.

use std::io::Write as _;
use std::ops::Range;

use clap::error::ErrorKind;

use crate::error::CliError;

/// What stands for a number that is not shown.
const HIDDEN: char = '…';

/// Digits of a number in an error of the arguments themselves, from which on it is hidden: nothing
/// there needs as many.
const ARGUMENT_DIGITS_MIN: usize = 8;

/// The same in any other error: basic pension numbers have ten digits, personal numbers twelve. A
/// day in the name of a file has eight and is shown.
const DIGITS_MIN: usize = 10;

/// Digits of each group of a number as it stands on cards: `1234 5678 9018`. A day has shorter
/// ones.
const GROUP_DIGITS_MIN: usize = 3;

/// Hexadecimal digits of a word that is a digest, and no number.
const DIGEST_DIGITS_MIN: usize = 32;

/// Prints help to stdout, and errors to stderr without long numbers.
pub(crate) fn print(error: &clap::Error) {
    let plain = error.render().to_string();
    let shown = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        _ => without_numbers(&plain, ARGUMENT_DIGITS_MIN),
    };
    // Nowhere else to report to, should stderr be closed.
    let _ = match shown {
        Some(text) => std::io::stderr().write_all(text.as_bytes()),
        None => error.print(),
    };
}

/// Prints why a command failed, without long numbers: an argument may be part of it.
pub(crate) fn print_failure(error: &CliError) {
    let text = error.to_string();
    let shown = without_numbers(&text, DIGITS_MIN).unwrap_or(text);
    let _ = writeln!(std::io::stderr(), "atena: {shown}");
}

/// The text with each number of `digits_min` digits hidden; `None` where it has none.
fn without_numbers(text: &str, digits_min: usize) -> Option<String> {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    for number in numbers(text) {
        let groups: Vec<&Range<usize>> = number.iter().filter(|group| !is_of_digest(text, group)).collect();
        let digits = |group: &Range<usize>| text.get(group.clone()).map_or(0, |digits| digits.chars().count());
        let long = |group: &&&Range<usize>| digits(group) >= digits_min && !is_moment(text, group);
        hidden.extend(groups.iter().filter(long).map(|group| (*group).clone()));
        // Groups that make up one together, as it stands on a card.
        for run in groups.split(|group| digits(group) < GROUP_DIGITS_MIN || is_day(text, group)) {
            let sum: usize = run.iter().map(|group| digits(group)).sum();
            if let (true, [first, .., last]) = (sum >= digits_min, run) {
                hidden.push(first.start..last.end);
            }
        }
    }
    hidden.sort_by_key(|range| range.start);
    let (mut shown, mut from) = (String::with_capacity(text.len()), 0);
    for range in &hidden {
        if range.start >= from {
            shown.push_str(text.get(from..range.start).unwrap_or_default());
            shown.push(HIDDEN);
        }
        from = from.max(range.end);
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    (!hidden.is_empty()).then_some(shown)
}

/// The numbers of a text: each the places of its groups of digits, between which stands one
/// separator.
fn numbers(text: &str) -> Vec<Vec<Range<usize>>> {
    let mut numbers: Vec<Vec<Range<usize>>> = Vec::new();
    let (mut digits_end, mut separator_end) = (None, None);
    for (at, character) in text.char_indices() {
        let end = at + character.len_utf8();
        if character.is_ascii_digit() || ('０'..='９').contains(&character) {
            match numbers.last_mut() {
                Some(groups) if digits_end == Some(at) => groups.last_mut().into_iter().for_each(|one| one.end = end),
                Some(groups) if separator_end == Some(at) => groups.push(at..end),
                _ => numbers.push(std::iter::once(at..end).collect()),
            }
            digits_end = Some(end);
        } else if matches!(character, ' ' | '　' | '-' | '‐' | '‑' | '–' | '－' | '−' | '_') && digits_end == Some(at)
        {
            separator_end = Some(end);
        }
    }
    numbers
}

/// Whether digits are part of a digest or UUID. The reader of the error looks those up.
fn is_of_digest(text: &str, group: &Range<usize>) -> bool {
    let is_part = |character: char| character.is_ascii_hexdigit() || character == '-';
    let before = text.get(..group.start).unwrap_or_default();
    let after = text.get(group.end..).unwrap_or_default();
    let begun = before.trim_end_matches(is_part).len();
    let rest = after.len() - after.trim_start_matches(is_part).len();
    let word = text.get(begun..group.end + rest).unwrap_or_default();
    let is_digest = word.len() >= DIGEST_DIGITS_MIN && word.bytes().any(|byte| byte.is_ascii_alphabetic());
    uuid::Uuid::try_parse(word).is_ok() || (is_digest && !word.contains('-'))
}

/// Whether digits are a moment of this century, as in the name of a file: `20261127235959`.
fn is_moment(text: &str, group: &Range<usize>) -> bool {
    group.len() == 14 && begins_with_day(text, group)
}

/// Whether digits are a day of this century: `20261127`.
fn is_day(text: &str, group: &Range<usize>) -> bool {
    group.len() == 8 && begins_with_day(text, group)
}

fn begins_with_day(text: &str, group: &Range<usize>) -> bool {
    let digits = text.get(group.clone()).unwrap_or_default();
    let (month, day) = (digits.get(4..6).unwrap_or_default(), digits.get(6..8).unwrap_or_default());
    digits.starts_with("20") && ("01"..="12").contains(&month) && ("01"..="31").contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_hidden_and_short_ones_are_shown() {
        let of_arguments = |text| without_numbers(text, ARGUMENT_DIGITS_MIN);
        let hidden = of_arguments("value '123456789018' for 1..=1000, １２３４５６７８９０１８").unwrap();
        assert_eq!(hidden, "value '…' for 1..=1000, …");
        assert_eq!(of_arguments("value '1001' is not in 1..=1000"), None);
        assert_eq!(of_arguments("ends in 123456789018").unwrap(), "ends in …");
    }

    #[test]
    fn a_number_is_hidden_however_it_is_written() {
        for number in [
            "123456789018",
            "1234 5678 9018",
            "1234-5678-9018",
            "１２３４　５６７８　９０１８",
            "１２３４－５６７８－９０１８",
            "1234_5678_9018",
            "123-456-789-018",
            "123456-789018",
            "12345678-9018",
            // A basic pension number, and a local number.
            "1234567890",
            "1234-567890",
            "000000000000019",
            // Typed with a digit too many or too few.
            "12345678901",
            "1234567890189",
        ] {
            for (before, after) in [("cannot read ", ": No such file"), ("", ""), ("(P", ".csv)"), ("x 12 ", " 7")] {
                let text = format!("{before}{number}{after}");
                let shown = without_numbers(&text, DIGITS_MIN).unwrap_or_else(|| panic!("{text}"));
                assert_eq!(shown, format!("{before}…{after}"), "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_number_of_a_person_is_shown() {
        for text in [
            "cannot read people-20261127.csv: No such file",
            "cannot read people-20261127-235959.csv",
            "cannot read people-20261127235959.csv",
            "valid from 2026-11-27 06:14:11 to 2027-11-27 06:14:11",
            "127.0.0.1:46001, 65536, 8192, 1048576",
            "transfer 0199c2a4-0000-7000-8000-000000000001",
            "policy 0123456789012345678901234567890a12345678901234567890123456789012",
        ] {
            assert_eq!(without_numbers(text, DIGITS_MIN), None, "{text}");
        }
    }
}
