//! The accept loop: TCP, TLS handshake, identity, and on to HTTP/2.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::identity::Peer;
use super::stream::{DoorStream, IdentityPlaces};
use crate::config::Limits;

/// Wait after an accept error (out of file descriptors, say) before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `stop`; connections that got through the door come out of the returned channel.
pub(crate) fn accept(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    limits: Limits,
    stop: CancellationToken,
) -> mpsc::Receiver<io::Result<DoorStream>> {
    let (through, streams) = mpsc::channel(16);
    tokio::spawn(async move {
        let door = Arc::new(Door {
            acceptor: TlsAcceptor::from(tls),
            identities: IdentityPlaces::default(),
            handshakes: Arc::new(Semaphore::new(limits.handshakes_max)),
            limits,
            through,
        });
        let connections = Arc::new(Semaphore::new(door.limits.connections_max));
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
                    let door = Arc::clone(&door);
                    tokio::spawn(async move { door.let_in(tcp, place).await });
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

struct Door {
    acceptor: TlsAcceptor,
    identities: IdentityPlaces,
    handshakes: Arc<Semaphore>,
    limits: Limits,
    through: mpsc::Sender<io::Result<DoorStream>>,
}

// === impl Door ===

impl Door {
    async fn let_in(&self, tcp: TcpStream, place: OwnedSemaphorePermit) {
        let timeout = Duration::from_secs(self.limits.handshake_timeout_s);
        let handshake = async {
            let _under_way = self.handshakes.acquire().await.map_err(io::Error::other)?;
            tcp.set_nodelay(true)?;
            self.acceptor.accept(tcp).await
        };
        let stream = match tokio::time::timeout(timeout, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake refused");
                return;
            }
            Err(_) => {
                tracing::debug!("TLS handshake timed out");
                return;
            }
        };
        let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(<[_]>::first) else {
            return;
        };
        let peer = Peer::from_certificate(certificate);
        let Some(identity) = self.identities.take(&peer, self.limits.connections_per_system_max) else {
            tracing::warn!("a system has too many connections open; the new one is closed");
            return;
        };
        let first_byte = Duration::from_secs(self.limits.first_byte_timeout_s);
        // The receiver is gone only when the gateway stops.
        let _ = self.through.send(Ok(DoorStream::new(stream, peer, first_byte, place, identity))).await;
    }
}
