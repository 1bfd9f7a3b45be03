//! What is wrong with a policy: everything at once, each with its line.

use std::fmt;

use crate::proof::Counterexample;
use crate::system::Role;

/// A policy that can't be loaded, with all of its problems in the order of the file.
///
/// Errors of TOML's own grammar, missing and unknown keys stop the reading, so they come one at a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyError {
    problems: Vec<Problem>,
}

/// One problem and where it is. Displays as `policy.toml:31: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, from 1; 1 where the problem is of the file as a whole.
    pub line: u32,
    /// What is wrong.
    pub reason: Reason,
}

/// What can be wrong with a policy. `place` says where in words, e.g. `rule "transfer-1"`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the words of the message above them")]
pub enum Reason {
    /// Not TOML, an unknown key, a missing key or a value of the wrong kind.
    #[error("{0}")]
    Format(String),
    /// A value breaks the rule of its key.
    #[error("{place}: {key} {rule}")]
    InvalidValue { place: String, key: &'static str, rule: &'static str },
    /// The same thing is defined or named twice.
    #[error("{place} is there twice")]
    Duplicate { place: String },
    /// No such dataset in the contract.
    #[error("{place} names dataset {dataset:?} which does not exist")]
    UnknownDataset { place: String, dataset: String },
    /// No such field in the dataset. There are no wildcards.
    #[error("{place} names field {field:?} which dataset {dataset:?} does not have")]
    UnknownField { place: String, field: String, dataset: String },
    /// No such entry in the registry.
    #[error("{place} names system {system:?} which is not registered")]
    UnknownSystem { place: String, system: String },
    /// No such role.
    #[error(
        "{place} has role {role:?} which does not exist; there are dataset_owner, consumer, auditor, address_administrator and console"
    )]
    UnknownRole { place: String, role: String },
    /// A system lacks the role that the place needs.
    #[error("{place} names system {system:?} which lacks role {role}")]
    MissingRole { place: String, system: String, role: Role },
    /// A dataset owner without a dataset.
    #[error("system {system:?} has role dataset_owner and owns no dataset")]
    OwnsNothing { system: String },
    /// A pension dataset that nobody may push.
    #[error("dataset {dataset:?} has no owner")]
    NoOwner { dataset: &'static str },
    /// Dataset `person` belongs to nobody.
    #[error("dataset \"person\" has no owner: every registered system registers its own view")]
    PersonOwned,
    /// Nothing may happen without a legal basis.
    #[error("{place} has no legal basis")]
    NoBasis { place: String },
    /// Every legal basis has ended.
    #[error("{place}: every legal basis has ended")]
    BasisEnded { place: String },
    /// The rule itself has ended.
    #[error("{place} has ended; remove it, or make a new version")]
    RuleEnded { place: String },
    /// Ends before it begins.
    #[error("{place}: valid_to is before valid_from")]
    EndsBeforeItBegins { place: String },
    /// A rule that releases nothing.
    #[error("{place} releases nothing")]
    EmptyRelease { place: String },
    /// A rule that would release a personal number to a system without a legal basis for it (*number-confinement*).
    #[error(
        "{place} releases {field:?} to system {system:?} which has no legal basis in force to use personal numbers"
    )]
    PersonalNumberWithoutBasis { place: String, system: String, field: String },
    /// A rule that names a revoked system. That system gets nothing.
    #[error("{place} names system {system:?} which is revoked and gets nothing; take it out of `consumers`")]
    ReleaseToRevoked { place: String, system: String },
    /// Two rules for the same thing at the same time: which one would the log name?
    #[error(
        "{place} and {other} both release dataset {dataset:?} to system {system:?} for affair {affair:?} at the same time"
    )]
    Overlap { place: String, other: String, system: String, affair: String, dataset: &'static str },
    /// An auditor that could audit itself, or that could see what auditors must not see (separation of duties, 職務分離).
    #[error("system {system:?} is an auditor and may have no other role, personal number or unified number")]
    AuditorWithOtherDuties { system: String },
    /// A console that could do something by itself.
    #[error(
        "system {system:?} is a console and may have no other role, personal number, unified number or protected address"
    )]
    ConsoleWithOtherDuties { system: String },
    /// The name under which the log keeps people who sign in with their own certificate.
    #[error("system {system:?} has an id that is kept for people who sign in with their own certificate")]
    ReservedId { system: String },
    /// Only auditors reconstruct transfers.
    #[error("system {system:?} has reconstruct_transfers, which is for auditors only")]
    ReconstructionWithoutAudit { system: String },
    /// The compiled decisions do not do what the rules say.
    #[error("{0}")]
    NotProved(Counterexample),
}

/// Line of a byte offset, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> u32 {
    let newlines = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}

/// The line of an error of TOML, and its message without the value that it may quote. A key is quoted, and the line never is: in
/// a file of people or of settings it may hold a name or a password.
#[must_use]
pub fn toml_problem(text: &str, error: &toml::de::Error) -> (u32, String) {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    (line, without_value(error.message()))
}

/// How serde begins the error of a value that is in no list.
const UNKNOWN_VARIANT: &str = "unknown variant";

/// Whether a word can be neither a name nor a number of a person.
fn is_plain_word(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    word.len() <= 20 && digits <= 4 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// `invalid type: string "x", expected a boolean` without `"x"`.
fn without_value(message: &str) -> String {
    for begins in ["invalid type: ", "invalid value: ", UNKNOWN_VARIANT] {
        let Some(rest) = message.strip_prefix(begins) else { continue };
        let (value, expected) = match rest.rfind(", expected ") {
            Some(place) => rest.split_at(place),
            None => (rest, ""),
        };
        // A word of a list may be shown: `none` where an algorithm is expected.
        if begins == UNKNOWN_VARIANT && is_plain_word(value.trim_matches([' ', '`'])) {
            return message.to_owned();
        }
        let kind = value.split([' ', '`', '"']).next().unwrap_or_default();
        return format!("{begins}{kind}{expected}");
    }
    message.to_owned()
}

// === impl PolicyError ===

impl PolicyError {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self { problems }
    }

    /// All problems, in the order of the file; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "policy.toml:{}: {}", self.line, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_toml_quotes_keys_and_never_a_value_or_a_line() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only errors matter here")]
        struct File {
            flag: Option<bool>,
            port: Option<u16>,
            word: Option<Word>,
        }
        #[derive(Debug, serde::Deserialize)]
        enum Word {
            One,
        }
        for (text, told) in [
            ("port = 1\nflag = \"secret\"\n", "invalid type: string, expected a boolean"),
            ("port = 1\nflag = 12345678\n", "invalid type: integer, expected a boolean"),
            ("port = 1\nport = 12345678\n", ""),
            ("port = 1\nsecret", ""),
            ("port = 1\nshoe = \"secret\"\n", "unknown field `shoe`, expected one of `flag`, `port`, `word`"),
            ("port = 1\nword = \"none\"\n", "unknown variant `none`, expected `One`"),
            ("port = 1\nword = \"123456789018\"\n", "unknown variant, expected `One`"),
        ] {
            let error = toml::from_str::<File>(text).unwrap_err();
            let (line, message) = toml_problem(text, &error);
            assert_eq!(line, 2, "{text}");
            assert!(!message.contains("secret") && !message.contains("1234"), "{message}");
            assert!(told.is_empty() || message == told, "{message}");
        }
    }
}
