//! Erasing people whose retention period has ended, or whom an order names (死亡, 転出, 訂正・消去の決定).
//!
//! A person's data key is destroyed, and with it everything that was sealed with it, also in backups that do not have the keys of people;
//! what could link the rest to the person goes as well. The leaves of the log stay, every proof goes on verifying, and one more leaf tells of
//! the erasure without telling of whom: its subject is a salted commitment like any other.

use std::collections::{BTreeSet, HashMap, HashSet};

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use atena_ledger::{Direction, Outcome};
use atena_store::StoreError;
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::Keeper;
use super::erasable::{ErasureCase, keep_reason, known_by, last_use};
use crate::admin::{Action, AdminError};
use crate::clock;
use crate::clock_guard::ClockError;
use crate::config::ErasureConfig;
use crate::log::retention::GATEWAY;
use crate::log::{PERSON_ERASED, Shapes, entries};
use crate::transfer::Method;
use crate::transfer::{self, TransferRecord};

const ERASE: Method = Method { name: PERSON_ERASED, direction: Direction::Inbound };

/// People erased in one transaction.
const PEOPLE_AT_ONCE: usize = 100;

/// On what ground somebody is erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Died on this day (死亡), and the period has passed.
    Death(Date),
    /// Moved out on this day (転出), and the period has passed.
    MovedOut(Date),
    /// An order, with its number (訂正・消去の決定).
    Order(String),
}

/// Why nobody was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The retention period runs.
    #[error(
        "the retention period of {days} days ({setting}) runs until {until}; before that only an order erases (--order)"
    )]
    TooEarly {
        /// The period.
        days: u32,
        /// The setting that says it.
        setting: &'static str,
        /// Its last day.
        until: Date,
    },
    /// The number of an order is recorded, and has to be one that can be.
    #[error("--order must be 1 to 60 letters, digits, spaces and - . / _")]
    Order,
    /// The clock is not believed (time-is-evidence).
    #[error("nothing was erased. {0}")]
    Clock(#[from] ClockError),
    /// The admin log.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The database.
    #[error("the database can't be used: {0}")]
    Store(#[from] StoreError),
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// How many people.
    pub people: u64,
    /// Those that are not known (any more), as they were named.
    pub unknown: Vec<(SystemId, LocalAddressNumber)>,
    /// Those that were kept: their status changed since they were shown.
    pub kept: Vec<(SystemId, LocalAddressNumber)>,
}

/// What would be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasurePlan {
    /// Everybody who is known, with what the systems registered about them.
    pub cases: Vec<ErasureCase>,
    /// Those that are not known (any more), as they were named.
    pub unknown: Vec<(SystemId, LocalAddressNumber)>,
}

/// People who are known, each with the name under which they were found, and the names of those who are not.
struct Found {
    known: Vec<(UnifiedAddressNumber, (SystemId, LocalAddressNumber))>,
    unknown: Vec<(SystemId, LocalAddressNumber)>,
}

// === impl Ground ===

impl Ground {
    /// Whether it allows erasure today.
    fn check(&self, config: ErasureConfig, today: Date) -> Result<(), EraseError> {
        let (event, days, setting) = match self {
            Self::Death(day) => (*day, config.after_death_days, "erasure.after_death_days"),
            Self::MovedOut(day) => (*day, config.after_moving_out_days, "erasure.after_moving_out_days"),
            Self::Order(number) => {
                let fits = |char: char| char.is_alphanumeric() || " -./_".contains(char);
                let well = (1..=60).contains(&number.chars().count()) && number.chars().all(fits);
                return if well { Ok(()) } else { Err(EraseError::Order) };
            }
        };
        let until = event.saturating_add(i64::from(days).days());
        if today > until { Ok(()) } else { Err(EraseError::TooEarly { days, setting, until }) }
    }

    /// What the log says: which ground, never whose event on which day.
    fn affair(&self) -> &'static str {
        match self {
            Self::Death(_) => "死亡後の保存期間満了による消去",
            Self::MovedOut(_) => "転出後の保存期間満了による消去",
            Self::Order(_) => "訂正・消去の決定による消去",
        }
    }

    /// How the admin log names it.
    fn name(&self) -> &'static str {
        match self {
            Self::Death(_) => "death",
            Self::MovedOut(_) => "moved-out",
            Self::Order(_) => "order",
        }
    }

    fn basis(&self, config: ErasureConfig) -> String {
        match self {
            Self::Death(_) => format!("保存期間 {} 日", config.after_death_days),
            Self::MovedOut(_) => format!("保存期間 {} 日", config.after_moving_out_days),
            Self::Order(number) => format!("決定 {number}"),
        }
    }
}

// === impl Keeper ===

impl Keeper {
    /// Who would be erased, who would be kept and why; nothing is changed.
    ///
    /// # Errors
    /// As [`Keeper::erase`].
    pub async fn plan_erasure(
        &self,
        people: &[(SystemId, LocalAddressNumber)],
        ground: &Ground,
    ) -> Result<ErasurePlan, EraseError> {
        self.check_ground(ground).await?;
        let Found { known, unknown } = self.find(people).await?;
        let mut cases = Vec::with_capacity(known.len());
        for (person, named) in known {
            let views = self.store.registered_views(&person).await?;
            let keys = self.store.person_keys(std::slice::from_ref(&person)).await?;
            let last_use = last_use(&views, self.store.last_use(&person).await?)?;
            let known_by = known_by(&self.vault, &person, &keys, views);
            let statuses: Vec<_> = known_by.iter().map(|known| known.status).collect();
            cases.push(ErasureCase { named, known_by, last_use, kept: keep_reason(ground, &statuses) });
        }
        Ok(ErasurePlan { cases, unknown })
    }

