//! The one place that reads the clock.

use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, tz};

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

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

    /// The time that has passed since the machine was started. It never jumps, and goes on while
    /// the machine sleeps.
    pub(crate) fn passed(&self) -> Duration {
        match self {
            Self::System => since_boot(),
            #[cfg(test)]
            Self::Moved(clock) => clock.lock().unwrap().1,
        }
    }
}

/// `Instant` stands still while the machine is suspended, so that a right clock would seem to jump.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let passed = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither is ever negative.
    let (seconds, nanoseconds) = (u64::try_from(passed.tv_sec), u32::try_from(passed.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    static ORIGIN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    ORIGIN.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_passes_is_that_of_the_machine() {
        let first = Clock::System.passed();
        assert!(Clock::System.passed() >= first);
        #[cfg(target_os = "linux")]
        {
            let up = std::fs::read_to_string("/proc/uptime").unwrap();
            let up: f64 = up.split_whitespace().next().unwrap().parse().unwrap();
            // /proc/uptime is rounded down to hundredths.
            assert!(Clock::System.passed().as_secs_f64() >= up && first.as_secs_f64() < up + 1.0);
        }
    }

    #[test]
    fn the_day_changes_at_midnight_in_japan() {
        let before: Timestamp = "2026-03-31T14:59:59Z".parse().unwrap();
        let after: Timestamp = "2026-03-31T15:00:00Z".parse().unwrap();
        assert_eq!(japanese_day(before).to_string(), "2026-03-31");
        assert_eq!(japanese_day(after).to_string(), "2026-04-01");
    }
}
