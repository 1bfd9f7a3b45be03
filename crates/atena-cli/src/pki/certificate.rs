//! What a person wants to know of a certificate or a revocation list.

use std::net::IpAddr;
use std::path::Path;

use atena_gateway::{GatewayError, revocation_lists};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use crate::error::CliError;
use crate::hexadecimal::hexadecimal;
use crate::holder::Holder;

/// A certificate, read.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// Lower-case hexadecimal digits.
    pub(crate) serial: String,
    pub(crate) serial_bytes: Vec<u8>,
    pub(crate) subject: String,
    /// URIs that it names: the identity of a system or person.
    pub(crate) uris: Vec<String>,
    /// DNS names and addresses that it names: where a server is.
    pub(crate) names: Vec<String>,
    pub(crate) not_after: Timestamp,
}

/// A revocation list, read.
#[derive(Debug)]
pub(crate) struct RevocationList {
    pub(crate) issuer_name: String,
    pub(crate) next_update: Option<Timestamp>,
    /// Serial numbers, lower-case hexadecimal.
    pub(crate) revoked: Vec<String>,
}

// === impl Certificate ===

impl Certificate {
    /// The first certificate of a PEM file.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
        Self::parse(path, &text)
    }

    /// The first certificate of a PEM text, as if it were read from `path`.
    pub(crate) fn parse(path: &Path, pem: &str) -> Result<Self, CliError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|source| CliError::Pem { path: path.to_owned(), source })?;
        let malformed = || CliError::NotX509 { what: "certificate", path: path.to_owned() };
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| malformed())?;
        let (uris, names) = alternative_names(&parsed);
        Ok(Self {
            serial: hexadecimal(parsed.raw_serial()),
            serial_bytes: parsed.raw_serial().to_vec(),
            subject: parsed.subject().to_string(),
            uris,
            names,
            not_after: time(parsed.validity().not_after).ok_or_else(malformed)?,
        })
    }

    /// Whom it names, if that is exactly one system or person.
    pub(crate) fn holder(&self) -> Option<Holder> {
        match self.uris.as_slice() {
            [uri] => Holder::of_uri(uri),
            _ => None,
        }
    }
}

fn alternative_names(parsed: &X509Certificate<'_>) -> (Vec<String>, Vec<String>) {
    let (mut uris, mut names) = (Vec::new(), Vec::new());
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return (uris, names) };
    for name in &extension.value.general_names {
        match name {
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => names.extend(address(bytes)),
            _ => (),
        }
    }
    (uris, names)
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}

// === impl RevocationList ===

impl RevocationList {
    /// The lists of a file, as a gateway reads them.
    pub(crate) fn read(path: &Path) -> Result<Vec<Self>, CliError> {
        let malformed = || CliError::NotX509 { what: "revocation list (CRL)", path: path.to_owned() };
        let lists = revocation_lists(&[path.to_owned()]).map_err(GatewayError::from)?;
        let parsed = lists.iter().map(|(_, list)| Self::of(&x509_parser::parse_x509_crl(list).ok()?.1));
        parsed.map(|list| list.ok_or_else(malformed)).collect()
    }

    fn of(list: &CertificateRevocationList<'_>) -> Option<Self> {
        Some(Self {
            issuer_name: list.issuer().to_string(),
            next_update: match list.next_update() {
                Some(next) => Some(time(next)?),
                None => None,
            },
            revoked: list.iter_revoked_certificates().map(|revoked| hexadecimal(revoked.raw_serial())).collect(),
        })
    }
}

fn time(time: ASN1Time) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}
