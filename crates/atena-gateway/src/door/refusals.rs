//! Who was not let in at the door, and why: a line in the log, and a counter by reason.
//!
//! TLS tells a refused client little, and a client that is refused often is the normal case of a certificate that nobody renewed. So the
//! operator reads here whose it is. Lines are limited by reason, so that a flood of one kind hides none of another; the counter is exact.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use atena_domain::MunicipalityCode;
use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_parser::extensions::GeneralName;

use super::lists::Revoked;

/// Lines of the log for one reason in one window.
const LINES_MAX: usize = 10;

/// How long a window lasts. One certificate has one line for one reason in it.
const WINDOW: Duration = Duration::from_secs(60);

/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 200;

tokio::task_local! {
    /// The certificate that the handshake of this task refused.
    static REFUSED: RefCell<Option<Certificate>>;
}

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Why {
    NoCertificate,
    Expired,
    NotYetValid,
    Revoked,
    UnknownAuthority,
    ListMissing,
    ListExpired,
    ListUnusable,
    WrongPurpose,
    BadSignature,
    Malformed,
    WrongName,
    NotTls,
    TlsVersion,
    ServerNotTrusted,
    Alert,
    TooSlow,
    TooManyConnections,
    Closed,
    Other,
}

/// What a certificate says of itself. Nothing of it has to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    names: String,
    subject: String,
    issuer: String,
    serial: String,
}

/// Counts refusals, and tells of them.
pub(super) struct Refusals {
    counter: Counter<u64>,
    municipality: KeyValue,
    told: Mutex<HashMap<Why, Told>>,
}

/// What was told of one reason in this window.
struct Told {
    since: Instant,
    whom: HashSet<String>,
    untold: u64,
}

/// Remembers the certificate that it refuses, for the log. What the verifier refuses stays refused.
#[derive(Debug)]
pub(super) struct Remembering {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// What is revoked besides what the verifier knows of.
    pub(super) revoked: Revoked,
}

/// Runs a handshake, and tells which certificate it refused, if any.
pub(super) async fn remembering<T>(handshake: impl Future<Output = T>) -> (T, Option<Certificate>) {
    let both = async {
        let done = handshake.await;
        (done, REFUSED.with(RefCell::take))
    };
    REFUSED.scope(RefCell::new(None), both).await
}

// === impl Refusals ===

impl Refusals {
    pub(super) fn of(municipality: &MunicipalityCode) -> Self {
        let counter = global::meter("atena")
            .u64_counter("atena.door.refusals")
            .with_description("Connections that were refused before any call, by reason")
            .build();
        let municipality = KeyValue::new("municipality_code", municipality.as_str().to_owned());
        Self { counter, municipality, told: Mutex::default() }
    }

    /// Counts and tells one refusal.
    pub(super) fn note(&self, why: Why, certificate: Option<&Certificate>, from: SocketAddr) {
        self.counter.add(1, &[self.municipality.clone(), KeyValue::new("reason", why.as_str())]);
        self.tell(why, certificate, from);
    }

    /// Tells of a client that is let in and whose calls are all refused: each of them is counted
    /// there.
    pub(super) fn tell(&self, why: Why, certificate: Option<&Certificate>, from: SocketAddr) {
        let whom = certificate.map_or_else(|| from.ip().to_string(), |it| format!("{} {}", it.issuer, it.serial));
        let Some(untold) = self.turn(why, whom, Instant::now()) else { return };
        let reason = why.as_str();
        match certificate {
            Some(it) => tracing::warn!(
                reason, %from, names = it.names, subject = it.subject, issuer = it.issuer, serial = it.serial, untold,
                "a client is refused: {why}"
            ),
            None => tracing::warn!(reason, %from, untold, "a connection is refused: {why}"),
        }
    }

    /// Whether this one has a line, and how many of its kind had none since the last.
    fn turn(&self, why: Why, whom: String, now: Instant) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.entry(why).or_insert_with(|| Told { since: now, whom: HashSet::new(), untold: 0 });
        if now.duration_since(told.since) >= WINDOW {
            told.since = now;
            told.whom.clear();
        }
        if told.whom.len() >= LINES_MAX || !told.whom.insert(whom) {
            told.untold += 1;
            return None;
        }
        Some(std::mem::take(&mut told.untold))
    }
}

