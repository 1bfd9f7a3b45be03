//! What contradicts the clock: the newest leaf of the logs, the gateway's own certificate, and the time that passed since the start
//! (invariant *time-is-evidence*). No I/O: the caller reads the evidence and hands it in.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Validity;

/// How far the clock may be behind the newest leaf: gateways on several machines are never exactly alike.
const BEHIND_MAX: SignedDuration = SignedDuration::from_mins(5);

/// How far the clock may run ahead of the time that was measured since the start.
const JUMP_MAX: SignedDuration = SignedDuration::from_hours(1);

const DAY_S: i64 = 86_400;

/// Why nothing irreversible is done on the word of the clock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClockSuspect {
    /// The clock is behind the log.
    #[error("the clock says {now}, and the newest leaf of the log is of {leaf}")]
    BehindLog {
        /// What the clock says.
        now: Timestamp,
        /// The newest leaf that is believed.
        leaf: Timestamp,
    },
    /// The clock is far ahead of the log.
    #[error(
        "the clock says {now}, more than {days_max} days (ahead_of_log_days_max) after the newest leaf of the log, of {leaf}"
    )]
    FarAheadOfLog {
        /// What the clock says.
        now: Timestamp,
        /// The newest leaf that is believed.
        leaf: Timestamp,
        /// The setting.
        days_max: u32,
    },
    /// The gateway's certificate is not valid yet.
    #[error("the clock says {now}, and the gateway's own certificate is valid from {from} on")]
    BeforeCertificate {
        /// What the clock says.
        now: Timestamp,
        /// The beginning of the certificate.
        from: Timestamp,
    },
    /// The gateway's certificate has ended.
    #[error("the clock says {now}, and the gateway's own certificate ended at {until}")]
    AfterCertificate {
        /// What the clock says.
        now: Timestamp,
        /// The end of the certificate.
        until: Timestamp,
    },
    /// The clock jumped while the gateway ran.
    #[error("the clock says {now}, and by the time that passed since the start it should be {expected}")]
    Jumped {
        /// What the clock says.
        now: Timestamp,
        /// What it should say.
        expected: Timestamp,
    },
}

/// The times of leaves. Those that follow each other within the bound are believed, from the first leaf or the newest confirmation on.
///
/// A clock that jumps years ahead writes leaves with its wrong time. They are out of reach of the others, so they prove nothing, and
/// they stand in the way of nothing once the clock is right again.
#[derive(Debug)]
pub(crate) struct LeafTimes {
    days_max: u32,
    newest: Option<Timestamp>,
    /// Times out of reach: the newest of each day.
    beyond: BTreeMap<i64, Timestamp>,
}

// === impl ClockSuspect ===

impl ClockSuspect {
    /// What the operator does about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::BehindLog { .. } | Self::FarAheadOfLog { .. } => {
                "Set the clock right. If it is right, confirm it: atena clock confirm --date YYYY-MM-DD"
            }
            Self::Jumped { .. } => {
                "Set the clock right. If it is right, because the machine as a whole was paused (a snapshot, a move to another host), \
                 confirm it: atena clock confirm --date YYYY-MM-DD"
            }
            Self::BeforeCertificate { .. } | Self::AfterCertificate { .. } => {
                "Set the clock right. If it is right, renew the certificate (the built-in authority: atena pki renew)"
            }
        }
    }

    /// A short name, for metrics and for programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BehindLog { .. } => "behind-log",
            Self::FarAheadOfLog { .. } => "far-ahead-of-log",
            Self::BeforeCertificate { .. } => "before-certificate",
            Self::AfterCertificate { .. } => "after-certificate",
            Self::Jumped { .. } => "jumped",
        }
    }
}

// === impl LeafTimes ===

impl LeafTimes {
    pub(crate) fn new(days_max: u32) -> Self {
        Self { days_max, newest: None, beyond: BTreeMap::new() }
    }

    /// Takes the time of one more leaf.
    pub(crate) fn add(&mut self, at: Timestamp) {
        match self.newest {
            Some(newest) if !self.in_reach(newest, at) => {
                let of_day = self.beyond.entry(at.as_second().div_euclid(DAY_S)).or_insert(at);
                *of_day = (*of_day).max(at);
            }
            newest => {
                self.newest = Some(newest.map_or(at, |newest| newest.max(at)));
                self.reach_further();
            }
        }
    }

    /// An operator confirmed this time: leaves before the confirmation prove nothing any more.
    pub(crate) fn confirm(&mut self, at: Timestamp) {
        self.newest = Some(at);
        self.beyond.clear();
    }

    /// The newest leaf that is believed.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The newest leaf that is not believed: the clock was wrong when it was written.
    pub(crate) fn newest_not_believed(&self) -> Option<Timestamp> {
        self.beyond.last_key_value().map(|(_, at)| *at)
    }

    fn in_reach(&self, newest: Timestamp, at: Timestamp) -> bool {
        at.duration_since(newest) <= days(self.days_max)
    }

