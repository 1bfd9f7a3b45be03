//! Check digits (検査用数字): arithmetic over digits, no identifiers.

use crate::check::is_zeros;

/// The check digit that 個人番号 (平成26年総務省令第85号第5条), 宛名番号 and 団体内統合宛名番号 (共通機能標準仕様書) share:
/// weights 2 to 7 from the rightmost body digit, modulus 11; a remainder of 0 or 1 gives 0.
///
/// `body` holds digit values 0 to 9, leftmost first.
#[must_use]
pub fn m11w27(body: &[u8]) -> u8 {
    let sum: u32 = body
        .iter()
        .rev()
        .zip([2, 3, 4, 5, 6, 7].into_iter().cycle())
        .map(|(digit, weight)| u32::from(*digit) * weight)
        .sum();
    match sum % 11 {
        0 | 1 => 0,
        // 11 minus a remainder of 2 to 10 is one digit.
        remainder => (11 - remainder) as u8,
    }
}

/// The check digit of 全国地方公共団体コード: weights 6 to 2 from the left, `(11 - sum mod 11) mod 10`.
#[must_use]
pub fn municipality_check_digit(body: &[u8; 5]) -> u8 {
    let sum: u32 = body.iter().zip([6, 5, 4, 3, 2]).map(|(digit, weight)| u32::from(*digit) * weight).sum();
    ((11 - sum % 11) % 10) as u8
}

/// Whether a text is 12 ASCII digits with the check digit of a personal number (個人番号).
///
/// Twelve zeros have a right check digit, but stand for a number that is not known. No other digit
/// repeated has one.
#[must_use]
pub fn is_personal_number(text: &str) -> bool {
    text.len() == 12 && has_m11w27(text) && !is_zeros(text)
}

/// Whether a text of ASCII digits ends in its [`m11w27`] check digit. Other characters, full-width digits included, never pass.
#[must_use]
pub fn has_m11w27(text: &str) -> bool {
    let Some(digits) = digits(text) else {
        return false;
    };
    digits.split_last().is_some_and(|(last, body)| !body.is_empty() && m11w27(body) == *last)
}

/// The values of a text of ASCII digits; `None` for anything else.
pub(crate) fn digits(text: &str) -> Option<Vec<u8>> {
    text.bytes().map(|byte| byte.is_ascii_digit().then(|| byte - b'0')).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_worked_examples_of_the_reference_agree() {
        for number in ["123456789018", "983205673214", "000000000140", "000000000060"] {
            assert!(is_personal_number(number), "{number}");
        }
        assert!(has_m11w27("12345678903"), "resident record code");
        assert_eq!(municipality_check_digit(&[1, 3, 2, 0, 9]), 8);
        assert_eq!(municipality_check_digit(&[0, 1, 1, 0, 1]), 1, "remainder 0 gives 1");
        assert_eq!(municipality_check_digit(&[0, 1, 2, 0, 5]), 0, "remainder 1 gives 0");
    }

    #[test]
    fn a_number_of_one_digit_repeated_is_a_placeholder() {
        for digit in '0'..='9' {
            assert!(!is_personal_number(&digit.to_string().repeat(12)), "{digit}");
        }
    }

    proptest! {
        #[test]
        fn every_body_has_exactly_one_check_digit(body in proptest::collection::vec(0u8..10, 1..20)) {
            let expected = m11w27(&body);
            prop_assert!(expected < 10);
            let fitting = (0..10u8)
                .filter(|last| {
                    let text: String = body.iter().chain([last]).map(|digit| char::from(b'0' + digit)).collect();
                    has_m11w27(&text)
                })
                .collect::<Vec<_>>();
            prop_assert_eq!(fitting, vec![expected]);
        }

        #[test]
        fn any_text_is_judged_without_panic(text in ".*") {
            let _ = is_personal_number(&text);
            let _ = has_m11w27(&text);
        }
    }
}
