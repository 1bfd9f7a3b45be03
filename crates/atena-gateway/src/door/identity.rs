//! What a verified client certificate says about the caller.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Longest URI kept for the transfer log; longer ones are no identity of ours.
const URI_CHARS_MAX: usize = 200;

/// What the connection proved: the certificate's single URI SAN. rustls has verified the chain before this exists.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    uri: Option<Arc<str>>,
    proved_at: Timestamp,
}

/// Whom a certificate names, by the last part of its URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// `spiffe://<municipality code>.atena/system/<id>`.
    System(&'a str),
    /// `spiffe://<municipality code>.atena/person/<account id>`.
    Person(&'a str),
}

// === impl Peer ===

impl Peer {
    /// Reads the identity from the certificate that the handshake verified. A certificate with no URI SAN, or with several
    /// (SPIFFE X.509-SVID §2: exactly one), proves nothing. `now` is when the handshake showed that the peer has the key.
    pub(crate) fn from_certificate(certificate: &CertificateDer<'_>, now: Timestamp) -> Self {
        let uri = EndEntityCert::try_from(certificate).ok().and_then(|parsed| {
            let mut uris = parsed.valid_uri_names();
            match (uris.next(), uris.next()) {
                (Some(uri), None) if uri.len() <= URI_CHARS_MAX => Some(Arc::from(uri)),
                _ => None,
            }
        });
        Self { uri, proved_at: now }
    }

    /// The URI as it stands in the certificate; `None` where the certificate proved nothing.
    pub(crate) fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// When the peer proved it.
    pub(crate) fn proved_at(&self) -> Timestamp {
        self.proved_at
    }

    /// Who is named; `None` for anything that is not exactly of this form, other municipalities included (municipality-apart).
    pub(crate) fn named(&self, municipality_code: &str) -> Option<Named<'_>> {
        let path = self.uri()?.strip_prefix("spiffe://")?.strip_prefix(municipality_code)?.strip_prefix(".atena/")?;
        let system = path.strip_prefix("system/").map(Named::System);
        system.or_else(|| path.strip_prefix("person/").map(Named::Person))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uri: &str) -> Peer {
        Peer { uri: Some(Arc::from(uri)), proved_at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn only_the_exact_form_of_the_own_municipality_is_an_identity() {
        let named = |uri: &str, is: Option<Named<'_>>| assert_eq!(peer(uri).named("132098"), is, "{uri}");
        named("spiffe://132098.atena/system/pension", Some(Named::System("pension")));
        named("spiffe://132098.atena/person/a1001", Some(Named::Person("a1001")));
        for wrong in [
            "spiffe://131016.atena/system/pension",
            "spiffe://132098.atena/System/pension",
            "https://132098.atena/system/pension",
            "spiffe://132098.atena.example/system/pension",
            "spiffe://132098.atena/service/pension",
            "spiffe://131016.atena/person/a1001",
            "spiffe://132098.atena/persons/a1001",
        ] {
            named(wrong, None);
        }
    }
}