// === impl Why ===

impl Why {
    /// Of a handshake that failed.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::of_tls(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => Self::Closed,
            None => Self::Other,
        }
    }

    pub(super) fn of_tls(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::InvalidCertRevocationList(_) => Self::ListUnusable,
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => Self::NotTls,
            Error::PeerIncompatible(_) => Self::TlsVersion,
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            _ => Self::Other,
        }
    }

    /// Of what the client said as it ended the handshake.
    fn of_alert(alert: AlertDescription) -> Self {
        use AlertDescription as Alert;
        match alert {
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown => Self::ServerNotTrusted,
            Alert::ProtocolVersion => Self::TlsVersion,
            Alert::CloseNotify | Alert::UserCanceled => Self::Closed,
            _ => Self::Alert,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::Revoked => Self::Revoked,
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::UnknownRevocationStatus => Self::ListMissing,
            CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
                Self::ListExpired
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::WrongPurpose,
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::BadEncoding => Self::Malformed,
            _ => Self::Other,
        }
    }

    /// The label of the metric.
    fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::UnknownAuthority => "unknown_authority",
            Self::ListMissing => "revocation_list_missing",
            Self::ListExpired => "revocation_list_expired",
            Self::ListUnusable => "revocation_list_unusable",
            Self::WrongPurpose => "wrong_purpose",
            Self::BadSignature => "bad_signature",
            Self::Malformed => "malformed",
            Self::WrongName => "wrong_name",
            Self::NotTls => "not_tls",
            Self::TlsVersion => "tls_version",
            Self::ServerNotTrusted => "server_not_trusted",
            Self::Alert => "alert",
            Self::TooSlow => "too_slow",
            Self::TooManyConnections => "too_many_connections",
            Self::Closed => "closed",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoCertificate => "it showed no client certificate",
            Self::Expired => "its certificate has expired; renew it (the built-in authority: atena pki renew)",
            Self::NotYetValid => "its certificate is not valid yet; compare the clocks of both machines",
            Self::Revoked => "its certificate is revoked",
            Self::UnknownAuthority => "no authority in client_ca issued its certificate",
            Self::ListMissing => "client_crls has no revocation list of the authority that issued its certificate",
            Self::ListExpired => "the revocation list has run out; renew it (the built-in authority: atena pki renew)",
            Self::ListUnusable => {
                "the revocation list of its authority can't be used: it is damaged, or another authority of the same name signed it"
            }
            Self::WrongPurpose => "its certificate is not one for clients (extended key usage clientAuth)",
            Self::BadSignature => "its certificate or its handshake is not signed by the key that it names",
            Self::Malformed => "its certificate is malformed",
            Self::WrongName => {
                "its certificate has no single URI name (SAN) of this municipality, so every call is refused"
            }
            Self::NotTls => "it does not speak TLS",
            Self::TlsVersion => "it does not speak TLS 1.3",
            Self::ServerNotTrusted => "it ended the handshake; does it trust the authority of the server certificate?",
            Self::Alert => "it ended the handshake with a TLS alert",
            Self::TooSlow => "its handshake took too long (handshake_timeout_s)",
            Self::TooManyConnections => "it has too many connections open (connections_per_system_max)",
            Self::Closed => "it closed the connection in the middle of the handshake",
            Self::Other => "the handshake failed",
        })
    }
}

// === impl Certificate ===

impl Certificate {
    pub(super) fn of(der: &CertificateDer<'_>) -> Self {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(der) else {
            let unknown = || "(malformed)".to_owned();
            return Self { names: unknown(), subject: unknown(), issuer: unknown(), serial: unknown() };
        };
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        Self {
            names: shown(&names.collect::<Vec<_>>().join(" ")),
            subject: shown(&parsed.subject().to_string()),
            issuer: shown(&parsed.issuer().to_string()),
            serial: shown(&crate::convert::hexadecimal(parsed.raw_serial())),
        }
    }
}

/// A text of a stranger for the log: short, and without control characters.
fn shown(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).map(|it| if it.is_control() { '\u{b7}' } else { it }).collect()
}

// === impl Remembering ===

