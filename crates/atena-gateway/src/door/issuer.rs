//! Whether what an authority issued is of the authority in the settings, or of another one with the same name: an authority that was made
//! anew has the old name and a new key, and TLS would only say that a signature is bad.

use std::path::Path;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::extensions::ParsedExtension;
use x509_parser::parse_x509_crl;

use super::error::TlsError;
use crate::config::TlsConfig;

/// Who issued something: the name, and what identifies the key (RFC 5280 §4.2.1.1), where it is given.
pub(super) struct Issuer {
    name: Vec<u8>,
    key: Option<Vec<u8>>,
}

// === impl Issuer ===

impl Issuer {
    /// Whether both name one authority and one key of it.
    pub(super) fn is_of_one_key(&self, other: &Self) -> bool {
        self.name == other.name && self.key.is_some() && self.key == other.key
    }

    /// Whether an authority has its name.
    pub(super) fn is_one_of(&self, authorities: &[CertificateDer<'_>]) -> bool {
        authorities.iter().any(|authority| {
            x509_parser::parse_x509_certificate(authority)
                .is_ok_and(|(_, parsed)| parsed.subject().as_raw() == self.name.as_slice())
        })
    }
}

/// `None` where it can't be parsed.
pub(super) fn issuer_of_certificate(certificate: &CertificateDer<'_>) -> Option<Issuer> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let key = parsed.extensions().iter().find_map(|extension| authority_key(extension.parsed_extension()));
    Some(Issuer { name: parsed.issuer().as_raw().to_vec(), key })
}

/// `None` where it can't be parsed.
pub(super) fn issuer_of_list(list: &CertificateRevocationListDer<'_>) -> Option<Issuer> {
    let (_, parsed) = parse_x509_crl(list).ok()?;
    let key = parsed.extensions().iter().find_map(|extension| authority_key(extension.parsed_extension()));
    Some(Issuer { name: parsed.issuer().as_raw().to_vec(), key })
}

/// Refuses what was issued under the name of an authority in the settings, and with none of its keys. While an authority changes its key there
/// are two of one name.
pub(super) fn same_authority(
    config: &TlsConfig,
    path: &Path,
    authorities: &[CertificateDer<'_>],
    issuer: &Issuer,
) -> Result<(), TlsError> {
    let mut others = None;
    for authority in authorities {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(authority) else { continue };
        if parsed.subject().as_raw() != issuer.name.as_slice() {
            continue;
        }
        let own = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0.to_vec()),
            _ => None,
        });
        match (own, &issuer.key) {
            (Some(own), Some(key)) if own != *key => others = Some(parsed.subject().to_string()),
            _ => return Ok(()),
        }
    }
    let (path, client_ca) = (path.to_owned(), config.client_ca.clone());
    others.map_or(Ok(()), |authority| Err(TlsError::OtherAuthority { path, authority, client_ca }))
}

fn authority_key(extension: &ParsedExtension<'_>) -> Option<Vec<u8>> {
    match extension {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => Some(identifier.key_identifier.as_ref()?.0.to_vec()),
        _ => None,
    }
}
