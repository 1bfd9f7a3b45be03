//! Why there is no connection to a gateway, or no longer: each cause with what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::shown::Shown;

/// A connection that was not made, or that broke.
#[derive(Debug, Clone)]
pub(crate) struct LinkFailure {
    /// HOST:PORT of the gateway.
    pub(super) server: String,
    /// The client certificate.
    pub(super) shown: Shown,
    pub(super) cause: LinkCause,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkCause {
    /// The name of the host means no address.
    NotResolved(String),
    /// The machine is there, and nothing listens at the port.
    Refused,
    /// The machine or the network is not there.
    Unreachable(String),
    /// No answer at all.
    ConnectTimeout,
    /// A connection, and no answer to the handshake.
    HandshakeTimeout,
    /// What answered speaks no TLS.
    NotTls,
    /// It hung up in the middle of the handshake.
    HandshakeEnded,
    /// The certificate of the server comes from an authority that the home does not know.
    ServerNotTrusted,
    /// The certificate of the server is another host's.
    WrongName(String),
    /// The certificate of the server can't be used for another reason.
    ServerCertificate(String),
    /// The server refused the certificate, or anything else about the handshake.
    Alert(AlertDescription),
    /// It speaks TLS, and no HTTP/2.
    NotHttp2,
    /// It hung up before it answered anything.
    ClosedUnanswered,
    /// It was there and is gone.
    Broken(String),
}

// === impl LinkFailure ===

impl LinkFailure {
    /// Whether calls had been answered before.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.cause, LinkCause::Broken(_))
    }
}

impl Error for LinkFailure {}

impl fmt::Display for LinkFailure {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, shown, cause } = self;
        match cause {
            LinkCause::Alert(alert) => refused(text, server, shown, *alert),
            LinkCause::ClosedUnanswered => write!(
                text,
                "the gateway at {server} hung up before it answered anything\n  It was just ended, or does not take this \
                 client: its log says which. Shown was {shown}."
            ),
            LinkCause::Broken(reason) => write!(
                text,
                "the connection to the gateway at {server} broke ({reason})\n  Check that the gateway runs (atena serve) \
                 and look at its log."
            ),
            _ => {
                let (why, remedy) = not_reached(cause).unwrap_or_else(|| not_the_gateway(cause, shown));
                write!(text, "cannot connect to the gateway at {server}: {why}\n  {remedy}")
            }
        }
    }
}

/// Nothing at the address takes the connection, or not in time.
fn not_reached(cause: &LinkCause) -> Option<(String, &'static str)> {
    let seconds = super::WAIT_MAX.as_secs();
    Some(match cause {
        LinkCause::NotResolved(reason) => (
            format!("the name of the host is not known ({reason})"),
            "Check the spelling of --server (or `listen` in atena.toml), and the name service of this machine.",
        ),
        LinkCause::Refused => (
            "nothing listens there (connection refused)".to_owned(),
            "Start the gateway (atena serve), or name the right HOST:PORT (--server).",
        ),
        LinkCause::Unreachable(reason) => {
            (reason.clone(), "Check the network, the firewall, and HOST:PORT (--server).")
        }
        LinkCause::ConnectTimeout => (
            format!("no answer within {seconds} seconds"),
            "Check that the machine is on, that no firewall drops the connection, and HOST:PORT (--server).",
        ),
        LinkCause::HandshakeTimeout => (
            format!("it takes connections, but says nothing within {seconds} seconds"),
            "Check that this is the port of the gateway (--server). If it is, look at the gateway's log: it may be \
             overloaded or stopped.",
        ),
        _ => return None,
    })
}

/// Something answers that is not the gateway, or can't prove that it is.
fn not_the_gateway(cause: &LinkCause, shown: &Shown) -> (String, &'static str) {
    let other_port = "This is not the gateway's port. Name the right HOST:PORT (--server).";
    match cause {
        LinkCause::NotTls => ("what answers there does not speak TLS".to_owned(), other_port),
        LinkCause::NotHttp2 => ("what answers there speaks TLS, but no HTTP/2".to_owned(), other_port),
        LinkCause::ServerNotTrusted => (
            format!(
                "the server's certificate was not issued by the authority of this home ({})",
                shown.authority.display()
            ),
            "Is --home the home of that gateway? If its authority changed, copy the new ca.crt here over a trusted way.",
        ),
        LinkCause::WrongName(reason) => (
            format!("the server's certificate is for another host ({reason})"),
            "Name the gateway as its certificate does (--server), or issue a server certificate that has this name: \
             atena pki renew --server",
        ),
        LinkCause::ServerCertificate(reason) => (
            format!("the server's certificate can't be used: {reason}"),
            "Renew it at the gateway (atena pki renew --server), and check the clocks of both machines.",
        ),
        _ => (
            "it hung up in the middle of the TLS handshake".to_owned(),
            "Check that this is the gateway's port (--server). If it is, the gateway's log says why; try again when it \
             is back.",
        ),
    }
}

