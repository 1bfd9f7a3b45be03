//! One accepted connection, with what it proved about itself.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::identity::Peer;

/// A TLS connection that has to say something before its first-byte deadline.
pub(crate) struct DoorStream {
    inner: TlsStream<TcpStream>,
    peer: Peer,
    first_byte: Option<Pin<Box<Sleep>>>,
    _connection: OwnedSemaphorePermit,
    _identity: IdentityPlace,
}

/// Open connections by identity.
#[derive(Clone, Default)]
pub(crate) struct IdentityPlaces(Arc<Mutex<HashMap<String, usize>>>);

/// One connection's place among those of its identity, given back when dropped.
pub(crate) struct IdentityPlace {
    places: IdentityPlaces,
    identity: String,
}

// === impl DoorStream ===

impl DoorStream {
    pub(crate) fn new(
        inner: TlsStream<TcpStream>,
        peer: Peer,
        first_byte_timeout: Duration,
        connection: OwnedSemaphorePermit,
        identity: IdentityPlace,
    ) -> Self {
        let first_byte = Some(Box::pin(tokio::time::sleep(first_byte_timeout)));
        Self { inner, peer, first_byte, _connection: connection, _identity: identity }
    }
}

impl Connected for DoorStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for DoorStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.inner).poll_read(context, buffer);
        match (&result, &mut this.first_byte) {
            (Poll::Ready(_), first_byte) => {
                *first_byte = None;
                result
            }
            (Poll::Pending, Some(deadline)) => {
                ready!(deadline.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            (Poll::Pending, None) => Poll::Pending,
        }
    }
}

impl AsyncWrite for DoorStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

// === impl IdentityPlaces ===

impl IdentityPlaces {
    /// A place for one more connection of this identity; `None` when all `max` are taken.
    pub(crate) fn take(&self, peer: &Peer, max: usize) -> Option<IdentityPlace> {
        let identity = peer.uri().unwrap_or_default().to_owned();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(identity.clone()).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(open);
        Some(IdentityPlace { places: self.clone(), identity })
    }
}

impl Drop for IdentityPlace {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.identity);
            }
        }
    }
}
