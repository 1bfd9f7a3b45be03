//! The accept loop: TCP, TLS handshake, identity, and on to HTTP/2.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::expiry::{Expiry, Warned};
use super::identity::Peer;
use super::open::OpenConnections;
use super::stream::DoorStream;
use super::tls::{Tls, TlsError};
use crate::clock;
use crate::config::{Limits, TlsConfig};

/// Wait after an accept error (out of file descriptors, say) before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The door: who may come in by the files of now, and who is in.
pub(crate) struct Door {
    files: TlsConfig,
    tls: ArcSwap<Tls>,
    open: OpenConnections,
    warned: Warned,
    limits: Limits,
}

// === impl Door ===

impl Door {
    /// A door with what the files say now.
    pub(crate) fn of(files: TlsConfig, limits: Limits) -> Result<Self, TlsError> {
        let tls = ArcSwap::from_pointee(Tls::load(&files)?);
        Ok(Self { files, tls, open: OpenConnections::default(), warned: Warned::default(), limits })
    }

    /// What the files say now; nothing changes yet.
    pub(crate) fn read(&self) -> Result<Tls, TlsError> {
        Tls::load(&self.files)
    }

    /// Takes what was read; connections that are open go on, except those of certificates that are believed no more.
    pub(crate) fn change(&self, tls: Tls) {
        self.tls.store(Arc::new(tls));
        self.look_again();
    }

    /// Ends connections of certificates that are believed no more; time alone can do that.
    pub(crate) fn look_again(&self) {
        self.open.cut_disbelieved(&self.tls.load());
    }

    /// Ends connections of those whom `gone` names.
    pub(crate) fn cut(&self, gone: impl Fn(&Peer) -> bool) {
        self.open.cut(gone);
    }

    /// When its files run out.
    pub(crate) fn expiries(&self) -> Vec<Expiry> {
        self.tls.load().expiries().to_vec()
    }

    /// Accepts until `stop`; connections that got through the door come out of the returned channel.
    pub(crate) fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> mpsc::Receiver<DoorStream> {
        let (through, streams) = mpsc::channel(16);
        tokio::spawn(async move {
            let handshakes = Arc::new(Semaphore::new(self.limits.handshakes_max));
            let connections = Arc::new(Semaphore::new(self.limits.connections_max));
            loop {
                let place = tokio::select! {
                    () = stop.cancelled() => break,
                    // The semaphore is never closed, so this only waits.
                    place = Arc::clone(&connections).acquire_owned() => match place { Ok(place) => place, Err(_) => break },
                };
                let accepted = tokio::select! {
                    () = stop.cancelled() => break,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((tcp, _)) => {
                        let (door, handshakes, through) = (Arc::clone(&self), Arc::clone(&handshakes), through.clone());
                        tokio::spawn(async move {
                            if let Some(stream) = door.let_in(tcp, &handshakes, place).await {
                                // The receiver is gone only when the gateway stops.
                                let _ = through.send(stream).await;
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
        streams
    }

    async fn let_in(
        &self,
        tcp: TcpStream,
        handshakes: &Semaphore,
        connection: OwnedSemaphorePermit,
    ) -> Option<DoorStream> {
        let timeout = Duration::from_secs(self.limits.handshake_timeout_s);
        let tls = self.tls.load_full();
        let handshake = async {
            let _under_way = handshakes.acquire().await.map_err(io::Error::other)?;
            tcp.set_nodelay(true)?;
            TlsAcceptor::from(tls.server()).accept(tcp).await
        };
        let stream = match tokio::time::timeout(timeout, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake refused");
                return None;
            }
            Err(_) => {
                tracing::debug!("TLS handshake timed out");
                return None;
            }
        };
        let chain = stream.get_ref().1.peer_certificates()?;
        let certificate = chain.first()?;
        let peer = Peer::from_certificate(certificate, clock::now());
        let Some(open) = self.open.take(&peer, chain, &self.limits) else {
            tracing::warn!("a system has too many connections open; the new one is closed");
            return None;
        };
        // The files may have changed while the handshake was under way. From here on `look_again` sees this connection.
        let now = self.tls.load();
        if !Arc::ptr_eq(&tls, &now)
            && let Err(error) = now.believes(chain)
        {
            tracing::debug!(%error, "TLS handshake overtaken by a reload");
            return None;
        }
        self.warned.look(&peer, certificate, clock::now());
        let preface_timeout = Duration::from_secs(self.limits.first_byte_timeout_s);
        Some(DoorStream::new(stream, peer, preface_timeout, connection, open))
    }
}
