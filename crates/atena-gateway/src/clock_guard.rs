//! Compares the clock with the evidence, again and again while a gateway runs (invariant *time-is-evidence*).

mod evidence;

use std::sync::Arc;
use std::time::Duration;

use atena_ledger::Outcome;
use atena_store::{Log, Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::admin::{Action, AdminError, AdminLog, CONFIRM_CLOCK};
use crate::clock::{Clock, Validity, japanese_day};
use crate::door::TlsError;
use crate::metrics::Metrics;

pub use evidence::ClockSuspect;
use evidence::LeafTimes;

/// Between two comparisons.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Between two lines about a clock that goes on being suspect.
const SAY_AGAIN: Duration = Duration::from_secs(3600);

/// How often the clock is measured from a new start, where it goes right. It is set by small steps
/// in the course of months, which are no jump together.
const BASE_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// How far the clock may have gone from the measured time for that.
const STEP_MAX: SignedDuration = SignedDuration::from_mins(5);

/// How health clients ask for it.
const HEALTH: &str = "atena.clock";

/// Rows read at once.
const ROWS_AT_ONCE: u32 = 1000;
const CHUNKS_AT_ONCE: u32 = 64;

/// Reads when the gateway's own certificate is valid.
pub(crate) type OwnCertificate = Box<dyn Fn() -> Result<Validity, TlsError> + Send + Sync>;

/// Why the clock is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// It contradicts the evidence.
    #[error("CLOCK_SUSPECT: {0}. {remedy}", remedy = .0.remedy())]
    Suspect(#[from] ClockSuspect),
    /// The certificate can't be read.
    #[error("CLOCK_SUSPECT: the clock can't be compared with the gateway's own certificate: {0}")]
    Certificate(#[from] TlsError),
    /// The log can't be read.
    #[error("CLOCK_SUSPECT: the clock can't be compared with the newest leaf of the log: {0}")]
    Store(#[from] StoreError),
}

/// What the clock was compared with.
#[derive(Debug, Clone)]
pub struct ClockStatus {
    /// What the clock says.
    pub now: Timestamp,
    /// The newest leaf that is believed.
    pub newest_leaf: Option<Timestamp>,
    /// The newest leaf that a wrong clock wrote.
    pub not_believed: Option<Timestamp>,
    /// The beginning and the end of the gateway's own certificate.
    pub certificate: (Timestamp, Timestamp),
    /// Why the clock is not believed, if it is not.
    pub suspect: Option<ClockSuspect>,
}

/// Decides whether the clock of one municipality's gateway is believed.
pub(crate) struct ClockGuard {
    clock: Clock,
    store: Store,
    certificate: OwnCertificate,
    state: Mutex<State>,
    /// Why the clock was not believed the last time, if it was not.
    seen: watch::Sender<Option<String>>,
}

/// What has been read.
struct State {
    times: LeafTimes,
    admin_next: u64,
    head_next: u64,
    /// When the clock was first believed: its time, and the time that had passed then.
    base: Option<(Timestamp, Duration)>,
}

// === impl ClockGuard ===

impl ClockGuard {
    pub(crate) fn new(clock: Clock, store: &Store, ahead_of_log_days_max: u32, certificate: OwnCertificate) -> Self {
        let times = LeafTimes::new(ahead_of_log_days_max);
        Self {
            clock,
            store: store.about_log(Log::Transfers),
            certificate,
            state: Mutex::new(State { times, admin_next: 0, head_next: 0, base: None }),
            seen: watch::Sender::new(None),
        }
    }

    /// What the clock says, if that may be believed now.
    ///
    /// # Errors
    /// [`ClockError`]: nothing irreversible may be done.
    pub(crate) async fn believed_now(&self) -> Result<Timestamp, ClockError> {
        let status = self.status().await?;
        status.suspect.map_or(Ok(status.now), |suspect| Err(suspect.into()))
    }

    /// Compares the clock with the evidence.
    ///
    /// # Errors
    /// [`ClockError`]: the evidence can't be read.
    pub(crate) async fn status(&self) -> Result<ClockStatus, ClockError> {
        let mut state = self.state.lock().await;
        state.read(&self.store).await?;
        let certificate = (self.certificate)()?;
        let (now, passed) = (self.clock.now(), self.clock.passed());
        let expected = state.base.and_then(|(at, before)| {
            let since = SignedDuration::try_from(passed.saturating_sub(before)).ok()?;
            at.checked_add(since).ok()
        });
        let suspect = state.times.judge(now, certificate, expected).err();
        if suspect.is_none() && state.wants_base(now, passed, expected) {
            state.base = Some((now, passed));
        }
        Ok(ClockStatus {
            now,
            newest_leaf: state.times.newest(),
            not_believed: state.times.newest_not_believed(),
            certificate: (certificate.from, certificate.until),
            suspect,
        })
    }

    /// Compares at start, before this start itself is recorded, and says what is wrong.
    pub(crate) async fn check_at_start(&self) -> Result<(), StoreError> {
        match self.status().await {
            Ok(status) => {
                if let Some(leaf) = status.not_believed {
                    tracing::warn!(
                        %leaf, now = %status.now,
                        "the log has leaves that a wrong clock wrote; their times are not taken as evidence"
                    );
                }
                self.note(status.suspect.map(ClockError::from).as_ref());
                Ok(())
            }
            Err(ClockError::Store(error)) => Err(error),
            Err(error) => {
                self.note(Some(&error));
                Ok(())
            }
        }
    }

    /// Compares until stopped.
    pub(crate) async fn run(self: Arc<Self>, admin: Arc<AdminLog>, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut said = self.clock.passed();
        let mut told = None;
        while !stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            let found = self.believed_now().await;
            let again = self.clock.passed().saturating_sub(said) >= SAY_AGAIN;
            if again {
                said = self.clock.passed();
            }
            if let (Err(error), true) = (&found, again) {
                tracing::error!(%error, "nothing is erased");
            }
            metrics.clock_suspect(self.note(found.as_ref().err()));
            if let Ok(now) = found {
                let record = admin.during(Action::KeepTime, async { Ok::<_, AdminError>(()) }, |()| 0);
                self.keep_time(now, record, &mut told).await;
            }
        }
    }

    /// Records that the gateway runs, where the next leaf could be out of reach otherwise. Tells of
    /// each trouble once.
    async fn keep_time<E: std::fmt::Display>(
        &self,
        now: Timestamp,
        record: impl Future<Output = Result<(), E>>,
        told: &mut Option<String>,
    ) {
        if !self.state.lock().await.times.wants_leaf(now) {
            return;
        }
        let trouble = record.await.err().map(|error| error.to_string());
        match &trouble {
            Some(error) if *told != trouble => tracing::error!(%error, "that the gateway ran is not in the admin log"),
            None if told.is_some() => tracing::warn!("that the gateway runs is in the admin log again"),
            _ => {}
        }
        *told = trouble;
    }

    /// Shows health clients whether the clock is believed, as the service `atena.clock`, until stopped.
    pub(crate) async fn report(self: Arc<Self>, reporter: HealthReporter, stop: CancellationToken) {
        let mut seen = self.watch();
        loop {
            let believed = seen.borrow_and_update().is_none();
            let status = if believed { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status(HEALTH, status).await;
            tokio::select! {
                changed = seen.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    /// Keeps what a comparison found, and says it where it differs from before. Tells whether the clock is suspect.
    fn note(&self, error: Option<&ClockError>) -> bool {
        let kind = error.map(|error| match error {
            ClockError::Suspect(suspect) => suspect.kind().to_owned(),
            ClockError::Certificate(_) | ClockError::Store(_) => "unknown".to_owned(),
        });
        let changed = self.seen.send_if_modified(|seen| {
            let changed = *seen != kind;
            seen.clone_from(&kind);
            changed
        });
        match (changed, error) {
            (true, Some(error)) => tracing::error!(%error, "nothing is erased while the clock is suspect"),
            (true, None) => tracing::info!(day = %japanese_day(self.clock.now()), "the clock is believed again"),
            (false, _) => {}
        }
        kind.is_some()
    }

    /// Whether the clock was suspect the last time, and what follows.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.seen.subscribe()
    }
}

// === impl State ===

impl State {
    /// Whether time is measured from now on, by a clock that is believed.
    fn wants_base(&self, now: Timestamp, passed: Duration, expected: Option<Timestamp>) -> bool {
        let (Some((_, before)), Some(expected)) = (self.base, expected) else { return true };
        passed.saturating_sub(before) >= BASE_INTERVAL && now.duration_since(expected).abs() <= STEP_MAX
    }

    /// Reads what was written since the last time.
    async fn read(&mut self, store: &Store) -> Result<(), StoreError> {
        self.read_admin_log(&store.about_log(Log::Administration)).await?;
        loop {
            let heads = store.checkpoint_times_from(self.head_next, ROWS_AT_ONCE).await?;
            let Some((last, _)) = heads.last() else { break };
            self.head_next = last + 1;
            heads.iter().for_each(|(_, signed_at)| self.add(*signed_at));
        }
        // The newest leaves may not be signed yet.
        if let Some((first_index, at)) = store.newest_leaf_time().await?
            && first_index >= self.head_next.saturating_sub(1)
        {
            self.add(at);
        }
        Ok(())
    }

    async fn read_admin_log(&mut self, store: &Store) -> Result<(), StoreError> {
        loop {
            let chunks = store.log_chunks_from(self.admin_next, CHUNKS_AT_ONCE).await?;
            let mut read = false;
            let from = self.admin_next;
            for chunk in chunks.iter().filter(|chunk| chunk.first_index >= from) {
                for (shape, leaf) in chunk.leaves()?.leaves() {
                    let at = i64::try_from(leaf.provided_us).unwrap_or(i64::MAX);
                    let shape = shape.shape().map_err(|_| StoreError::LeafRefused)?;
                    match Timestamp::from_microsecond(at) {
                        Ok(at) if shape.method == CONFIRM_CLOCK && leaf.outcome == Outcome::Done => {
                            let signed = shape.fields.iter().find_map(|field| field.strip_prefix("leaves:"));
                            let signed = signed.and_then(|leaves| leaves.parse::<u64>().ok()).unwrap_or_default();
                            self.times.confirm(at);
                            self.head_next = self.head_next.max(signed + 1);
                            // The clock that was confirmed may have been set: measure from here on.
                            self.base = None;
                        }
                        Ok(at) => self.times.add(at),
                        Err(_) => {}
                    }
                }
                self.admin_next = chunk.first_index + chunk.leaf_count;
                read = true;
            }
            if !read {
                return Ok(());
            }
        }
    }

    fn add(&mut self, microseconds: i64) {
        if let Ok(at) = Timestamp::from_microsecond(microseconds) {
            self.times.add(at);
        }
    }
}

#[cfg(test)]
mod tests;
