//! 個人番号, and the only type that holds one.

use atena_domain::check_digit;
use atena_policy::PersonalNumberPermit;
use zeroize::{Zeroize, Zeroizing};

/// A personal number (個人番号, 番号法第2条第5項): 12 digits with a right check digit.
///
/// It can't be formatted, compared, cloned or serialized (invariant *number-confinement*), and its memory is wiped when it goes:
///
/// ```compile_fail
/// let number = atena_vault::PersonalNumber::parse("123456789018").ok().unwrap();
/// println!("{number:?}");
/// ```
///
/// Reading it takes a permit that only the policy can make:
///
/// ```compile_fail
/// let number = atena_vault::PersonalNumber::parse("123456789018").ok().unwrap();
/// let text = number.expose();
/// ```
pub struct PersonalNumber(Zeroizing<[u8; 12]>);

/// A text that is no personal number. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 12 digits with a right check digit, and not zeros only")]
pub struct PersonalNumberError;

// === impl PersonalNumber ===

impl PersonalNumber {
    /// Parses 12 ASCII digits with their check digit (平成26年総務省令第85号第5条).
    ///
    /// # Errors
    /// [`PersonalNumberError`].
    pub fn parse(text: &str) -> Result<Self, PersonalNumberError> {
        if !check_digit::is_personal_number(text) {
            return Err(PersonalNumberError);
        }
        Self::from_digits(text.as_bytes())
    }

    /// Like [`Self::parse`], and wipes the text it was given.
    ///
    /// # Errors
    /// [`PersonalNumberError`].
    pub fn parse_owned(mut text: String) -> Result<Self, PersonalNumberError> {
        let parsed = Self::parse(&text);
        text.zeroize();
        parsed
    }

    /// The digits, for an answer to a system that the permit allows to have them.
    #[must_use]
    pub fn expose(&self, _permit: &PersonalNumberPermit) -> &str {
        self.digits()
    }

    /// The digits, within the vault.
    pub(crate) fn digits(&self) -> &str {
        // They were ASCII digits when they came in.
        std::str::from_utf8(self.0.as_slice()).unwrap_or_default()
    }

    /// Digits that the vault sealed itself.
    pub(crate) fn from_digits(digits: &[u8]) -> Result<Self, PersonalNumberError> {
        let mut number = Zeroizing::new([0; 12]);
        if digits.len() != number.len() {
            return Err(PersonalNumberError);
        }
        number.copy_from_slice(digits);
        Ok(Self(number))
    }
}

static_assertions::assert_not_impl_any!(
    PersonalNumber: std::fmt::Debug, std::fmt::Display, Clone, PartialEq, serde::Serialize, std::ops::Deref<Target = str>
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_twelve_ascii_digits_with_their_check_digit_pass() {
        assert!(PersonalNumber::parse("123456789018").is_ok());
        for wrong in ["123456789019", "12345678901", "1234567890188", "１２３４５６７８９０１８", "", "12345678901 "]
        {
            assert!(PersonalNumber::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_error_says_nothing_of_the_text() {
        let error = PersonalNumber::parse_owned("123456789019".to_owned()).err().unwrap();
        assert!(!format!("{error:?} {error}").contains("1234"));
    }
}