impl ClientCertVerifier for Remembering {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(end_entity, intermediates, now).and_then(|verified| match self
            .revoked
            .has_one_of(intermediates.iter().chain([end_entity]))
        {
            true => Err(CertificateError::Revoked.into()),
            false => Ok(verified),
        });
        verified.inspect_err(|_| {
            // Outside of a handshake of the door there is no one to remember it.
            let _ = REFUSED.try_with(|refused| refused.replace(Some(Certificate::of(end_entity))));
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed).inspect_err(|_| {
            let _ = REFUSED.try_with(|refused| refused.replace(Some(Certificate::of(certificate))));
        })
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.verifier.requires_raw_public_keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_does_not_hide_another_and_what_has_no_line_is_counted() {
        let refusals = Refusals::of(&MunicipalityCode::parse("132098").unwrap());
        let start = Instant::now();
        assert_eq!(refusals.turn(Why::Expired, "pension".to_owned(), start), Some(0));
        assert_eq!(refusals.turn(Why::Expired, "pension".to_owned(), start), None, "one line for one certificate");
        for client in 0..1000 {
            refusals.turn(Why::NotTls, client.to_string(), start);
        }
        assert_eq!(refusals.turn(Why::NotTls, "one more".to_owned(), start), None);
        assert_eq!(refusals.turn(Why::Revoked, "welfare".to_owned(), start), Some(0));
        let later = start + WINDOW;
        assert_eq!(refusals.turn(Why::Expired, "pension".to_owned(), later), Some(1));
        assert_eq!(refusals.turn(Why::NotTls, "one more".to_owned(), later), Some(991));
    }

    #[test]
    fn each_kind_of_error_has_its_reason() {
        use rustls::{CertRevocationListError, InvalidMessage, PeerIncompatible, PeerMisbehaved};
        let why = |error| Why::of(&io::Error::other(error));
        for (error, reason) in [
            (CertificateError::Expired, Why::Expired),
            (CertificateError::NotValidYet, Why::NotYetValid),
            (CertificateError::Revoked, Why::Revoked),
            (CertificateError::UnknownIssuer, Why::UnknownAuthority),
            (CertificateError::UnknownRevocationStatus, Why::ListMissing),
            (CertificateError::ExpiredRevocationList, Why::ListExpired),
            (CertificateError::InvalidPurpose, Why::WrongPurpose),
            (CertificateError::BadSignature, Why::BadSignature),
            (CertificateError::BadEncoding, Why::Malformed),
            (CertificateError::ApplicationVerificationFailure, Why::Other),
        ] {
            assert_eq!(why(Error::InvalidCertificate(error)), reason);
        }
        for (alert, reason) in [
            (AlertDescription::UnknownCA, Why::ServerNotTrusted),
            (AlertDescription::CertificateExpired, Why::ServerNotTrusted),
            (AlertDescription::ProtocolVersion, Why::TlsVersion),
            (AlertDescription::UserCanceled, Why::Closed),
            (AlertDescription::InternalError, Why::Alert),
        ] {
            assert_eq!(why(Error::AlertReceived(alert)), reason);
        }
        for (error, reason) in [
            (Error::NoCertificatesPresented, Why::NoCertificate),
            (Error::InvalidCertRevocationList(CertRevocationListError::BadSignature), Why::ListUnusable),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), Why::NotTls),
            (Error::PeerIncompatible(PeerIncompatible::Tls13RequiredForQuic), Why::TlsVersion),
            (Error::PeerMisbehaved(PeerMisbehaved::TooMuchEarlyDataReceived), Why::Other),
        ] {
            assert_eq!(why(error), reason);
        }
        for (kind, reason) in [
            (io::ErrorKind::UnexpectedEof, Why::Closed),
            (io::ErrorKind::ConnectionReset, Why::Closed),
            (io::ErrorKind::PermissionDenied, Why::Other),
        ] {
            assert_eq!(Why::of(&kind.into()), reason);
        }
    }

    #[test]
    fn a_name_of_a_stranger_can_not_forge_a_line_of_the_log() {
        assert_eq!(shown("a\nERROR b\u{1b}[0m"), "a\u{b7}ERROR b\u{b7}[0m");
        assert_eq!(shown(&"x".repeat(1000)).len(), NAME_CHARS_MAX);
    }
}
