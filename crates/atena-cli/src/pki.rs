//! A certificate authority for development: enough to try everything with real mutual TLS on one machine.
//!
//! A municipality that has an authority of its own puts its files in place of these; the gateway only reads them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::ToSpan as _;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::error::CliError;
use crate::home::Home;

/// Years that the authority is valid. Its certificates are valid for one.
const AUTHORITY_YEARS: i16 = 10;

/// An authority that was just made; its key is on disk and in memory until this is dropped.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    today: Date,
}

// === impl Authority ===

impl Authority {
    /// Makes an authority and writes `pki/ca.crt` and `pki/ca.key`.
    ///
    /// # Errors
    /// [`CliError::File`] when a file exists or can't be written, [`CliError::Certificate`] when no certificate can be made.
    pub(crate) fn create(home: &Home, municipality_code: &str, today: Date) -> Result<Self, CliError> {
        let key = KeyPair::generate()?;
        let mut params = params(&format!("Atena development CA {municipality_code}"), today, AUTHORITY_YEARS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key)?;
        write_public(&home.authority(), &issuer.pem())?;
        write_secret(&home.pki().join("ca.key"), &issuer.key().serialize_pem())?;
        Ok(Self { issuer, today })
    }

    /// Writes `pki/server.crt` and `pki/server.key` for `localhost` and the names given (DNS names or addresses).
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub(crate) fn issue_server(&self, home: &Home, names: &[String]) -> Result<(), CliError> {
        let mut params = params("atena gateway", self.today, 1);
        for name in ["localhost", "127.0.0.1", "::1"].into_iter().chain(names.iter().map(String::as_str)) {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.try_into()?),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, &home.pki(), "server")
    }

    /// Writes `pki/systems/<id>.crt` and `.key`. The only identity in it is the URI
    /// `spiffe://<municipality code>.atena/system/<id>`.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub(crate) fn issue_system(&self, home: &Home, municipality_code: &str, system_id: &str) -> Result<(), CliError> {
        let mut params = params(system_id, self.today, 1);
        let uri = format!("spiffe://{municipality_code}.atena/system/{system_id}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params, &home.systems(), system_id)
    }

    fn issue(&self, mut params: CertificateParams, folder: &Path, name: &str) -> Result<(), CliError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        write_public(&folder.join(format!("{name}.crt")), &certificate.pem())?;
        write_secret(&folder.join(format!("{name}.key")), &key.serialize_pem())
    }
}

/// Writes a new file that anyone may read.
pub(crate) fn write_public(path: &Path, text: &str) -> Result<(), CliError> {
    write_new(path, text, 0o644)
}

fn write_secret(path: &Path, text: &str) -> Result<(), CliError> {
    write_new(path, text, 0o600)
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if let Some(folder) = path.parent() {
            fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(CliError::file("write", path))
}

/// Valid from the day before, so that a clock that is a little behind accepts it.
fn params(common_name: &str, today: Date, years: i16) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let first = today.saturating_sub(1.day());
    let last = today.saturating_add(years.years());
    params.not_before = date_time_ymd(first.year().into(), first.month().unsigned_abs(), first.day().unsigned_abs());
    params.not_after = date_time_ymd(last.year().into(), last.month().unsigned_abs(), last.day().unsigned_abs());
    params
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use jiff::civil::date;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, UnixTime};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, crypto};

    use super::*;

    fn made_on(today: Date) -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        fs::create_dir_all(home.systems()).unwrap();
        let authority = Authority::create(&home, "132098", today).unwrap();
        authority.issue_server(&home, &["atena.example".to_owned()]).unwrap();
        authority.issue_system(&home, "132098", "pension").unwrap();
        (folder, home)
    }

    fn verify(home: &Home, certificate: &str, at: Date) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(home.authority()).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(crypto::aws_lc_rs::default_provider()),
        )
        .build()
        .unwrap();
        let certificate = CertificateDer::from_pem_file(home.pki().join(certificate)).unwrap();
        let seconds = jiff::tz::Offset::UTC.to_timestamp(at.at(0, 0, 0, 0)).unwrap().as_second();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.unsigned_abs()));
        verifier.verify_client_cert(&certificate, &[], now).map(|_| ())
    }

    #[test]
    fn a_system_certificate_is_accepted_for_a_year_and_a_server_certificate_never_as_a_client() {
        let (_folder, home) = made_on(date(2026, 11, 1));
        verify(&home, "systems/pension.crt", date(2026, 11, 1)).unwrap();
        verify(&home, "systems/pension.crt", date(2027, 10, 31)).unwrap();
        verify(&home, "systems/pension.crt", date(2027, 11, 2)).unwrap_err();
        verify(&home, "server.crt", date(2026, 11, 1)).unwrap_err();
    }

    #[test]
    fn the_only_name_in_a_system_certificate_is_its_uri() {
        let (_folder, home) = made_on(date(2026, 11, 1));
        let certificate = CertificateDer::from_pem_file(home.systems().join("pension.crt")).unwrap();
        let uri = b"spiffe://132098.atena/system/pension";
        assert!(certificate.windows(uri.len()).any(|window| window == uri));
        assert!(!certificate.windows(9).any(|window| window == b"localhost"));
    }

    #[test]
    fn private_keys_are_readable_by_their_owner_only() {
        let (_folder, home) = made_on(date(2026, 11, 1));
        for key in ["ca.key", "server.key", "systems/pension.key"] {
            let mode = fs::metadata(home.pki().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let (_folder, home) = made_on(date(2026, 11, 1));
        assert!(Authority::create(&home, "132098", date(2026, 11, 1)).is_err());
    }
}
