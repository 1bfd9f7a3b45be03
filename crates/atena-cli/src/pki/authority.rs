//! The built-in certificate authority: enough for one machine or a small town hall to have real mutual TLS.
//!
//! A municipality that has an authority of its own puts its files in place of these; the gateway only reads them.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use atena_vault::private_file;
use jiff::ToSpan as _;
use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};

use super::certificate::Certificate;
use super::date_time;
use super::files::{replace_public, replace_secret, write_public, write_secret};
use super::revocation::{self, Revoked};
use crate::error::CliError;
use crate::holder::Holder;
use crate::home::Home;
use crate::init::private_directory;

/// Years that the authority is valid.
const AUTHORITY_YEARS: i16 = 10;

/// Days that a certificate is valid unless somebody says otherwise.
pub(crate) const CERTIFICATE_DAYS: u16 = 366;

/// Bytes of a serial number: random, so that it tells nothing (RFC 5280 §4.1.2.2 allows up to 20).
const SERIAL_BYTES: usize = 16;

/// The authority of a home, with its key in memory until this is dropped.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    home: Home,
    today: Date,
}

// === impl Authority ===

impl Authority {
    /// Makes an authority: `pki/ca.crt`, `pki/ca.key`, and a revocation list with nobody on it, `pki/ca.crl`.
    ///
    /// # Errors
    /// [`CliError::File`] when a file exists or can't be written, [`CliError::Certificate`] when no certificate can be made.
    pub(crate) fn create(home: &Home, municipality_code: &str, today: Date) -> Result<Self, CliError> {
        let key = KeyPair::generate()?;
        let common_name = format!("Atena development CA {municipality_code}");
        let mut params = params(&common_name, today, today.saturating_add(AUTHORITY_YEARS.years()))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = CertifiedIssuer::self_signed(params, key)?;
        write_public(&home.authority(), &made.pem())?;
        write_secret(&home.authority_key(), &made.key().serialize_pem())?;
        let authority = Self::open(home, today)?;
        authority.revoke(&[])?;
        Ok(authority)
    }

