//! TLS settings of the door, as the files say now.

use std::cmp::Reverse;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atena_vault::private_file;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use x509_parser::parse_x509_crl;

use super::error::TlsError;
use super::expiry::{self, Expiry, Kind};
use super::issuer::{issuer_of_certificate, issuer_of_list, same_authority};
use super::lists::{self, List, Revoked};
use super::refusals::Remembering;
use crate::clock::{self, Validity};
use crate::config::TlsConfig;

/// First byte of a DER structure (SEQUENCE): a revocation list that is not PEM.
const DER_SEQUENCE: u8 = 0x30;

/// What the door shows and whom it believes. It never changes; a reload makes a new one.
pub(crate) struct Tls {
    server: Arc<ServerConfig>,
    clients: Clients,
    expiries: Vec<Expiry>,
}

/// Whose client certificates are believed: by the door, and of operators at the machine.
pub(crate) struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    lists: Vec<List>,
    /// What is revoked besides, by lists that could not be taken as a whole.
    revoked: Revoked,
    expiries: Vec<Expiry>,
}

// === impl Clients ===

impl Clients {
    /// Reads the authority and its revocation lists.
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let (authorities, lists) = (certificates(&config.client_ca)?, revocation_lists(&config.client_crls)?);
        for (path, list) in &lists {
            let malformed = || TlsError::Malformed { what: "revocation list", path: path.clone() };
            let issuer = issuer_of_list(list).ok_or_else(malformed)?;
            same_authority(config, path, &authorities, &issuer)?;
            // A list with a bad signature would keep every client of its authority out.
            if issuer.is_one_of(&authorities) && !authorities.iter().any(|it| lists::is_signed_by(list, it)) {
                return Err(TlsError::NotSigned { path: path.clone(), client_ca: config.client_ca.clone() });
            }
        }
        Self::of(config, authorities, lists, Revoked::default())
    }

    /// Those of `before` whom the files still name, by the lists that can be read and were signed
    /// by the same authorities; `None` where that changes nothing.
    fn load_less(config: &TlsConfig, before: &Self) -> Option<Self> {
        let named = certificates(&config.client_ca).unwrap_or_default();
        let mut authorities = before.authorities.clone();
        authorities.retain(|authority| named.contains(authority));
        if authorities.is_empty() {
            // An authority that is replaced rather than taken out of several: its list may follow in a moment.
            authorities.clone_from(&before.authorities);
        }
        let of_file = |path| revocation_lists(std::slice::from_ref(path)).unwrap_or_default();
        let new: Vec<_> = config.client_crls.iter().flat_map(of_file).collect();
        let (lists, revoked) = lists::narrowed(&before.lists, &new, &before.authorities, &before.revoked, clock::now());
        if authorities == before.authorities && lists == before.lists && revoked == before.revoked {
            return None;
        }
        Self::of(config, authorities, lists, revoked).ok()
    }

    /// Refuses lists that are older than those in force, and would let revoked certificates in
    /// again. An expired list refuses every client, so it may be of any age.
    fn follows(&self, before: &Self) -> Result<(), TlsError> {
        let now = clock::now();
        let signed = |lists: &[List], signer| -> Vec<List> {
            lists.iter().filter(|(_, list)| lists::is_signed_by(list, signer)).cloned().collect()
        };
        for authority in &self.authorities {
            let (new, known) = (signed(&self.lists, authority), signed(&before.lists, authority));
            // The newest comes first.
            if let (Some((path, new)), Some((_, known))) = (new.first(), known.first())
                && lists::is_older(new, known)
                && !lists::has_run_out(new, now)
            {
                return Err(TlsError::OlderList { path: path.clone() });
            }
        }
        Ok(())
    }

    fn of(
        config: &TlsConfig,
        authorities: Vec<CertificateDer<'static>>,
        mut lists: Vec<List>,
        revoked: Revoked,
    ) -> Result<Self, TlsError> {
        // Of several lists of one authority, only the first is looked at.
        lists.sort_by_key(|(_, list)| Reverse(lists::age(list)));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::ClientAuthority {
            path: config.client_ca.clone(),
            source,
        };
        let mut expiries = Vec::new();
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|source| refused(source.into()))?;
            let malformed = || TlsError::Malformed { what: "certificate", path: config.client_ca.clone() };
            expiries.push(expiry::of_certificate(Kind::ClientAuthority, authority).ok_or_else(malformed)?);
            listed(authority, &lists).ok_or_else(malformed)??;
        }
        for (path, list) in &lists {
            let malformed = || TlsError::Malformed { what: "revocation list", path: path.clone() };
            expiries.push(expiry::of_revocation_list(list).ok_or_else(malformed)?);
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(lists.iter().map(|(_, list)| list.clone()))
            .enforce_revocation_expiration()
            .build()
            .map_err(|source| refused(source.into()))?;
        let verifier = Arc::new(Remembering { verifier, revoked: revoked.clone() });
        Ok(Self { verifier, authorities, lists, revoked, expiries })
    }

    /// Whether a client certificate would be let in now: issued by an authority of ours, in its time, on no revocation list.
    pub(crate) fn believes(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let Some((certificate, intermediates)) = chain.split_first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        self.verifier.verify_client_cert(certificate, intermediates, UnixTime::now()).map(|_| ())
    }
}

// === impl Tls ===

