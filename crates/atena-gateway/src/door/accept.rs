//! The accept loop: TCP, TLS handshake, identity, and on to HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use atena_domain::MunicipalityCode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::error::TlsError;
use super::expiry::{Expiry, Warned};
use super::identity::Peer;
use super::open::OpenConnections;
use super::refusals::{Certificate, Refusals, Why, remembering};
use super::stream::DoorStream;
use super::tls::Tls;
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
    refusals: Refusals,
    municipality: MunicipalityCode,
    limits: Limits,
}

// === impl Door ===

impl Door {
    /// A door with what the files say now.
    pub(crate) fn of(files: TlsConfig, limits: Limits, municipality: &MunicipalityCode) -> Result<Self, TlsError> {
        let tls = ArcSwap::from_pointee(Tls::load(&files)?);
        let (open, warned, refusals) = (OpenConnections::default(), Warned::default(), Refusals::of(municipality));
        Ok(Self { files, tls, open, warned, refusals, municipality: municipality.clone(), limits })
    }

    /// What the files say now; nothing changes yet.
    pub(crate) fn read(&self) -> Result<Tls, TlsError> {
        Tls::load_after(&self.files, &self.tls.load())
    }

    /// What the files take away, where they can't be used as a whole: certificates that were revoked, authorities that are gone. `None`
    /// where that is nothing.
    pub(crate) fn read_less(&self) -> Option<Tls> {
        Tls::load_less(&self.files, &self.tls.load())
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

    /// Ends connections of those whom `gone` names a moment later, so that calls that were just refused can be answered.
    pub(crate) fn cut_soon(&self, gone: impl Fn(&Peer) -> bool) {
        self.open.cut_soon(gone);
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
                    Ok((tcp, from)) => {
                        let (door, handshakes, through) = (Arc::clone(&self), Arc::clone(&handshakes), through.clone());
                        tokio::spawn(async move {
                            if let Some(stream) = door.let_in(tcp, from, &handshakes, place).await {
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
        from: SocketAddr,
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
        let (done, refused) = remembering(tokio::time::timeout(timeout, handshake)).await;
        let stream = match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake refused");
                self.refusals.note(Why::of(&error), refused.as_ref(), from);
                return None;
            }
            Err(_) => {
                self.refusals.note(Why::TooSlow, None, from);
                return None;
            }
        };
        let chain = stream.get_ref().1.peer_certificates()?;
        let certificate = chain.first()?;
        let peer = Peer::from_certificate(certificate, clock::now());
        let refused = |why| self.refusals.note(why, Some(&Certificate::of(certificate)), from);
        let Some(open) = self.open.take(&peer, chain, &self.limits) else {
            refused(Why::TooManyConnections);
            return None;
        };
        // The files may have changed while the handshake was under way. From here on `look_again` sees this connection.
        let now = self.tls.load();
        if !Arc::ptr_eq(&tls, &now)
            && let Err(error) = now.believes(chain)
        {
            refused(Why::of_tls(&error));
            return None;
        }
        if peer.named(self.municipality.as_str()).is_none() {
            // It comes in all the same: the answer to a call says more than TLS can.
            self.refusals.tell(Why::WrongName, Some(&Certificate::of(certificate)), from);
        }
        self.warned.look(&peer, certificate, clock::now());
        let preface_timeout = Duration::from_secs(self.limits.first_byte_timeout_s);
        Some(DoorStream::new(stream, peer, preface_timeout, connection, open))
    }
}
