//! time-is-evidence: a clock that the tests move, against a log in a database of its own.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Mutex as Lock;

use super::*;
use crate::test_town::{DAY_S, append, day, leaf, open_store, shape};

const YEAR: i64 = 365;

/// A gateway's clock and logs.
struct Town {
    _folder: tempfile::TempDir,
    store: Store,
    clock: Arc<Lock<(Timestamp, Duration)>>,
    leaves: u64,
}

impl Town {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(&folder).await;
        Self { _folder: folder, store, clock: Arc::new(Lock::new((day(0), Duration::ZERO))), leaves: 0 }
    }

    /// A process that starts now.
    fn start(&self) -> ClockGuard {
        let own = || Ok(Validity { from: day(-30), until: day(20 * YEAR) });
        ClockGuard::new(Clock::Moved(Arc::clone(&self.clock)), &self.store, 40, Box::new(own))
    }

    /// Days pass, and the clock goes with them.
    fn pass(&self, days: i64) {
        let mut clock = self.clock.lock().unwrap();
        clock.0 = clock.0.checked_add(SignedDuration::from_hours(24 * days)).unwrap();
        clock.1 += Duration::from_secs(u64::try_from(days * DAY_S).unwrap());
    }

    /// Somebody sets the clock.
    fn set(&self, at: Timestamp) {
        self.clock.lock().unwrap().0 = at;
    }

    /// A leaf by the clock as it is now.
    async fn leaf(&mut self, log: Log, method: &str, fields: Vec<String>) {
        self.leaves += 1;
        let leaf = leaf(self.leaves, self.clock.lock().unwrap().0, Outcome::Done);
        append(&self.store.about_log(log), &shape(method, "atena", fields), leaf).await;
    }

    async fn start_leaf(&mut self) {
        self.leaf(Log::Administration, "Gateway/Start", Vec::new()).await;
    }

    async fn confirm(&mut self) {
        let leaves = format!("leaves:{}", self.store.log_size().await.unwrap());
        self.leaf(Log::Administration, CONFIRM_CLOCK, vec![leaves]).await;
    }
}

async fn suspect(guard: &ClockGuard) -> Option<&'static str> {
    guard.status().await.unwrap().suspect.map(|suspect| suspect.kind())
}

#[tokio::test]
async fn a_start_years_ahead_is_suspect_also_the_second_time_and_the_right_clock_goes_on() {
    let mut town = Town::new().await;
    town.start_leaf().await;
    town.leaf(Log::Transfers, "AddressService/RegisterPerson", Vec::new()).await;
    for _ in 0..2 {
        town.set(day(8 * YEAR));
        let ahead = town.start();
        assert_eq!(suspect(&ahead).await, Some("far-ahead-of-log"));
        town.start_leaf().await;
        town.leaf(Log::Transfers, "AddressService/RegisterPerson", Vec::new()).await;
        assert_eq!(suspect(&ahead).await, Some("far-ahead-of-log"), "its own leaves prove nothing");
    }
    town.set(day(1));
    let right = town.start();
    assert_eq!(right.believed_now().await.unwrap(), day(1));
    assert_eq!(right.status().await.unwrap().not_believed, Some(day(8 * YEAR)));
}

#[tokio::test]
async fn a_start_before_the_newest_leaf_is_suspect() {
    let mut town = Town::new().await;
    town.leaf(Log::Transfers, "AddressService/RegisterPerson", Vec::new()).await;
    town.set(day(-1));
    assert_eq!(suspect(&town.start()).await, Some("behind-log"));
}

