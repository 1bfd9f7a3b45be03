//! The deliberate way on after a long stop, or after a clock that was wrong: an operator confirms the clock, and the admin log says so.

use jiff::civil::Date;

use super::Keeper;
use crate::admin::{Action, AdminError};
use crate::clock;
use crate::clock_guard::{ClockError, ClockStatus};

/// Why the clock was not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmClockError {
    /// The clock says another day.
    #[error("the clock of this machine says {clock}, and you say {given}: set the clock right first; nothing was done")]
    OtherDay {
        /// The day in Japan by the clock.
        clock: Date,
        /// The day that was given.
        given: Date,
    },
    /// The evidence can't be read.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The admin log.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The database.
    #[error("the database can't be used: {0}")]
    Store(#[from] atena_store::StoreError),
}

// === impl Keeper ===

impl Keeper {
    /// What the clock was compared with, and whether it is believed.
    ///
    /// # Errors
    /// [`ClockError`]: the evidence can't be read.
    pub async fn clock_status(&self) -> Result<ClockStatus, ClockError> {
        self.clock.status().await
    }

    /// Confirms the clock: what was logged before proves nothing about it any more. `today` is what the operator reads elsewhere. Tells what the
    /// clock is compared with from now on: the gateway's own certificate may contradict it still.
    ///
    /// # Errors
    /// [`ConfirmClockError`].
    pub async fn confirm_clock(&self, today: Date) -> Result<ClockStatus, ConfirmClockError> {
        let before = self.clock.status().await?;
        let clock = clock::japanese_day(before.now);
        if clock != today {
            return Err(ConfirmClockError::OtherDay { clock, given: today });
        }
        let found = before.suspect.as_ref().map_or("nothing", |suspect| suspect.kind());
        let action = Action::ConfirmClock { leaves: self.store.log_size().await?, found };
        self.admin.during(action, async { Ok::<_, ConfirmClockError>(()) }, |()| 0).await?;
        Ok(self.clock.status().await?)
    }
}
