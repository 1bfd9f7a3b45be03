//! What a verified client certificate says about the caller.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// Longest URI kept for the transfer log; longer ones are no identity of ours.
const URI_CHARS_MAX: usize = 200;

/// What the connection proved: the certificate's single URI SAN. rustls has verified the chain before this exists.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    uri: Option<Arc<str>>,
}

// === impl Peer ===

impl Peer {
    /// Reads the identity from the certificate that the handshake verified. A certificate with no URI SAN, or with several
    /// (SPIFFE X.509-SVID §2: exactly one), proves nothing.
    pub(crate) fn from_certificate(certificate: &CertificateDer<'_>) -> Self {
        let uri = EndEntityCert::try_from(certificate).ok().and_then(|parsed| {
            let mut uris = parsed.valid_uri_names();
            match (uris.next(), uris.next()) {
                (Some(uri), None) if uri.len() <= URI_CHARS_MAX => Some(Arc::from(uri)),
                _ => None,
            }
        });
        Self { uri }
    }

    /// The URI as it stands in the certificate; `None` where the certificate proved nothing.
    pub(crate) fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// The system id of `spiffe://<municipality code>.atena/system/<id>`; `None` for anything else, other municipalities included
    /// (municipality-apart).
    pub(crate) fn system_id(&self, municipality_code: &str) -> Option<&str> {
        self.uri()?.strip_prefix("spiffe://")?.strip_prefix(municipality_code)?.strip_prefix(".atena/system/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uri: &str) -> Peer {
        Peer { uri: Some(Arc::from(uri)) }
    }

    #[test]
    fn only_the_exact_form_of_the_own_municipality_is_an_identity() {
        assert_eq!(peer("spiffe://132098.atena/system/pension").system_id("132098"), Some("pension"));
        for wrong in [
            "spiffe://131016.atena/system/pension",
            "spiffe://132098.atena/System/pension",
            "https://132098.atena/system/pension",
            "spiffe://132098.atena.example/system/pension",
            "spiffe://132098.atena/service/pension",
        ] {
            assert_eq!(peer(wrong).system_id("132098"), None, "{wrong}");
        }
    }
}
