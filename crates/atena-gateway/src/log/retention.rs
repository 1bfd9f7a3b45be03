//! Erases the details of transfers whose retention period (保存期間) has ended, and records each erasure. The leaves stay, so that every
//! proof goes on verifying; what they commit to is gone.

use std::sync::Arc;
use std::time::Duration;

use atena_ledger::{Direction, Leaf, LeafShape, Outcome, RenderedShape};
use atena_store::StoreError;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::call::Method;
use crate::clock::ClockError;
use crate::config::RetentionConfig;
use crate::error::CallError;
use crate::hall::Hall;
use crate::transfer;

/// How often it is looked whether something has come of age.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Chunks of one transaction.
const CHUNKS_AT_ONCE: u32 = 64;

/// Under which name the gateway records what it does by itself.
pub(crate) const GATEWAY: &str = "atena";
const ERASE: Method = Method { name: "Log/EraseDetails", direction: Direction::Inbound };

/// What is kept for one length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Transfers,
    Refusals,
    Audits,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Transfers, Self::Refusals, Self::Audits];

    /// The kind of a leaf; `None` for the records of erasures and of what those did who run the system, whose details are kept for ever (they
    /// name nobody of whom data is kept).
    pub(crate) fn of(shape: &LeafShape, leaf: &Leaf) -> Option<Self> {
        match leaf.outcome {
            Outcome::Erased | Outcome::Begun | Outcome::Done => None,
            _ if shape.method.starts_with("TransferLogService/") => Some(Self::Audits),
            Outcome::Released | Outcome::Received => Some(Self::Transfers),
            Outcome::Refused | Outcome::Cancelled | Outcome::TimedOut | Outcome::Failed => Some(Self::Refusals),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Refusals => "refusals",
            Self::Audits => "audits",
        }
    }

    fn days(self, config: &RetentionConfig) -> u32 {
        match self {
            Self::Transfers => config.transfers_days,
            Self::Refusals => config.refusals_days,
            Self::Audits => config.audits_days,
        }
    }
}

/// What an erasure's leaf says: of which kind, and before which time (microseconds since 1970).
pub(crate) fn erasure(shape: &LeafShape, leaf: &Leaf) -> Option<(Kind, u64)> {
    let [kind, before] = shape.fields.as_slice() else { return None };
    let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let before = before.strip_prefix("before:")?.parse().ok()?;
    (leaf.outcome == Outcome::Erased && shape.system == GATEWAY).then_some((kind, before))
}

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
            match erase(&hall, kind, kind.days(&config)).await {
                Ok(erased) => residue |= erased,
                Err(NotErased::Clock(error)) => {
                    tracing::error!(%error, kind = kind.as_str(), "details are kept, whatever their age");
                }
                Err(error) => {
                    // Some of it may be done.
                    residue = true;
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

/// Erases what has come of age, and tells whether there was anything.
async fn erase(hall: &Arc<Hall>, kind: Kind, days: u32) -> Result<bool, NotErased> {
    let age = SignedDuration::from_hours(24 * i64::from(days));
    let mut erased_any = false;
    loop {
        // Asked anew for each transaction: the clock may jump while this goes on.
        let Ok(before) = hall.clock.believed_now().await?.checked_sub(age) else { return Ok(false) };
        let place = hall.store.retention_place(kind.as_str()).await?;
        let chunks = hall.store.log_chunks_from(place, CHUNKS_AT_ONCE).await?;
        let of_age: Vec<_> =
            chunks.into_iter().take_while(|chunk| chunk.requested_max < before.as_microsecond()).collect();
        let Some(done) = of_age.last().map(|chunk| chunk.first_index + chunk.leaf_count) else { break };
        let mut transaction = hall.store.begin_write("erase_log_details").await?;
        let mut erased = 0;
        for chunk in of_age {
            let leaves = chunk.leaves()?;
            let mut details = hall.store.log_details(chunk.first_index).await?;
            let mut forgotten = Vec::new();
            let shapes: Result<Vec<_>, _> = leaves.shapes().iter().map(RenderedShape::shape).collect();
            let shapes = shapes.map_err(|_| super::damaged())?;
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
            let sealing = super::seal(hall, &mut transaction, vec![record(hall, kind, before, days)]).await?;
            super::commit(hall, transaction, sealing).await?;
            tracing::info!(kind = kind.as_str(), erased, "details whose time had come were erased");
            erased_any = true;
        }
    }
    Ok(erased_any)
}

fn record(hall: &Arc<Hall>, kind: Kind, before: Timestamp, days: u32) -> transfer::TransferRecord {
    let mut record = transfer::of_gateway(hall.policy_hash(), ERASE, GATEWAY);
    record.outcome = Outcome::Erased;
    let heading = record.heading_mut();
    heading.affair = Some("記録の保存期間満了による消去".into());
    heading.legal_basis = Some(format!("保存期間 {days} 日").into());
    heading.fields = Arc::from([kind.as_str().to_owned(), format!("before:{}", before.as_microsecond())]);
    record
}
