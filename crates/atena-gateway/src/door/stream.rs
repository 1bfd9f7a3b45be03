//! One accepted connection, with what it proved about itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::identity::Peer;
use super::open::OpenPlace;

/// Bytes with which every HTTP/2 client begins (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

/// A TLS connection that has to say what HTTP/2 begins with before its deadline, and that ends at once when its certificate is believed
/// no more.
pub(crate) struct DoorStream {
    inner: TlsStream<TcpStream>,
    peer: Peer,
    /// Until the preface is whole: the bytes that are missing, and the deadline.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _connection: OwnedSemaphorePermit,
    open: OpenPlace,
}

// === impl DoorStream ===

impl DoorStream {
    pub(crate) fn new(
        inner: TlsStream<TcpStream>,
        peer: Peer,
        preface_timeout: Duration,
        connection: OwnedSemaphorePermit,
        open: OpenPlace,
    ) -> Self {
        let preface = Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(preface_timeout))));
        let cut = Box::pin(open.cut.clone().cancelled_owned());
        Self { inner, peer, preface, cut, _connection: connection, open }
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Bytes for messages that are not whole yet, shared with the other connections of this identity.
    pub(crate) fn arriving(&self) -> Arc<Semaphore> {
        Arc::clone(&self.open.arriving)
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for DoorStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.poll_cut(context)?;
        let before = buffer.filled().len();
        let result = Pin::new(&mut this.inner).poll_read(context, buffer);
        if let Some((missing, deadline)) = &mut this.preface {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                this.preface = None;
            } else if deadline.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        result
    }
}

impl AsyncWrite for DoorStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
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
