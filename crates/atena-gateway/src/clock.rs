//! The one place that reads the clock, and what keeps it from being believed blindly.

mod evidence;
mod guard;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::{Timestamp, tz};

pub use evidence::ClockSuspect;
pub(crate) use evidence::Validity;
pub(crate) use guard::ClockGuard;
pub use guard::{ClockError, ClockStatus};

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The day in Japan (JST, UTC+9, no daylight saving): rules and legal bases are valid by the day.
pub(crate) fn japanese_day(at: Timestamp) -> Date {
    tz::offset(9).to_datetime(at).date()
}

/// A clock that is handed in, so that tests can move it.
#[derive(Debug, Clone, Default)]
pub(crate) enum Clock {
    /// That of the operating system.
    #[default]
    System,
    /// One that a test moves: the time of day, and the time that passes.
    #[cfg(test)]
    Moved(std::sync::Arc<std::sync::Mutex<(Timestamp, Duration)>>),
}

// === impl Clock ===

impl Clock {
    /// The time of day. It may be set, and may jump.
    pub(crate) fn now(&self) -> Timestamp {
        match self {
            Self::System => now(),
            #[cfg(test)]
            Self::Moved(clock) => clock.lock().unwrap().0,
        }
    }

    /// The time that has passed since the first call of this process. It never jumps.
    pub(crate) fn passed(&self) -> Duration {
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            Self::System => ORIGIN.elapsed(),
            #[cfg(test)]
            Self::Moved(clock) => clock.lock().unwrap().1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_changes_at_midnight_in_japan() {
        let before: Timestamp = "2026-03-31T14:59:59Z".parse().unwrap();
        let after: Timestamp = "2026-03-31T15:00:00Z".parse().unwrap();
        assert_eq!(japanese_day(before).to_string(), "2026-03-31");
        assert_eq!(japanese_day(after).to_string(), "2026-04-01");
    }
}