#[tokio::test]
async fn a_jump_while_it_runs_is_seen_and_what_is_over_is_over() {
    let mut town = Town::new().await;
    town.start_leaf().await;
    let guard = town.start();
    assert_eq!(suspect(&guard).await, None);
    town.pass(1);
    assert_eq!(suspect(&guard).await, None);
    // Within the bound of the log, and noticed all the same; its leaves too.
    town.set(day(21));
    assert_eq!(suspect(&guard).await, Some("jumped"));
    town.leaf(Log::Transfers, "AddressService/RegisterPerson", Vec::new()).await;
    assert_eq!(suspect(&guard).await, Some("jumped"));
    town.set(day(8 * YEAR));
    assert_eq!(suspect(&guard).await, Some("jumped"));
    // The clock is right again, and behind the leaves that it wrote wrongly: time or an operator ends that.
    town.set(day(1));
    assert_eq!(suspect(&guard).await, Some("behind-log"));
    town.confirm().await;
    assert_eq!(suspect(&guard).await, None);
    town.pass(1);
    assert_eq!(suspect(&guard).await, None);
}

#[tokio::test]
async fn a_gateway_that_stood_still_for_a_year_goes_on_once_an_operator_confirms_the_clock() {
    let mut town = Town::new().await;
    town.start_leaf().await;
    town.pass(YEAR);
    let guard = town.start();
    assert_eq!(suspect(&guard).await, Some("far-ahead-of-log"));
    town.confirm().await;
    assert_eq!(suspect(&guard).await, None);
    assert_eq!(suspect(&town.start()).await, None, "also after a restart");
    // It is no licence for the next jump.
    town.set(day(9 * YEAR));
    assert_eq!(suspect(&town.start()).await, Some("far-ahead-of-log"));
}

/// Lets a gateway record that it runs, as it does at each comparison.
async fn keep_time(town: &mut Town, guard: &ClockGuard, told: &mut Option<String>) -> bool {
    let before = town.leaves;
    let now = guard.believed_now().await.unwrap();
    let record = async {
        town.leaf(Log::Administration, "Clock/Keep", Vec::new()).await;
        Ok::<_, &str>(())
    };
    guard.keep_time(now, record, told).await;
    town.leaves > before
}

#[tokio::test]
async fn a_gateway_that_runs_and_has_nothing_to_write_knows_the_time() {
    let mut town = Town::new().await;
    town.start_leaf().await;
    let guard = town.start();
    let mut kept = 0;
    for _ in 0..198 {
        town.pass(1);
        assert_eq!(suspect(&guard).await, None);
        kept += u32::from(keep_time(&mut town, &guard, &mut None).await);
    }
    assert_eq!(kept, 18, "a leaf every eleven days");
    town.pass(39);
    assert_eq!(suspect(&town.start()).await, None, "so does the next start");
}

#[tokio::test]
async fn an_admin_log_that_can_not_be_written_is_told_once_and_tried_again() {
    let mut town = Town::new().await;
    town.start_leaf().await;
    let guard = town.start();
    town.pass(11);
    let now = guard.believed_now().await.unwrap();
    let mut told = None;
    for trouble in ["no space", "no space", "locked"] {
        guard.keep_time(now, async { Err(trouble) }, &mut told).await;
        assert_eq!(told.as_deref(), Some(trouble));
    }
    assert!(keep_time(&mut town, &guard, &mut told).await);
    assert_eq!(told, None);
    assert!(!keep_time(&mut town, &guard, &mut told).await, "it is kept");
}

#[tokio::test]
async fn small_steps_are_no_jump_in_the_course_of_months_and_a_large_one_is() {
    let mut town = Town::new().await;
    town.start_leaf().await;
    let guard = town.start();
    let step = |minutes| {
        let mut clock = town.clock.lock().unwrap();
        clock.0 = clock.0.checked_add(SignedDuration::from_mins(minutes)).unwrap();
    };
    for _ in 0..30 {
        town.pass(1);
        step(4);
        assert_eq!(suspect(&guard).await, None);
    }
    // Within one day they add up.
    for _ in 0..15 {
        step(4);
        assert_eq!(suspect(&guard).await, None);
    }
    step(4);
    assert_eq!(suspect(&guard).await, Some("jumped"));
}
