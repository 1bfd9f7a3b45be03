//! `[limits]`: a limit on everything that can grow.

use std::time::Duration;

use serde::Deserialize;

/// Limits, each with a unit in its name and a default that suits one town hall.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections in all.
    pub connections_max: usize,
    /// Open connections of one certificate identity.
    pub connections_per_system_max: usize,
    /// TLS handshakes under way.
    pub handshakes_max: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout_s: u64,
    /// Time until what HTTP/2 begins with (24 bytes) after the handshake.
    pub first_byte_timeout_s: u64,
    /// HTTP/2 streams of one connection.
    pub streams_per_connection_max: u32,
    /// Calls of one connection under way.
    pub calls_per_connection_max: usize,
    /// Bytes of request headers and metadata.
    pub header_bytes_max: u32,
    /// Bytes of one request message.
    pub message_bytes_max: usize,
    /// Bytes of all messages of one certificate identity that are not whole yet; at least one message always fits.
    pub arriving_bytes_per_system_max: usize,
    /// Time for a request message to arrive, from its first byte on; for the first one from the request on.
    pub message_timeout_s: u64,
    /// Time for a unary call; a shorter `grpc-timeout` of the caller counts.
    pub call_timeout_s: u64,
    /// Time for a streaming call.
    pub stream_timeout_s: u64,
    /// HTTP/2 PING interval.
    pub keepalive_interval_s: u64,
    /// Time for the answer to a PING.
    pub keepalive_timeout_s: u64,
    /// Age at which a connection is asked to go, at most; calls under way finish. Each goes at 80 to 100 % of it.
    pub connection_age_max_s: u64,
    /// Time for calls under way after a stop was asked for.
    pub drain_timeout_s: u64,
    /// Time for a start, until calls are taken.
    pub start_timeout_s: u64,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_system_max: 64,
            handshakes_max: 128,
            handshake_timeout_s: 5,
            first_byte_timeout_s: 10,
            streams_per_connection_max: 64,
            calls_per_connection_max: 32,
            header_bytes_max: 8192,
            message_bytes_max: 4 * 1024 * 1024,
            arriving_bytes_per_system_max: 16 * 1024 * 1024,
            message_timeout_s: 15,
            call_timeout_s: 30,
            stream_timeout_s: 3600,
            keepalive_interval_s: 30,
            keepalive_timeout_s: 10,
            connection_age_max_s: 3600,
            drain_timeout_s: 20,
            start_timeout_s: 600,
        }
    }
}

impl Limits {
    pub(crate) fn arriving_bytes_max(&self) -> usize {
        self.arriving_bytes_per_system_max.max(self.message_bytes_max)
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_secs(self.call_timeout_s)
    }

    pub(crate) fn stream_timeout(&self) -> Duration {
        Duration::from_secs(self.stream_timeout_s)
    }
}
