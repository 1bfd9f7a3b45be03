//! Identifiers: each is parsed once at the door and can't hold anything else afterwards.

use std::fmt;

use compact_str::CompactString;

use crate::check_digit;

/// Why a text is no identifier. Never holds the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Empty, too long, or with characters that don't belong.
    #[error("must be {expected}")]
    Malformed {
        /// What it has to be.
        expected: &'static str,
    },
    /// The last digit does not fit.
    #[error("has a wrong check digit")]
    CheckDigit,
    /// Exactly 12 digits can't be told from a personal number (number-confinement).
    #[error(
        "must not be exactly 12 digits, which can't be told from a personal number; pad it to 15 digits with leading zeros"
    )]
    LooksLikePersonalNumber,
    /// The 14-digit body of unified address numbers is used up.
    #[error("is outside the 14 digits of a unified address number's body")]
    OutOfRange,
}

macro_rules! identifier {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(CompactString);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// 全国地方公共団体コード: 6 digits, the last a check digit.
    MunicipalityCode
}

identifier! {
    /// A registered system: `[a-z][a-z0-9-]{0,31}`, the last part of its certificate's URI.
    SystemId
}

identifier! {
    /// 宛名番号: a system's own number of a person, 1 to 15 ASCII letters or digits (項目定義書: X(15)).
    LocalAddressNumber
}

identifier! {
    /// 団体内統合宛名番号: 15 digits, issued sequentially with a check digit; migrated ones keep a wrong check digit.
    UnifiedAddressNumber
}

identifier! {
    /// The owner's key of a record: 1 to 64 of `0-9 A-Z a-z . _ : / -`.
    RecordKey
}

identifier! {
    /// 操作者ID: 1 to 10 of `0-9 A-Z a-z . _ -` (項目定義書: X(10)).
    OperatorId
}

identifier! {
    /// 事務: the affair for which data is used, as the rules name it, 1 to 64 characters.
    Affair
}

impl MunicipalityCode {
    /// Parses 6 digits with their check digit.
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`] or [`IdentifierError::CheckDigit`].
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let malformed = IdentifierError::Malformed { expected: "6 digits" };
        let digits = check_digit::digits(text).filter(|digits| digits.len() == 6).ok_or(malformed)?;
        let (body, check) = digits.split_first_chunk::<5>().ok_or(malformed)?;
        if check.first() != Some(&check_digit::municipality_check_digit(body)) {
            return Err(IdentifierError::CheckDigit);
        }
        Ok(Self(text.into()))
    }
}

impl SystemId {
    /// Parses a system id.
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let fits = text.len() <= 32
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        fits.then(|| Self(text.into()))
            .ok_or(IdentifierError::Malformed { expected: "1 to 32 of a-z 0-9 -, beginning with a letter" })
    }
}

impl LocalAddressNumber {
    /// Parses a local address number.
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`], or [`IdentifierError::LooksLikePersonalNumber`] for exactly 12 digits.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        if !(1..=15).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(IdentifierError::Malformed { expected: "1 to 15 ASCII letters or digits" });
        }
        refuse_twelve_digits(text)?;
        Ok(Self(text.into()))
    }
}

impl UnifiedAddressNumber {
    /// The largest body: 14 digits.
    pub const BODY_MAX: u64 = 99_999_999_999_999;

    /// The number with this body (1 to [`Self::BODY_MAX`]) and its check digit.
    ///
    /// # Errors
    /// [`IdentifierError::OutOfRange`].
    pub fn from_body(body: u64) -> Result<Self, IdentifierError> {
        if !(1..=Self::BODY_MAX).contains(&body) {
            return Err(IdentifierError::OutOfRange);
        }
        let body = format!("{body:014}");
        let check = check_digit::digits(&body).map(|digits| check_digit::m11w27(&digits)).unwrap_or_default();
        Ok(Self(format!("{body}{check}").into()))
    }

