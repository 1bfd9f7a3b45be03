//! Why the door can't be opened.

use std::path::PathBuf;

use atena_vault::VaultError;

/// Why the door's TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("cannot read a {what} from {path}: {source}{hint}")]
    Unreadable {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
        /// What to do, if that is known.
        hint: &'static str,
    },
    /// A PEM file can't be read or holds nothing of the kind.
    #[error("cannot read a {what} from {path}: {source}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds something, but not this.
    #[error("{path} holds no well-formed {what}")]
    Malformed {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Others can get at the private key, or it can't be read.
    #[error("the private key of the server is refused: {0}")]
    Key(#[from] VaultError),
    /// The client authority can't be used.
    #[error("the client authority {path} can't be used: {source}")]
    ClientAuthority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No list names the revoked certificates of an authority.
    #[error(
        "no revocation list (CRL) of the client authority `{authority}`: add it to client_crls, or every certificate would be refused. \
         The lists there are of: {found}"
    )]
    NoRevocationList {
        /// The authority's name.
        authority: String,
        /// The issuers of the lists that there are.
        found: String,
    },
    /// Two authorities have one name, and different keys.
    #[error(
        "{path} is issued by an authority `{authority}` that is not the one in {client_ca}: both have the same name, and different keys. \
         Take the authority, the server's certificate and the revocation list from the same one"
    )]
    OtherAuthority {
        /// What was issued.
        path: PathBuf,
        /// The name.
        authority: String,
        /// The authority in the settings.
        client_ca: PathBuf,
    },
    /// A list is of the name of the authority, and its key did not sign it.
    #[error(
        "the revocation list (CRL) {path} is damaged, or not of the authority in {client_ca}: its signature is bad. Take the list from \
         that authority again"
    )]
    NotSigned {
        /// The list.
        path: PathBuf,
        /// The authority in the settings.
        client_ca: PathBuf,
    },
    /// A list would let revoked certificates in again.
    #[error(
        "the revocation list (CRL) {path} is older than the one in force, and may lack what was revoked since: put the newest one \
         there, or restart to use this one"
    )]
    OlderList {
        /// The list.
        path: PathBuf,
    },
    /// The certificate and the private key are not of each other.
    #[error(
        "the private key in {key} is not the one of the certificate in {certificate}: bring the two that belong together"
    )]
    KeyMismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Certificate and key don't fit, or the provider lacks something.
    #[error("the server certificate can't be used: {0}")]
    Server(#[from] rustls::Error),
}
