//! Whom a client certificate names: a system, or a person.

use std::fmt;
use std::path::PathBuf;

use crate::home::Home;

/// The holder of a client certificate, as `--as` names it: `pension`, or `person/a1001`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    /// A system of policy.toml.
    System(String),
    /// An account of people.toml.
    Person(String),
}

// === impl Holder ===

impl Holder {
    /// As `--as` and [`fmt::Display`] spell it.
    pub(crate) fn parse(text: &str) -> Self {
        match text.strip_prefix("person/") {
            Some(account) => Self::Person(account.to_owned()),
            None => Self::System(text.to_owned()),
        }
    }

    /// The holder whom the URI of a certificate names.
    pub(crate) fn of_uri(uri: &str) -> Option<Self> {
        let path = uri.strip_prefix("spiffe://")?.split_once(".atena/")?.1;
        let system = path.strip_prefix("system/").map(|id| Self::System(id.to_owned()));
        system.or_else(|| path.strip_prefix("person/").map(|id| Self::Person(id.to_owned())))
    }

    /// The URI that is the only identity in the certificate.
    pub(crate) fn uri(&self, municipality_code: &str) -> String {
        match self {
            Self::System(id) => format!("spiffe://{municipality_code}.atena/system/{id}"),
            Self::Person(id) => format!("spiffe://{municipality_code}.atena/person/{id}"),
        }
    }

    /// The id of the system or account: the name of its files.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::System(id) | Self::Person(id) => id,
        }
    }

    /// "system" or "person".
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::System(_) => "system",
            Self::Person(_) => "person",
        }
    }

    /// Where a home keeps its certificate.
    pub(crate) fn folder(&self, home: &Home) -> PathBuf {
        match self {
            Self::System(_) => home.systems(),
            Self::Person(_) => home.people_certificates(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(id) => text.write_str(id),
            Self::Person(id) => write!(text, "person/{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_named_the_same_way_on_the_command_line_and_in_its_certificate() {
        for text in ["pension", "person/a1001"] {
            let holder = Holder::parse(text);
            assert_eq!(holder.to_string(), text);
            assert_eq!(Holder::of_uri(&holder.uri("132098")), Some(holder));
        }
        assert_eq!(Holder::of_uri("https://132098.atena/system/pension"), None);
        assert_eq!(Holder::of_uri("spiffe://132098.atena/host/pension"), None);
    }
}