    fn reach_further(&mut self) {
        while let Some(newest) = self.newest
            && let Some(first) = self.beyond.first_entry()
            && first.get().duration_since(newest) <= days(self.days_max)
        {
            self.newest = Some(newest.max(first.remove()));
        }
    }

    /// Whether the clock may be believed. `expected` is what it should say by the time measured since it was last believed, if it was.
    pub(crate) fn judge(
        &self,
        now: Timestamp,
        certificate: Validity,
        expected: Option<Timestamp>,
    ) -> Result<(), ClockSuspect> {
        if now < certificate.from {
            return Err(ClockSuspect::BeforeCertificate { now, from: certificate.from });
        }
        if now > certificate.until {
            return Err(ClockSuspect::AfterCertificate { now, until: certificate.until });
        }
        if let Some(leaf) = self.newest {
            if leaf.duration_since(now) > BEHIND_MAX {
                return Err(ClockSuspect::BehindLog { now, leaf });
            }
            // A gateway that ran all the time knows how much time has passed, also where it had nothing to write.
            if expected.is_none() && !self.in_reach(leaf, now) {
                return Err(ClockSuspect::FarAheadOfLog { now, leaf, days_max: self.days_max });
            }
        }
        match expected {
            Some(expected) if now.duration_since(expected) > JUMP_MAX => Err(ClockSuspect::Jumped { now, expected }),
            _ => Ok(()),
        }
    }

    /// Whether a leaf should be written now, so that the next one is not out of reach.
    pub(crate) fn wants_leaf(&self, now: Timestamp) -> bool {
        self.newest.is_some_and(|newest| now.duration_since(newest) > days(self.days_max) / 4)
    }
}

fn days(days: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * DAY_S).unwrap()
    }

    fn certificate() -> Validity {
        Validity { from: at(-10), until: at(3650) }
    }

    fn times(leaves: &[i64]) -> LeafTimes {
        let mut times = LeafTimes::new(40);
        leaves.iter().for_each(|day| times.add(at(*day)));
        times
    }

    #[test]
    fn a_clock_before_the_newest_leaf_or_far_after_it_is_suspect() {
        let times = times(&[0, 20]);
        assert!(times.judge(at(20), certificate(), None).is_ok());
        assert!(times.judge(at(60), certificate(), None).is_ok());
        assert!(matches!(times.judge(at(61), certificate(), None), Err(ClockSuspect::FarAheadOfLog { .. })));
        assert!(matches!(times.judge(at(19), certificate(), None), Err(ClockSuspect::BehindLog { .. })));
        let a_little = at(20).checked_sub(SignedDuration::from_mins(4)).unwrap();
        assert!(times.judge(a_little, certificate(), None).is_ok());
    }

    #[test]
    fn a_clock_outside_the_time_of_the_own_certificate_is_suspect() {
        let none = LeafTimes::new(40);
        assert!(none.judge(at(0), certificate(), None).is_ok());
        assert!(matches!(none.judge(at(-11), certificate(), None), Err(ClockSuspect::BeforeCertificate { .. })));
        assert!(matches!(none.judge(at(3651), certificate(), None), Err(ClockSuspect::AfterCertificate { .. })));
    }

    #[test]
    fn leaves_of_a_wrong_clock_prove_nothing_and_block_nothing_afterwards() {
        let mut times = times(&[0, 20]);
        // Two starts, both with the clock years ahead, write leaves.
        for day in [2900, 2901, 2902] {
            times.add(at(day));
            assert!(times.judge(at(day), certificate(), None).is_err());
        }
        assert_eq!((times.newest(), times.newest_not_believed()), (Some(at(20)), Some(at(2902))));
        assert!(times.judge(at(21), certificate(), None).is_ok());
    }

    #[test]
    fn the_order_in_which_leaves_are_read_does_not_matter() {
        assert_eq!(times(&[0, 70, 35]).newest(), Some(at(70)));
        assert_eq!(times(&[0, 35, 70]).newest(), Some(at(70)));
    }

    #[test]
    fn a_confirmed_time_counts_and_what_was_written_before_does_not() {
        // It truly stood still for a year.
        let mut still = times(&[0, 20]);
        assert!(still.judge(at(385), certificate(), None).is_err());
        still.confirm(at(385));
        assert!(still.judge(at(386), certificate(), None).is_ok());
        // The clock was a month ahead, and is right again.
        let mut ahead = times(&[0, 20, 50]);
        assert!(matches!(ahead.judge(at(21), certificate(), None), Err(ClockSuspect::BehindLog { .. })));
        ahead.confirm(at(21));
        assert!(ahead.judge(at(22), certificate(), None).is_ok());
    }

    #[test]
    fn a_jump_is_seen_against_the_time_that_passed_since_the_start() {
        let times = times(&[0, 20]);
        assert!(matches!(times.judge(at(30), certificate(), Some(at(21))), Err(ClockSuspect::Jumped { .. })));
        assert!(times.judge(at(21), certificate(), Some(at(21))).is_ok());
        // It ran for a hundred days with nothing to do.
        assert!(times.judge(at(120), certificate(), Some(at(120))).is_ok());
        assert!(times.wants_leaf(at(31)) && !times.wants_leaf(at(29)));
    }
}
