//! The closed lists of a leaf: which way, and how it ended.

use std::fmt;

/// Which way, seen from the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// 入手.
    Inbound,
    /// 移転.
    Outbound,
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Sent.
    Released,
    /// Stored.
    Received,
    /// Nothing was sent or stored.
    Refused,
    /// The caller went away before.
    Cancelled,
    /// The deadline passed before.
    TimedOut,
    /// The gateway could not answer.
    Failed,
    /// Details of the log were erased because their time had come.
    Erased,
    /// Somebody who runs the system is about to do something: recorded before it is done.
    Begun,
    /// It was done.
    Done,
}

// === impl Direction ===

impl Direction {
    /// As the log keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "INBOUND",
            Self::Outbound => "OUTBOUND",
        }
    }

    /// Reads what [`Direction::as_str`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Inbound, Self::Outbound].into_iter().find(|direction| direction.as_str() == text)
    }
}

// === impl Outcome ===

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 9] = [
        Self::Released,
        Self::Received,
        Self::Refused,
        Self::Cancelled,
        Self::TimedOut,
        Self::Failed,
        Self::Erased,
        Self::Begun,
        Self::Done,
    ];

    /// As the log keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "RELEASED",
            Self::Received => "RECEIVED",
            Self::Refused => "REFUSED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
            Self::Failed => "FAILED",
            Self::Erased => "ERASED",
            Self::Begun => "BEGUN",
            Self::Done => "DONE",
        }
    }

    /// Reads what [`Outcome::as_str`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