    /// Whether the ground allows erasure now. The end of a period is only as good as the clock; an order needs none.
    async fn check_ground(&self, ground: &Ground) -> Result<(), EraseError> {
        let now = match ground {
            Ground::Order(_) => clock::now(),
            Ground::Death(_) | Ground::MovedOut(_) => self.clock.believed_now().await?,
        };
        ground.check(self.config.erasure, clock::japanese_day(now))
    }

    /// Erases people; gateways may run. `progress` is told people done and people in all. What was erased before a failure stays erased,
    /// and the same call goes on with the rest. Whom the ground does not allow to erase is kept.
    ///
    /// # Errors
    /// [`EraseError`].
    pub async fn erase(
        &self,
        people: &[(SystemId, LocalAddressNumber)],
        ground: &Ground,
        progress: impl Fn(u64, u64),
    ) -> Result<Erased, EraseError> {
        self.check_ground(ground).await?;
        let action = Action::Erase { ground: ground.name() };
        self.admin.during(action, self.erase_known(people, ground, progress), |erased| erased.people).await
    }

    async fn erase_known(
        &self,
        people: &[(SystemId, LocalAddressNumber)],
        ground: &Ground,
        progress: impl Fn(u64, u64),
    ) -> Result<Erased, EraseError> {
        let Found { known, unknown } = self.find(people).await?;
        let all = u64::try_from(known.len()).unwrap_or(u64::MAX);
        let (mut done, mut erased, mut kept) = (0, 0, Vec::new());
        for some in known.chunks(PEOPLE_AT_ONCE) {
            let mut transaction = self.store.begin_write("erase_people").await?;
            let people: Vec<_> = some.iter().map(|(person, _)| person.clone()).collect();
            let keys = transaction.person_keys(&people).await?;
            let mut records = Vec::with_capacity(some.len());
            for (person, named) in some {
                // Asked again, where it can't change any more.
                let views = transaction.registered_views(person).await?;
                let known_by = known_by(&self.vault, person, &keys, views);
                let statuses: Vec<_> = known_by.iter().map(|known| known.status).collect();
                if keep_reason(ground, &statuses).is_some() {
                    kept.push(named.clone());
                    continue;
                }
                transaction.erase_person(person).await?;
                records.push(self.record(person, ground));
            }
            // Without the person's key, which is gone: what tells of an erasure has to be read after it.
            let entries = entries(&self.vault, &Shapes::default(), &records, &HashMap::new())?;
            if !entries.is_empty() {
                transaction.append_log(&entries).await?;
                transaction.commit().await?;
            }
            erased += u64::try_from(records.len()).unwrap_or(u64::MAX);
            done += u64::try_from(some.len()).unwrap_or(u64::MAX);
            progress(done, all);
        }
        // Also where nothing was left to erase: the last try may have ended before this.
        self.store.purge().await?;
        Ok(Erased { people: erased, unknown, kept })
    }

    async fn find(&self, people: &[(SystemId, LocalAddressNumber)]) -> Result<Found, StoreError> {
        let (mut known, mut unknown, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let mut systems: Vec<_> = people.iter().map(|(system, _)| system).collect();
        systems.sort_unstable();
        systems.dedup();
        for system in systems {
            let named: BTreeSet<_> = people.iter().filter(|(of, _)| of == system).map(|(_, local)| local).collect();
            let locals: Vec<_> = named.into_iter().cloned().collect();
            let mut links = self.store.links_by_local(system, &locals).await?;
            for local in locals {
                match links.remove(&local) {
                    Some(person) if seen.insert(person.clone()) => known.push((person, (system.clone(), local))),
                    // One person, named by two systems.
                    Some(_) => {}
                    None => unknown.push((system.clone(), local)),
                }
            }
        }
        Ok(Found { known, unknown })
    }

    fn record(&self, person: &UnifiedAddressNumber, ground: &Ground) -> TransferRecord {
        let mut record = transfer::of_gateway(self.policy_hash, ERASE, GATEWAY);
        record.outcome = Outcome::Erased;
        record.unified_address_number = Some(person.clone());
        let heading = record.heading_mut();
        heading.affair = Some(ground.affair().into());
        heading.legal_basis = Some(ground.basis(self.config.erasure).into());
        record
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_period_ends_with_its_last_day_and_an_order_needs_none() {
        let config = ErasureConfig { after_death_days: 10, after_moving_out_days: 20 };
        let died = Ground::Death(date(2026, 1, 1));
        assert!(matches!(died.check(config, date(2026, 1, 11)), Err(EraseError::TooEarly { days: 10, .. })));
        assert!(died.check(config, date(2026, 1, 12)).is_ok());
        assert!(Ground::MovedOut(date(2026, 1, 1)).check(config, date(2026, 1, 12)).is_err());
        assert!(Ground::Order("8町市保第123号".to_owned()).check(config, date(2026, 1, 1)).is_ok());
        for wrong in ["", "a\nb", "\u{202e}"] {
            assert!(Ground::Order(wrong.to_owned()).check(config, date(2026, 1, 1)).is_err());
        }
    }
}