    /// Parses a number that this gateway issued: 15 digits with the right check digit.
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`] or [`IdentifierError::CheckDigit`].
    pub fn parse_issued(text: &str) -> Result<Self, IdentifierError> {
        let number = Self::parse_migrated(text)?;
        if check_digit::has_m11w27(text) { Ok(number) } else { Err(IdentifierError::CheckDigit) }
    }

    /// Parses a number that may have come in by migration: 15 digits, whatever the last (共通機能標準仕様書 §2.4.6: existing numbers stay).
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`].
    pub fn parse_migrated(text: &str) -> Result<Self, IdentifierError> {
        let fits = text.len() == 15 && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| Self(text.into())).ok_or(IdentifierError::Malformed { expected: "15 digits" })
    }
}

impl RecordKey {
    /// Parses a record key.
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`], or [`IdentifierError::LooksLikePersonalNumber`] for exactly 12 digits.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte));
        if !fits {
            return Err(IdentifierError::Malformed { expected: "1 to 64 of 0-9 A-Z a-z . _ : / -" });
        }
        refuse_twelve_digits(text)?;
        Ok(Self(text.into()))
    }
}

impl OperatorId {
    /// Parses an operator id.
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let fits = (1..=10).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        fits.then(|| Self(text.into())).ok_or(IdentifierError::Malformed { expected: "1 to 10 of 0-9 A-Z a-z . _ -" })
    }
}

impl Affair {
    /// Parses the name of an affair.
    ///
    /// # Errors
    /// [`IdentifierError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        let fits = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.into()))
            .ok_or(IdentifierError::Malformed { expected: "1 to 64 characters without control characters" })
    }
}