impl Tls {
    /// Reads the files. TLS 1.3 only, client certificate required and looked up in revocation lists that have not run out. No
    /// resumption: a resumed session is not checked again, and its client would get past a revocation.
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let clients = Clients::load(config)?;
        let mut expiries = clients.expiries.clone();
        let key = BufReader::new(private_file::open(&config.key)?);
        let key = PrivateKeyDer::from_pem_reader(key).map_err(|source| TlsError::Pem {
            what: "private key",
            path: config.key.clone(),
            source,
        })?;
        let own = certificates(&config.certificate)?;
        let malformed = || TlsError::Malformed { what: "certificate", path: config.certificate.clone() };
        let shown = own.first().and_then(|own| expiry::of_certificate(Kind::ServerCertificate, own));
        expiries.push(shown.ok_or_else(malformed)?);
        let issuer = own.first().and_then(issuer_of_certificate).ok_or_else(malformed)?;
        same_authority(config, &config.certificate, &clients.authorities, &issuer)?;
        let own = CertifiedKey::from_der(own, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::KeyMismatch { certificate: config.certificate.clone(), key: config.key.clone() }
            }
            error => error.into(),
        })?;
        let own = Arc::new(SingleCertAndKey::from(own));
        Ok(Self { server: Arc::new(server(&clients, own)?), clients, expiries })
    }

    /// Reads the files, where another set of them is in force: lists that undo what that one says
    /// are refused.
    pub(crate) fn load_after(config: &TlsConfig, before: &Self) -> Result<Self, TlsError> {
        let tls = Self::load(config)?;
        tls.clients.follows(&before.clients)?;
        Ok(tls)
    }

    /// What the files take away from `before`; the rest stays as it was. `None` where that is nothing.
    pub(crate) fn load_less(config: &TlsConfig, before: &Self) -> Option<Self> {
        let clients = Clients::load_less(config, &before.clients)?;
        let own = before.expiries.iter().filter(|expiry| expiry.kind == Kind::ServerCertificate).cloned();
        let expiries = clients.expiries.iter().cloned().chain(own).collect();
        let server = server(&clients, Arc::clone(&before.server.cert_resolver)).ok()?;
        Some(Self { server: Arc::new(server), clients, expiries })
    }

    /// For handshakes.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Whether a client certificate would be let in now: issued by an authority of ours, in its time, on no revocation list.
    pub(crate) fn believes(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        self.clients.believes(chain)
    }

    /// When each of its files runs out.
    pub(crate) fn expiries(&self) -> &[Expiry] {
        &self.expiries
    }
}

fn server(clients: &Clients, own: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::clone(&clients.verifier))
        .with_cert_resolver(own);
    server.alpn_protocols = vec![b"h2".to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(server)
}

/// Every authority needs a list, even an empty one: without it rustls refuses every certificate, which is right but says nothing.
/// `None` where the certificate is malformed.
fn listed(authority: &CertificateDer<'_>, lists: &[List]) -> Option<Result<(), TlsError>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(authority).ok()?;
    let found = lists.iter().any(|(_, list)| {
        parse_x509_crl(list).is_ok_and(|(_, list)| list.issuer().as_raw() == parsed.subject().as_raw())
    });
    let issuer = |list: &CertificateRevocationListDer<'_>| Some(parse_x509_crl(list).ok()?.1.issuer().to_string());
    let missing = || TlsError::NoRevocationList {
        authority: parsed.subject().to_string(),
        found: match lists.iter().filter_map(|(_, list)| issuer(list)).collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "nobody (client_crls is empty)".to_owned(),
            some => some,
        },
    };
    Some(if found { Ok(()) } else { Err(missing()) })
}

/// The revocation lists (CRL) of files, PEM or DER, each with its file.
///
/// # Errors
/// A file can't be read, or holds none.
pub fn revocation_lists(paths: &[PathBuf]) -> Result<Vec<(PathBuf, CertificateRevocationListDer<'static>)>, TlsError> {
    let mut lists = Vec::new();
    for path in paths {
        let bytes = std::fs::read(path).map_err(|source| TlsError::Unreadable {
            what: "revocation list (CRL)",
            path: path.clone(),
            source,
            hint: "; the built-in authority writes it: atena pki renew --home DIR",
        })?;
        // Authorities publish DER as often as PEM.
        if bytes.first() == Some(&DER_SEQUENCE) {
            lists.push((path.clone(), CertificateRevocationListDer::from(bytes)));
            continue;
        }
        let pem = |source| TlsError::Pem { what: "revocation list (CRL)", path: path.clone(), source };
        let before = lists.len();
        for list in CertificateRevocationListDer::pem_slice_iter(&bytes) {
            lists.push((path.clone(), list.map_err(pem)?));
        }
        if lists.len() == before {
            return Err(pem(rustls::pki_types::pem::Error::NoItemsFound));
        }
    }
    Ok(lists)
}

/// When the gateway's own certificate is valid, as its file says now.
pub(crate) fn own_certificate(path: &Path) -> Result<Validity, TlsError> {
    let own = certificates(path)?;
    let malformed = || TlsError::Malformed { what: "certificate", path: path.to_owned() };
    let shown = own.first().and_then(|own| expiry::of_certificate(Kind::ServerCertificate, own));
    shown.map(|shown| Validity { from: shown.from, until: shown.at }).ok_or_else(malformed)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { what: "certificate", path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<_, _>>().map_err(pem)?;
    if found.is_empty() {
        return Err(pem(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}
