//! Erases the details of transfers whose retention period (保存期間) has ended, and records each
//! erasure. The leaves stay, so that every proof goes on verifying; what they commit to is gone.

use std::sync::Arc;
use std::time::Duration;

use atena_ledger::{Direction, Outcome, RenderedShape};
use atena_store::{Store, StoreError, StoredChunk};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock_guard::ClockError;
use crate::config::RetentionConfig;
use crate::error::CallError;
use crate::hall::Hall;
use crate::log::damaged;
use crate::log::retention::{Erasure, GATEWAY, Kind};
use crate::transfer::{self, Method};

/// How often it is looked whether something has come of age.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Chunks of one transaction.
const CHUNKS_AT_ONCE: u32 = 64;

/// How far in the future a time may lie that is still taken for right: several gateways are never
/// exactly alike.
const AHEAD_MAX_US: i64 = 300_000_000;

const ERASE: Method = Method { name: "Log/EraseDetails", direction: Direction::Inbound };

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
enum NotErased {
    /// The clock is not believed (time-is-evidence).
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The database or the keys.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<StoreError> for NotErased {
    fn from(error: StoreError) -> Self {
        Self::Call(error.into())
    }
}

/// Erases what has come of age, now and every hour, until stopped; and as soon as the clock is believed again.
pub(crate) async fn run(hall: Arc<Hall>, config: RetentionConfig, stop: CancellationToken) {
    let mut residue = false;
    let mut clock = hall.clock.watch();
    while !stop.is_cancelled() {
        for kind in Kind::ALL {
            match erase(&hall, kind, kind.days(&config), &mut residue).await {
                Ok(()) => {}
                Err(NotErased::Clock(error)) => {
                    tracing::error!(%error, kind = kind.as_str(), "details are kept, whatever their age");
                }
                Err(error) => {
                    tracing::error!(%error, kind = kind.as_str(), "details whose time has come were not erased");
                }
            }
        }
        if residue {
            // Nothing erased may stay in the write-ahead log; if it can't be emptied now, then the next time.
            match hall.store.truncate_wal().await {
                Ok(()) => residue = false,
                Err(error) => tracing::warn!(%error, "what was erased is still in the write-ahead log"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = believed_again(&mut clock) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Waits until a clock that was suspect is not any more.
async fn believed_again(clock: &mut watch::Receiver<Option<String>>) {
    while clock.changed().await.is_ok() {
        if clock.borrow_and_update().is_none() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Chunks that have come of age.
struct OfAge {
    chunks: Vec<StoredChunk>,
    /// The first leaf after those of them that a wrong clock dated later than now; 0 without any.
    ahead_until: u64,
}

/// Erases what has come of age. `residue` is set as soon as something may have been erased, so that
/// it is not lost where the clock or the database stops the rest.
async fn erase(hall: &Arc<Hall>, kind: Kind, days: u32, residue: &mut bool) -> Result<(), NotErased> {
    let age = SignedDuration::from_hours(24 * i64::from(days));
    loop {
        // Asked anew for each transaction: the clock may jump while this goes on.
        let now = hall.clock.believed_now().await?;
        let Ok(before) = now.checked_sub(age) else { return Ok(()) };
        let place = hall.store.retention_place(kind.as_str()).await?;
        let OfAge { chunks: of_age, ahead_until } = of_age(&hall.store, place, before, now).await?;
        let Some(done) = of_age.last().map(|chunk| chunk.first_index + chunk.leaf_count) else { return Ok(()) };
        let mut transaction = hall.store.begin_write("erase_log_details").await?;
        let mut erased = 0;
        for chunk in of_age {
            let leaves = chunk.leaves()?;
            let mut details = hall.store.log_details(chunk.first_index).await?;
            let mut forgotten = Vec::new();
            let shapes: Result<Vec<_>, _> = leaves.shapes().iter().map(RenderedShape::shape).collect();
            let shapes = shapes.map_err(|_| damaged())?;
            for ((index, (place, leaf)), details) in (chunk.first_index..).zip(leaves.placed()).zip(&mut details) {
                let of_kind = shapes.get(*place).and_then(|shape| Kind::of(shape, leaf)) == Some(kind);
                if of_kind && !details.sealed.is_empty() {
                    details.sealed.clear();
                    forgotten.extend(details.person.take().map(|person| (person, index)));
                    erased += 1;
                }
            }
            transaction.replace_log_details(chunk.first_index, &details, &forgotten).await?;
        }
        transaction.set_retention_place(kind.as_str(), done).await?;
        if erased == 0 {
            transaction.commit().await?;
        } else {
            let erasure = Erasure { before: u64::try_from(before.as_microsecond()).unwrap_or_default(), ahead_until };
            let sealing = hall.log.seal(&mut transaction, vec![record(hall, kind, erasure, days)]).await?;
            // A commit whose answer is lost may have been made.
            *residue = true;
            hall.log.commit(transaction, sealing).await?;
            tracing::info!(kind = kind.as_str(), erased, "details whose time had come were erased");
        }
    }
}

/// The next chunks from leaf `place` on that have come of age. A chunk that is dated later than now
/// was written by a wrong clock. The log is in the order of writing, so such a chunk is older than
/// those after it: it has come of age with the first of them that is dated rightly. It would hold
/// up everything behind it until its false time has come.
async fn of_age(store: &Store, place: u64, before: Timestamp, now: Timestamp) -> Result<OfAge, StoreError> {
    let mut chunks: Vec<StoredChunk> = Vec::new();
    let mut from = place;
    loop {
        let next = store.log_chunks_from(from, CHUNKS_AT_ONCE).await?;
        let start = chunks.len();
        chunks.extend(next.into_iter().filter(|chunk| chunk.first_index >= from));
        from = chunks.last().map_or(from, |chunk| chunk.first_index + chunk.leaf_count);
        let is_ahead = |chunk: &StoredChunk| chunk.requested_max > now.as_microsecond().saturating_add(AHEAD_MAX_US);
        let dated = chunks.iter().skip(start).any(|chunk| !is_ahead(chunk));
        if chunks.len() > start && !dated {
            continue;
        }
        let (mut dated, ahead) = (chunks.iter().enumerate(), |chunk: &&StoredChunk| is_ahead(chunk));
        let young = dated.find(|(_, chunk)| !is_ahead(chunk) && chunk.requested_max >= before.as_microsecond());
        chunks.truncate(young.map_or(chunks.len(), |(place, _)| place));
        // Those after the last that is dated rightly wait for one that is.
        let last = chunks.iter().rposition(|chunk| !is_ahead(chunk));
        chunks.truncate(last.map_or(0, |last| last + 1).min(usize::try_from(CHUNKS_AT_ONCE).unwrap_or(usize::MAX)));
        let ahead_until = chunks.iter().rfind(ahead).map_or(0, |chunk| chunk.first_index + chunk.leaf_count);
        return Ok(OfAge { chunks, ahead_until });
    }
}

fn record(hall: &Arc<Hall>, kind: Kind, erasure: Erasure, days: u32) -> transfer::TransferRecord {
    let mut record = transfer::of_gateway(hall.policy_hash(), ERASE, GATEWAY);
    record.outcome = Outcome::Erased;
    let heading = record.heading_mut();
    heading.affair = Some("記録の保存期間満了による消去".into());
    heading.legal_basis = Some(format!("保存期間 {days} 日").into());
    heading.fields = erasure.fields(kind).into();
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_town::{append, day, leaf, open_store, shape};

    /// A log with one leaf in each commit, of these days.
    async fn log(folder: &tempfile::TempDir, days: &[i64]) -> Store {
        let store = open_store(folder).await;
        let shape = shape("LinkageService/GetRecords", "resident-tax", Vec::new());
        for (number, at) in (1..).zip(days) {
            append(&store, &shape, leaf(number, day(*at), Outcome::Released)).await;
        }
        store
    }

    #[tokio::test]
    async fn leaves_of_a_clock_that_was_ahead_hold_nothing_up() {
        const AHEAD: i64 = 3000;
        // The days of leaves, and how many of them have come of age on day 100 after ten days.
        for (days, count, ahead_until) in [
            (&[0, 1, 95][..], 2, 0),
            (&[0, AHEAD, AHEAD + 1, 2, 95], 4, 3),
            // It may be as young as the one before it.
            (&[0, AHEAD, 95], 1, 0),
            (&[AHEAD, 1, AHEAD, 95], 2, 1),
            (&[0, AHEAD], 1, 0),
            (&[AHEAD], 0, 0),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let store = log(&folder, days).await;
            let found = of_age(&store, 0, day(90), day(100)).await.unwrap();
            assert_eq!((found.chunks.len(), found.ahead_until), (count, ahead_until), "{days:?}");
        }
        // More than are read at once.
        let mut days = vec![0];
        days.extend([AHEAD; 70]);
        days.extend([1, 95]);
        let folder = tempfile::tempdir().unwrap();
        let store = log(&folder, &days).await;
        for (place, count, ahead_until) in [(0, 1, 0), (1, 64, 65), (65, 7, 71), (72, 0, 0)] {
            let found = of_age(&store, place, day(90), day(100)).await.unwrap();
            assert_eq!((found.chunks.len(), found.ahead_until), (count, ahead_until), "from {place}");
        }
    }
}
