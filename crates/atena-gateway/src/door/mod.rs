//! The door: TLS 1.3 with a client certificate that is on no revocation list, and nothing else gets in.
//!
//! An accept loop of our own over `tokio-rustls` and `hyper`, because tonic's know neither revocation lists nor reloads. What a
//! connection proved about itself travels with its requests as a [`Peer`]; who that is in the registry is decided on every call.

mod accept;
mod arriving;
mod connection;
mod error;
mod expiry;
mod identity;
mod issuer;
mod lists;
mod open;
mod refusals;
mod stream;
mod tls;

pub(crate) use accept::Door;
pub(crate) use connection::serve;
pub(crate) use error::TlsError;
pub(crate) use expiry::Expiry;
pub use expiry::{CERTIFICATE_NOTICE_DAYS, LIST_NOTICE_DAYS};
pub(crate) use identity::{Named, Peer};
pub use tls::revocation_lists;
pub(crate) use tls::{Clients, own_certificate};
