//! The revocation list (CRL, RFC 5280 §5) of the built-in authority.

use std::path::Path;

use jiff::ToSpan as _;
use jiff::civil::Date;
use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::revocation_list::RevokedCertificate;
use x509_parser::time::ASN1Time;

use super::date_time;
use crate::error::CliError;

/// Days that a list is good for. A gateway lets nobody in on an older one, so it is renewed daily.
const LIST_DAYS: i32 = 35;

/// A certificate to revoke.
pub(crate) struct Revoked {
    pub(crate) serial: Vec<u8>,
    pub(crate) reason: RevocationReason,
}

/// The list at `path`, if there is one, with these added; PEM.
pub(super) fn renewed(
    path: &Path,
    revoked: &[Revoked],
    issuer: &Issuer<'_, KeyPair>,
    today: Date,
) -> Result<String, CliError> {
    let now = ASN1Time::now();
    let mut revoked_certs = match std::fs::read(path) {
        Ok(pem) => listed(path, &pem)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(CliError::file("read", path)(error)),
    };
    for one in revoked {
        let serial_number = SerialNumber::from_slice(&one.serial);
        if revoked_certs.iter().all(|known| known.serial_number != serial_number) {
            revoked_certs.push(RevokedCertParams {
                serial_number,
                revocation_time: now.to_datetime(),
                reason_code: Some(one.reason),
                invalidity_date: None,
            });
        }
    }
    let list = CertificateRevocationListParams {
        // From the day before, as certificates are.
        this_update: date_time(today.saturating_sub(1.day())),
        next_update: date_time(today.saturating_add(LIST_DAYS.days())),
        // Only has to grow (§5.2.3).
        crl_number: SerialNumber::from_slice(&jiff::Timestamp::now().as_millisecond().to_be_bytes()),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(list.signed_by(issuer)?.pem()?)
}

fn listed(path: &Path, pem: &[u8]) -> Result<Vec<RevokedCertParams>, CliError> {
    let der = CertificateRevocationListDer::from_pem_slice(pem)
        .map_err(|source| CliError::Pem { path: path.to_owned(), source })?;
    let malformed = |_| CliError::NotX509 { what: "revocation list (CRL)", path: path.to_owned() };
    let (_, list) = x509_parser::parse_x509_crl(&der).map_err(malformed)?;
    let entry = |revoked: &RevokedCertificate<'_>| RevokedCertParams {
        serial_number: SerialNumber::from_slice(revoked.raw_serial()),
        revocation_time: revoked.revocation_date.to_datetime(),
        reason_code: revoked.reason_code().map(|(_, code)| reason(code.0)),
        invalidity_date: None,
    };
    Ok(list.iter_revoked_certificates().map(entry).collect())
}

/// The reasons that this authority gives, by their numbers (§5.3.1).
fn reason(code: u8) -> RevocationReason {
    match code {
        1 => RevocationReason::KeyCompromise,
        4 => RevocationReason::Superseded,
        5 => RevocationReason::CessationOfOperation,
        _ => RevocationReason::Unspecified,
    }
}
