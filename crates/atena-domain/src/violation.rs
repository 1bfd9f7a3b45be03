//! What is wrong with a record: every violation at once, never a value.

use std::borrow::Cow;

/// One field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path below the record, as in the contract, e.g. `months[3].status`.
    pub field: String,
    /// The rule, in words for the owner of the record. Never holds a value.
    pub text: Cow<'static, str>,
}

impl Violation {
    /// A violation of `field`.
    pub fn new(field: impl Into<String>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), text: text.into() }
    }
}
