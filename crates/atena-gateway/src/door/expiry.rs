//! When certificates and revocation lists run out, told in time: a gateway that suddenly refuses everybody helps nobody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_crl;

use super::identity::Peer;

/// Days before its end at which a certificate is warned of: it lives for a year.
pub const CERTIFICATE_NOTICE_DAYS: i64 = 30;

/// Days before its end at which a revocation list is warned of: it lives for weeks.
pub const LIST_NOTICE_DAYS: i64 = 7;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Something that runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) kind: Kind,
    /// Whose, in the words of the certificate or list.
    pub(crate) name: String,
    /// Its beginning.
    pub(crate) from: Timestamp,
    pub(crate) at: Timestamp,
}

/// What runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ServerCertificate,
    ClientAuthority,
    RevocationList,
    ClientCertificate,
}

/// Clients whose certificates ends soon and who were warned of, with the day (since 1970) of the warning.
#[derive(Default)]
pub(crate) struct Warned(Mutex<HashMap<String, i64>>);

/// `None` where it can't be parsed.
pub(crate) fn of_certificate(kind: Kind, certificate: &CertificateDer<'_>) -> Option<Expiry> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let at = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()?;
    let from = Timestamp::from_second(parsed.validity().not_before.timestamp()).ok()?;
    Some(Expiry { kind, name: parsed.subject().to_string(), from, at })
}

/// `None` where it can't be parsed or never runs out: a list that is good for ever hides that nobody renews it (RFC 5280 §5.1.2.5
/// demands the field).
pub(crate) fn of_revocation_list(list: &[u8]) -> Option<Expiry> {
    let (_, parsed) = parse_x509_crl(list).ok()?;
    let at = Timestamp::from_second(parsed.next_update()?.timestamp()).ok()?;
    let from = Timestamp::from_second(parsed.last_update().timestamp()).ok()?;
    Some(Expiry { kind: Kind::RevocationList, name: parsed.issuer().to_string(), from, at })
}

// === impl Expiry ===

impl Expiry {
    /// Seconds until it runs out; negative afterwards.
    pub(crate) fn left_s(&self, now: Timestamp) -> i64 {
        self.at.as_second() - now.as_second()
    }

    /// Whether somebody should do something about it.
    pub(crate) fn soon(&self, now: Timestamp) -> bool {
        self.left_s(now) < self.kind.notice_days() * DAY_S
    }

    /// Tells the operator, if it is time.
    pub(crate) fn warn(&self, now: Timestamp) {
        if self.from > now {
            tracing::error!(
                what = self.kind.as_str(), name = self.name, from = %self.from, %now,
                "not valid yet, by this machine's clock: {}. Is the clock right?", self.kind.consequence_before()
            );
        } else if self.left_s(now) <= 0 {
            tracing::error!(what = self.kind.as_str(), name = self.name, at = %self.at, "ran out: {}", self.kind.consequence());
        } else if self.soon(now) {
            tracing::warn!(what = self.kind.as_str(), name = self.name, at = %self.at, "runs out soon: renew it");
        }
    }
}

// === impl Kind ===

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ServerCertificate => "server certificate",
            Self::ClientAuthority => "client authority",
            Self::RevocationList => "revocation list",
            Self::ClientCertificate => "client certificate",
        }
    }

    /// Days before the end at which a warning begins.
    fn notice_days(self) -> i64 {
        if self == Self::RevocationList { LIST_NOTICE_DAYS } else { CERTIFICATE_NOTICE_DAYS }
    }

    /// What follows from one that is not valid yet.
    fn consequence_before(self) -> &'static str {
        match self {
            Self::ServerCertificate => "clients refuse to connect",
            Self::ClientAuthority => "no client is let in until then",
            Self::RevocationList => "it is from the future",
            Self::ClientCertificate => "this client is not let in until then",
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::ServerCertificate => "clients refuse to connect",
            Self::ClientAuthority => "no client is let in until it is renewed",
            Self::RevocationList => "no client is let in until it is renewed (the built-in authority: atena pki renew)",
            Self::ClientCertificate => "this client is not let in",
        }
    }
}

// === impl Warned ===

impl Warned {
    /// Warns of a client certificate that ends soon, at most once a day for each identity.
    pub(crate) fn look(&self, peer: &Peer, certificate: &CertificateDer<'_>, now: Timestamp) {
        let Some(expiry) =
            of_certificate(Kind::ClientCertificate, certificate).filter(|expiry| expiry.soon(now) || expiry.from > now)
        else {
            return;
        };
        let day = now.as_second() / DAY_S;
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warned.retain(|_, of| *of == day);
        if warned.insert(peer.uri().unwrap_or_default().to_owned(), day).is_none() {
            expiry.warn(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_warned_of_a_week_ahead_and_a_certificate_a_month() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let ends = |kind, days: i64| {
            let at = Timestamp::from_second(now.as_second() + days * DAY_S).unwrap();
            Expiry { kind, name: String::new(), from: Timestamp::UNIX_EPOCH, at }.soon(now)
        };
        assert!(ends(Kind::RevocationList, 6) && !ends(Kind::RevocationList, 8));
        assert!(ends(Kind::ServerCertificate, 29) && !ends(Kind::ServerCertificate, 31));
        assert!(ends(Kind::ClientAuthority, -1));
    }
}
