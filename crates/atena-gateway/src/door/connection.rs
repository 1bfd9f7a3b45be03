//! HTTP/2 on one connection, with every limit that it has, until it has grown old.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceExt as _};

use super::arriving::Arriving;
use super::stream::DoorStream;
use crate::config::Limits;

/// Streams that the client has reset and that are still waiting to be taken, before the connection is ended: the rapid reset attack
/// (CVE-2023-44487).
const RESETS_WAITING_MAX: usize = 20;

/// Streams that were reset because of the client's errors before the connection is ended: MadeYouReset (CVE-2025-8671).
const ERROR_RESETS_MAX: usize = 128;

/// Bytes of a connection, and of a stream in it, that the client may send before they are read.
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// Bytes of a connection that wait to be sent, for each stream.
const SEND_BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// Serves the connections that come through the door until `stop`, then until the calls under way are done.
pub(crate) async fn serve<S>(
    mut streams: mpsc::Receiver<DoorStream>,
    services: S,
    limits: &Limits,
    stop: &CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let connections = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            stream = streams.recv() => match stream { Some(stream) => stream, None => break },
        };
        let services = ConcurrencyLimit::new(services.clone(), limits.calls_per_connection_max);
        connections.spawn(one(stream, services, limits.clone(), stop.clone()));
    }
    connections.close();
    connections.wait().await;
}

async fn one<S>(stream: DoorStream, services: ConcurrencyLimit<S>, limits: Limits, stop: CancellationToken)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let peer = stream.peer().clone();
    let (arriving, message_bytes_max) =
        (stream.arriving(), u32::try_from(limits.message_bytes_max).unwrap_or(u32::MAX));
    let message_timeout = Duration::from_secs(limits.message_timeout_s);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let room = Arc::clone(&arriving);
        let mut request = request.map(|body| Body::new(Arriving::new(body, message_timeout, room, message_bytes_max)));
        request.extensions_mut().insert(peer.clone());
        services.clone().oneshot(request)
    });
    let connection = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection_max)
        .max_header_list_size(limits.header_bytes_max)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_pending_accept_reset_streams(RESETS_WAITING_MAX)
        .max_local_error_reset_streams(ERROR_RESETS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(Duration::from_secs(limits.keepalive_interval_s))
        .keep_alive_timeout(Duration::from_secs(limits.keepalive_timeout_s))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let old = Instant::now() + age(limits.connection_age_max_s);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = tokio::time::sleep_until(old) => None,
        () = stop.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => Ok(ended),
        None => {
            // GOAWAY: the client makes a new connection for new calls, and those under way finish here.
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(Duration::from_secs(limits.stream_timeout_s), connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

/// The age at which a connection is asked to go: 80 to 100 % of the setting, so that all systems that connected at one time (after a
/// restart, say) don't come again at one time.
fn age(max_s: u64) -> Duration {
    let mut random = [0; 2];
    // Without random numbers it is merely not spread.
    let _ = getrandom::fill(&mut random);
    let max_ms = max_s.saturating_mul(1000);
    let spread_ms = max_ms / 5 * u64::from(u16::from_be_bytes(random)) / u64::from(u16::MAX);
    Duration::from_millis(max_ms - spread_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_grow_between_80_and_100_per_cent_of_the_age_and_not_all_the_same() {
        let ages: Vec<_> = (0..64).map(|_| age(3600)).collect();
        assert!(ages.iter().all(|age| (2880..=3600).contains(&age.as_secs())));
        assert!(ages.iter().any(|age| *age != ages[0]));
    }
}
