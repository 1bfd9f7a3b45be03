//! The check of a log before anything is served.

use std::path::Path;

use atena_domain::MunicipalityCode;
use atena_store::{Log as WhichLog, Store, StoreError};

use super::fsck::{Depth, Finding, fsck};
use super::keys::LogKeys;

/// Leaves after which whoever waits for the gateway is told how far the check is: a few seconds' worth.
const TELL_EVERY: u64 = 10_000_000;

/// When to tell how far the check of a large log is.
#[derive(Default)]
struct Milestones {
    /// Leaves at which to tell next.
    next: u64,
}

/// Compares a log with what was signed, and finds what differs first, if anything does.
///
/// # Errors
/// [`StoreError`]: the log can't be read.
pub(crate) async fn first_difference(
    store: &Store,
    municipality: &MunicipalityCode,
    log: WhichLog,
    keys: &LogKeys,
    checkpoint_file: &Path,
) -> Result<Option<Finding>, StoreError> {
    let mut milestones = Milestones::default();
    let progress = |leaves, all| {
        if milestones.passes(leaves, all) {
            tracing::info!(%municipality, ?log, leaves, all, "checking the log before anything is served");
        }
    };
    let checked = fsck(&store.about_log(log), keys, checkpoint_file, Depth::AT_START, progress).await?;
    Ok(checked.findings.into_iter().next())
}

// === impl Milestones ===

impl Milestones {
    /// Whether these leaves of a large log pass one: its beginning, and every so many.
    fn passes(&mut self, leaves: u64, all: u64) -> bool {
        let passes = all >= TELL_EVERY && leaves >= self.next;
        if passes {
            self.next = (leaves / TELL_EVERY + 1) * TELL_EVERY;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(all: u64, step: usize) -> Vec<u64> {
        let mut milestones = Milestones::default();
        (0..=all).step_by(step).filter(|leaves| milestones.passes(*leaves, all)).collect()
    }

    #[test]
    fn a_large_log_is_told_of_at_its_beginning_and_every_ten_million_leaves() {
        assert_eq!(passed(25_000_000, 500_000), [0, 10_000_000, 20_000_000]);
        assert_eq!(passed(20_000_000, 7_000_000), [0, 14_000_000]);
    }

    #[test]
    fn a_log_that_is_checked_in_seconds_is_not_told_of() {
        assert!(passed(9_999_999, 500_000).is_empty());
    }
}