fn refuse_twelve_digits(text: &str) -> Result<(), IdentifierError> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(IdentifierError::LooksLikePersonalNumber);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn number_confinement_twelve_digits_are_no_local_number_and_no_record_key() {
        // Whatever the check digit: a mistyped personal number is one too.
        for number in ["123456789018", "123456789019", "000000000000"] {
            assert_eq!(LocalAddressNumber::parse(number), Err(IdentifierError::LooksLikePersonalNumber));
            assert_eq!(RecordKey::parse(number), Err(IdentifierError::LooksLikePersonalNumber));
            assert!(LocalAddressNumber::parse(&format!("000{number}")).is_ok(), "padded to 15 digits");
        }
        assert!(LocalAddressNumber::parse("12345678901A").is_ok(), "a letter tells it apart");
        assert!(LocalAddressNumber::parse("12345678901").is_ok(), "11 digits");
        assert!(LocalAddressNumber::parse("1234567890123").is_ok(), "13 digits");
    }

    #[test]
    fn number_confinement_an_error_never_holds_the_text() {
        let errors = [
            LocalAddressNumber::parse("987654321098").unwrap_err(),
            RecordKey::parse("987654321098").unwrap_err(),
            MunicipalityCode::parse("987650").unwrap_err(),
            UnifiedAddressNumber::parse_issued("987654321098760").unwrap_err(),
        ];
        for error in errors {
            assert!(!format!("{error} {error:?}").contains("98765"));
        }
    }

    #[test]
    fn full_width_digits_are_refused_everywhere() {
        assert!(MunicipalityCode::parse("１３２０９８").is_err());
        assert!(SystemId::parse("tax１").is_err());
        assert!(LocalAddressNumber::parse("１２３").is_err());
        assert!(UnifiedAddressNumber::parse_migrated("０００００").is_err(), "15 bytes, but not 15 digits");
        assert!(RecordKey::parse("ｋ-１").is_err());
        assert!(OperatorId::parse("op１").is_err());
    }

    #[test]
    fn lengths_are_kept_at_both_ends() {
        let of = |length: usize| "a".repeat(length);
        assert!(SystemId::parse(&of(32)).is_ok() && SystemId::parse(&of(33)).is_err());
        assert!(LocalAddressNumber::parse(&of(15)).is_ok() && LocalAddressNumber::parse(&of(16)).is_err());
        assert!(RecordKey::parse(&of(64)).is_ok() && RecordKey::parse(&of(65)).is_err());
        assert!(OperatorId::parse(&of(10)).is_ok() && OperatorId::parse(&of(11)).is_err());
        assert!(Affair::parse(&"事".repeat(64)).is_ok() && Affair::parse(&"事".repeat(65)).is_err());
        assert!(
            SystemId::parse("").is_err() && LocalAddressNumber::parse("").is_err() && RecordKey::parse("").is_err()
        );
        assert!(OperatorId::parse("").is_err() && Affair::parse("").is_err());
    }

    #[test]
    fn characters_that_do_not_belong_are_refused() {
        for wrong in ["1tax", "-tax", "Tax", "tax_1", "tax.1", "tax "] {
            assert!(SystemId::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["1 2", "1-2", "1\n", "ア"] {
            assert!(LocalAddressNumber::parse(wrong).is_err(), "{wrong}");
        }
        assert!(RecordKey::parse("2025/payment:1_a.b-c").is_ok());
        assert!(RecordKey::parse("a b").is_err());
        assert!(Affair::parse("市都民税\n賦課業務").is_err());
    }

    #[test]
    fn the_bodies_of_unified_numbers_run_from_1_to_14_nines() {
        assert_eq!(UnifiedAddressNumber::from_body(0), Err(IdentifierError::OutOfRange));
        assert!(UnifiedAddressNumber::from_body(UnifiedAddressNumber::BODY_MAX).is_ok());
        let beyond = UnifiedAddressNumber::BODY_MAX + 1;
        assert_eq!(UnifiedAddressNumber::from_body(beyond), Err(IdentifierError::OutOfRange));
        for body in [1, 1234, UnifiedAddressNumber::BODY_MAX] {
            let number = UnifiedAddressNumber::from_body(body).unwrap();
            assert_eq!(number.as_str()[..14].parse(), Ok(body));
        }
    }

    proptest! {
        #[test]
        fn an_issued_number_comes_back_and_any_other_check_digit_is_refused(
            body in 1..=UnifiedAddressNumber::BODY_MAX,
            change in 1u8..10,
        ) {
            let number = UnifiedAddressNumber::from_body(body).unwrap();
            prop_assert_eq!(UnifiedAddressNumber::parse_issued(number.as_str()), Ok(number.clone()));
            let (kept, check) = number.as_str().split_at(14);
            let changed = format!("{kept}{}", (check.parse::<u8>().unwrap() + change) % 10);
            prop_assert_eq!(UnifiedAddressNumber::parse_issued(&changed), Err(IdentifierError::CheckDigit));
            prop_assert!(UnifiedAddressNumber::parse_migrated(&changed).is_ok());
        }

        #[test]
        fn a_municipality_code_has_one_check_digit(body in "[0-9]{5}") {
            let fitting = (0..10).filter(|check| MunicipalityCode::parse(&format!("{body}{check}")).is_ok());
            prop_assert_eq!(fitting.count(), 1);
        }

        #[test]
        fn any_text_is_judged_without_panic_and_kept_as_it_is(text in ".{0,70}") {
            if let Ok(number) = LocalAddressNumber::parse(&text) {
                prop_assert_eq!(number.as_str(), &text);
            }
            if let Ok(key) = RecordKey::parse(&text) {
                prop_assert_eq!(key.to_string(), text.clone());
            }
            if let Ok(affair) = Affair::parse(&text) {
                prop_assert_eq!(affair.as_str(), &text);
            }
            let _ = (MunicipalityCode::parse(&text), SystemId::parse(&text), OperatorId::parse(&text));
            let _ = (UnifiedAddressNumber::parse_issued(&text), UnifiedAddressNumber::parse_migrated(&text));
        }
    }
}