/// An alert of the server: mostly about the client's certificate.
fn refused(text: &mut fmt::Formatter<'_>, server: &str, shown: &Shown, alert: AlertDescription) -> fmt::Result {
    let renew = format!("have a new one issued (atena pki renew {}, or the municipality's authority)", shown.option());
    let (why, remedy) = match alert {
        AlertDescription::CertificateExpired => (
            "it is not valid on the gateway's clock (it has ended, or does not begin yet)",
            format!("Check the clocks of both machines. If it has ended, {renew}."),
        ),
        AlertDescription::CertificateRevoked => ("it was revoked", format!("If you still need access, {renew}.")),
        AlertDescription::UnknownCA => (
            "its issuer is none that the gateway trusts, or the gateway's revocation list has run out",
            format!(
                "Is --home the home of that gateway? If it is: {renew}; at the gateway: atena pki status shows whether \
                 the revocation list is still valid."
            ),
        ),
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            ("none was shown, and the gateway wants one", "Check --as and the files of the certificate.".to_owned())
        }
        AlertDescription::AccessDenied => {
            ("it is valid, but may not be used here", "Ask the operator of the gateway to enter it.".to_owned())
        }
        AlertDescription::UnsupportedCertificate => (
            "it is not made for clients, or of a kind that the gateway does not take",
            format!("It must have the purpose of client authentication: {renew}."),
        ),
        // Built-in authorities of one municipality have one name, so a foreign one shows by its signature alone.
        AlertDescription::DecryptError => (
            "its signature does not fit: another authority of the same name issued it, or its key is another one",
            format!("Is --home the home of that gateway, and do certificate and key belong together? If so: {renew}."),
        ),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::BadCertificateStatusResponse
        | AlertDescription::BadCertificateHashValue
        | AlertDescription::CertificateUnobtainable => {
            ("the gateway can't accept it", format!("The gateway's log says why. Then {renew}."))
        }
        AlertDescription::NoApplicationProtocol => return other(text, server, "it speaks no HTTP/2", alert),
        AlertDescription::ProtocolVersion => return other(text, server, "it speaks no TLS 1.3", alert),
        AlertDescription::UnrecognisedName => return other(text, server, "it does not know this host name", alert),
        _ => return other(text, server, "it ended the TLS handshake", alert),
    };
    write!(
        text,
        "the gateway at {server} refused the client certificate: {why} (TLS alert {alert:?})\n  Shown was {shown}.\n  \
         {remedy}"
    )
}

fn other(text: &mut fmt::Formatter<'_>, server: &str, why: &str, alert: AlertDescription) -> fmt::Result {
    write!(
        text,
        "cannot connect to the gateway at {server}: {why} (TLS alert {alert:?})\n  Check HOST:PORT (--server); if it is \
         the gateway's, its log says more."
    )
}

// === impl LinkCause ===

impl LinkCause {
    /// The cause of a failed TCP connection.
    pub(super) fn of_connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            _ => Self::Unreachable(error.to_string()),
        }
    }

    /// The cause of a failed TLS handshake.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        match of_tls(error) {
            Some(cause) => cause,
            None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                Self::HandshakeEnded
            }
            None => Self::Unreachable(error.to_string()),
        }
    }

    /// The cause of a failure on a connection that stood. A server of TLS 1.3 refuses a client only then.
    pub(super) fn of_stream(error: &io::Error, answered: bool) -> Self {
        match of_tls(error) {
            Some(alert @ Self::Alert(_)) => alert,
            _ if !answered && is_end(error) => Self::ClosedUnanswered,
            _ => Self::Broken(broken(error)),
        }
    }
}

/// Whether the other side is gone, rather than wrong.
pub(super) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

fn broken(error: &io::Error) -> String {
    if is_end(error) { "the gateway is gone, or ended it".to_owned() } else { error.to_string() }
}

/// What rustls says, where it is the cause.
fn of_tls(error: &io::Error) -> Option<LinkCause> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match tls {
        rustls::Error::AlertReceived(alert) => LinkCause::Alert(*alert),
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => LinkCause::NotTls,
        rustls::Error::InvalidCertificate(of) => match of {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => LinkCause::ServerNotTrusted,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                LinkCause::WrongName(of.to_string())
            }
            _ => LinkCause::ServerCertificate(of.to_string()),
        },
        other => LinkCause::ServerCertificate(other.to_string()),
    })
}
