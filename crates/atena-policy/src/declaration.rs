//! `policy.toml` as it is written: structure only, nothing checked. Unknown keys are refused here.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declaration {
    pub(crate) municipality_code: Spanned<String>,
    #[serde(default, rename = "dataset")]
    pub(crate) datasets: Vec<DeclaredDataset>,
    pub(crate) registration: DeclaredRegistration,
    #[serde(default, rename = "system")]
    pub(crate) systems: Vec<DeclaredSystem>,
    #[serde(default, rename = "rule")]
    pub(crate) rules: Vec<DeclaredRule>,
}

/// `[[dataset]]`: who owns it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredDataset {
    pub(crate) id: Spanned<String>,
    pub(crate) owner: Spanned<String>,
    pub(crate) affair: Spanned<String>,
    pub(crate) basis: Option<Vec<DeclaredBasis>>,
}

/// `[registration]`: what is recorded with registrations.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredRegistration {
    pub(crate) affair: Spanned<String>,
    pub(crate) basis: Option<Vec<DeclaredBasis>>,
}

/// `[[system]]`: an entry of the registry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredSystem {
    pub(crate) id: Spanned<String>,
    pub(crate) name: Spanned<String>,
    pub(crate) division: Spanned<String>,
    #[serde(default)]
    pub(crate) roles: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) unified_address_number: bool,
    #[serde(default)]
    pub(crate) protected_address: bool,
    #[serde(default)]
    pub(crate) reconstruct_transfers: bool,
    #[serde(default)]
    pub(crate) personal_number_basis: Vec<DeclaredBasis>,
    #[serde(default)]
    pub(crate) revoked: bool,
}

/// `[[rule]]`: who may have what for which affair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredRule {
    pub(crate) id: Spanned<String>,
    pub(crate) name: Spanned<String>,
    pub(crate) version: Spanned<u32>,
    pub(crate) consumers: Spanned<Vec<Spanned<String>>>,
    pub(crate) affair: Spanned<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) valid_from: Spanned<Datetime>,
    pub(crate) valid_to: Option<Spanned<Datetime>>,
    pub(crate) basis: Option<Vec<DeclaredBasis>>,
    #[serde(default)]
    pub(crate) release: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
}

/// A citation with its validity.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredBasis {
    pub(crate) citation: Spanned<String>,
    pub(crate) valid_from: Spanned<Datetime>,
    pub(crate) valid_to: Option<Spanned<Datetime>>,
}

/// A TOML date without time and offset.
pub(crate) fn day(datetime: &Datetime) -> Option<Date> {
    match datetime {
        Datetime { date: Some(date), time: None, offset: None } => {
            Date::new(i16::try_from(date.year).ok()?, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
        }
        _ => None,
    }
}
