//! Identifiers: each is parsed once at the door and can't hold anything else afterwards.

use std::fmt;

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
        pub struct $name(Box<str>);

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
