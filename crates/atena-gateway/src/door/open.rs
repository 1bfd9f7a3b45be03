//! The connections that are open, and the end of those whose certificate is believed no more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::identity::Peer;
use super::tls::Tls;
use crate::config::Limits;

/// How long a call of a system that was just revoked has until its connection ends: with the time to see that the file changed, less
/// than a second.
const CUT_DELAY: Duration = Duration::from_millis(300);

/// Every open connection of the door.
#[derive(Clone, Default)]
pub(crate) struct OpenConnections(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Connection>,
}

struct Connection {
    peer: Peer,
    identity: Arc<str>,
    chain: Arc<[CertificateDer<'static>]>,
    cut: CancellationToken,
    arriving: Arc<Semaphore>,
}

/// One connection's place among them, given back when dropped.
pub(crate) struct OpenPlace {
    open: OpenConnections,
    number: u64,
    /// Cancelled when the connection must end at once.
    pub(crate) cut: CancellationToken,
    /// Bytes for the messages of this identity that are not whole yet, on all of its connections.
    pub(crate) arriving: Arc<Semaphore>,
}

// === impl OpenConnections ===

impl OpenConnections {
    /// A place for one more connection of this identity; `None` when all are taken.
    pub(crate) fn take(&self, peer: &Peer, chain: &[CertificateDer<'_>], limits: &Limits) -> Option<OpenPlace> {
        let identity: Arc<str> = peer.uri().unwrap_or_default().into();
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut same = open.by_number.values().filter(|connection| connection.identity == identity).peekable();
        let arriving = match same.peek() {
            Some(connection) => Arc::clone(&connection.arriving),
            None => Arc::new(Semaphore::new(limits.arriving_bytes_max())),
        };
        if same.count() >= limits.connections_per_system_max {
            return None;
        }
        let (number, cut) = (open.next, CancellationToken::new());
        open.next += 1;
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let connection =
            Connection { peer: peer.clone(), identity, chain, cut: cut.clone(), arriving: Arc::clone(&arriving) };
        open.by_number.insert(number, connection);
        drop(open);
        Some(OpenPlace { open: self.clone(), number, cut, arriving })
    }

    /// Ends every connection whose certificate `tls` does not believe (any more): revoked since, run out, or its authority gone.
    pub(crate) fn cut_disbelieved(&self, tls: &Tls) {
        let all: Vec<_> = {
            let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let each = open.by_number.values();
            each.map(|it| (Arc::clone(&it.identity), Arc::clone(&it.chain), it.cut.clone())).collect()
        };
        for (identity, chain, end) in all {
            if let Err(error) = tls.believes(&chain) {
                tracing::warn!(%identity, %error, "a connection is cut off: its certificate is believed no more");
                end.cancel();
            }
        }
    }

    /// Ends every connection of somebody whom `gone` names: a person whose account was taken away or has ended.
    pub(crate) fn cut(&self, gone: impl Fn(&Peer) -> bool) {
        for end in self.of_those(gone) {
            tracing::warn!("a connection is cut off: the account of its person was taken away or has ended");
            end.cancel();
        }
    }

    /// Ends the connections that are open now of systems that `gone` names, a moment later. A call that is refused meanwhile is answered;
    /// connections that come later are not cut, because each of their calls is refused and recorded.
    pub(crate) fn cut_soon(&self, gone: impl Fn(&Peer) -> bool) {
        let ends = self.of_those(gone);
        if ends.is_empty() {
            return;
        }
        tracing::warn!(
            connections = ends.len(),
            "connections are cut off: their systems are revoked or not registered"
        );
        tokio::spawn(async move {
            tokio::time::sleep(CUT_DELAY).await;
            ends.iter().for_each(CancellationToken::cancel);
        });
    }

    fn of_those(&self, gone: impl Fn(&Peer) -> bool) -> Vec<CancellationToken> {
        let all: Vec<_> = {
            let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            open.by_number.values().map(|it| (it.peer.clone(), it.cut.clone())).collect()
        };
        all.into_iter().filter(|(peer, end)| !end.is_cancelled() && gone(peer)).map(|(_, end)| end).collect()
    }
}

impl Drop for OpenPlace {
    fn drop(&mut self) {
        self.open.0.lock().unwrap_or_else(PoisonError::into_inner).by_number.remove(&self.number);
    }
}
