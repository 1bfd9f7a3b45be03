//! The door: TLS 1.3 with a client certificate, and nothing else gets in.
//!
//! An accept loop of our own over `tokio-rustls`, because tonic's TLS settings know neither revocation lists nor reloads. What a
//! connection proved about itself travels with it as a [`Peer`]; who that is in the registry is decided on every call.

mod accept;
mod identity;
mod stream;
mod tls;

pub(crate) use accept::accept;
pub(crate) use identity::Peer;
pub(crate) use tls::{TlsError, server_config};