    /// The authority that lies in a home.
    ///
    /// # Errors
    /// [`CliError::NoAuthority`] where its key is not there: the municipality has an authority of its own, or keeps the key elsewhere.
    pub(crate) fn open(home: &Home, today: Date) -> Result<Self, CliError> {
        let path = home.authority_key();
        let key = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(CliError::NoAuthority { path }),
            key => key.map_err(CliError::file("read", &path))?,
        };
        private_file::check(&path)?;
        let certificate = home.authority();
        let text = fs::read_to_string(&certificate).map_err(CliError::file("read", &certificate))?;
        let issuer = Issuer::from_ca_cert_pem(&text, KeyPair::from_pem(&key)?)?;
        Ok(Self { issuer, home: home.clone(), today })
    }

    /// Issues `pki/server.crt` and `pki/server.key` for these names (DNS names or addresses), in place of those that are there.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub(crate) fn issue_server<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<Certificate, CliError> {
        let mut params = params("atena gateway", self.today, self.until(CERTIFICATE_DAYS))?;
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.try_into()?),
            });
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, &self.home.pki(), "server")
    }

    /// Issues `<id>.crt` and `<id>.key` in `folder`, in place of those that are there. The only identity in it is the holder's URI,
    /// `spiffe://<municipality code>.atena/system/<id>` or `…/person/<id>`.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub(crate) fn issue_client(
        &self,
        municipality_code: &str,
        holder: &Holder,
        days: u16,
        folder: &Path,
    ) -> Result<Certificate, CliError> {
        self.issue(self.client_params(municipality_code, holder, days)?, folder, holder.id())
    }

    /// Issues `<id>.crt` in `folder` for the key of a certificate signing request (PKCS #10, PEM). Nothing else is taken from the
    /// request: who the holder is, is said here.
    ///
    /// # Errors
    /// As [`Authority::create`]; a request that its key did not sign.
    pub(crate) fn issue_requested(
        &self,
        municipality_code: &str,
        holder: &Holder,
        days: u16,
        request: &str,
        folder: &Path,
    ) -> Result<Certificate, CliError> {
        let mut request = CertificateSigningRequestParams::from_pem(request)?;
        request.params = self.client_params(municipality_code, holder, days)?;
        let pem = request.signed_by(&self.issuer)?.pem();
        let certificate = self.keep(&pem)?;
        replace_public(&folder.join(format!("{}.crt", holder.id())), &pem)?;
        Ok(certificate)
    }

    /// Signs a new revocation list: those that were on it, and these.
    ///
    /// # Errors
    /// As [`Authority::create`].
    pub(crate) fn revoke(&self, revoked: &[Revoked]) -> Result<(), CliError> {
        let path = self.home.revocation_list();
        replace_public(&path, &revocation::renewed(&path, revoked, &self.issuer, self.today)?)
    }

    fn client_params(
        &self,
        municipality_code: &str,
        holder: &Holder,
        days: u16,
    ) -> Result<CertificateParams, CliError> {
        let mut params = params(holder.id(), self.today, self.until(days))?;
        let uri = holder.uri(municipality_code);
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    fn until(&self, days: u16) -> Date {
        self.today.saturating_add(i32::from(days).days())
    }

    fn issue(&self, mut params: CertificateParams, folder: &Path, name: &str) -> Result<Certificate, CliError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let pem = params.signed_by(&key, &self.issuer)?.pem();
        let certificate = self.keep(&pem)?;
        replace_secret(&folder.join(format!("{name}.key")), &key.serialize_pem())?;
        replace_public(&folder.join(format!("{name}.crt")), &pem)?;
        Ok(certificate)
    }

    /// Keeps a copy of every certificate that was ever issued: what is not known can't be revoked.
    fn keep(&self, pem: &str) -> Result<Certificate, CliError> {
        let folder = self.home.issued();
        private_directory(&folder)?;
        let certificate = Certificate::parse(&folder, pem)?;
        write_public(&folder.join(format!("{}.crt", certificate.serial)), pem)?;
        Ok(certificate)
    }
}

/// Valid from the day before, so that a clock that is a little behind accepts it.
fn params(common_name: &str, today: Date, last: Date) -> Result<CertificateParams, CliError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time(today.saturating_sub(1.day()));
    params.not_after = date_time(last);
    let mut serial = [0; SERIAL_BYTES];
    getrandom::fill(&mut serial).map_err(|_| CliError::Random)?;
    // A serial number is positive: the first bit is a sign.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
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
        authority.issue_server(["localhost", "atena.example"]).unwrap();
        authority.issue_client("132098", &Holder::parse("pension"), CERTIFICATE_DAYS, &home.systems()).unwrap();
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
        verify(&home, "systems/pension.crt", date(2027, 11, 1)).unwrap();
        verify(&home, "systems/pension.crt", date(2027, 11, 3)).unwrap_err();
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
    fn an_authority_is_never_overwritten() {
        let (_folder, home) = made_on(date(2026, 11, 1));
        assert!(Authority::create(&home, "132098", date(2026, 11, 1)).is_err());
    }

    #[test]
    fn a_request_gives_its_key_and_nothing_else() {
        let (_folder, home) = made_on(date(2026, 11, 1));
        let key = KeyPair::generate().unwrap();
        let mut wished = CertificateParams::default();
        wished.subject_alt_names = vec![SanType::URI("spiffe://132098.atena/system/pension".try_into().unwrap())];
        wished.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let request = wished.serialize_request(&key).unwrap().pem().unwrap();
        let authority = Authority::open(&home, date(2026, 11, 1)).unwrap();
        let issued =
            authority.issue_requested("132098", &Holder::parse("welfare"), 30, &request, &home.systems()).unwrap();
        assert_eq!(issued.uris, ["spiffe://132098.atena/system/welfare"]);
        verify(&home, "systems/welfare.crt", date(2026, 11, 30)).unwrap();
        assert!(!home.systems().join("welfare.key").exists());
    }
}
