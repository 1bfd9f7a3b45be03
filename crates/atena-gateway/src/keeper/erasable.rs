//! Whether a person may be erased on a ground, by what the systems registered about them.

use std::collections::HashMap;

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use atena_proto::v1::{Person, ResidentStatus};
use atena_store::{RegisteredView, StoreError};
use atena_vault::{SealContext, Vault, WrappedKey};
use jiff::Timestamp;
use prost::Message as _;

use super::Ground;
use crate::convert::view_row;

/// What one system knows of a person who is named to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBy {
    /// The system.
    pub system_id: SystemId,
    /// Its number of the person.
    pub local_address_number: LocalAddressNumber,
    /// The status that it registered last (住民状態).
    pub status: PersonStatus,
}

/// 住民状態.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonStatus {
    /// Not given.
    Unknown,
    /// What was registered can't be opened: it may say anything.
    Unreadable,
    /// 住登者.
    Resident,
    /// 住登外者.
    NonResident,
    /// 転出.
    MovedOut,
    /// 死亡.
    Deceased,
}

/// Why a person is not erased on this ground. An order (--order) erases all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeepReason {
    /// A system has them as a registered resident.
    #[error("住登者として登録されています / registered as a resident")]
    Resident,
    /// One system says resident, another one deceased or moved out.
    #[error("システム間で住民状態が矛盾しています / the systems contradict each other")]
    Contradiction,
    /// What a system registered can't be opened.
    #[error("登録内容を復号できないシステムがあります / what a system registered can't be opened")]
    Unreadable,
    /// No system says.
    #[error("住民状態が不明です / no system says the status")]
    Unknown,
    /// No system says what the ground says.
    #[error("指定した事由（死亡・転出）がどのシステムにも登録されていません / no system registered the ground")]
    GroundNotRegistered,
}

/// A person who is named to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureCase {
    /// As named.
    pub named: (SystemId, LocalAddressNumber),
    /// Every system that knows them.
    pub known_by: Vec<KnownBy>,
    /// When something about them was last registered, stored or transferred.
    pub last_use: Option<Timestamp>,
    /// Why they are kept, if they are.
    pub kept: Option<KeepReason>,
}

// === impl PersonStatus ===

impl PersonStatus {
    /// As a clerk reads it.
    #[must_use]
    pub fn japanese(self) -> &'static str {
        match self {
            Self::Unknown => "不明",
            Self::Unreadable => "読取不能",
            Self::Resident => "住登者",
            Self::NonResident => "住登外者",
            Self::MovedOut => "転出",
            Self::Deceased => "死亡",
        }
    }

    /// As the contract spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Unreadable => "UNREADABLE",
            Self::Resident => "RESIDENT",
            Self::NonResident => "NON_RESIDENT",
            Self::MovedOut => "MOVED_OUT",
            Self::Deceased => "DECEASED",
        }
    }
}

impl From<ResidentStatus> for PersonStatus {
    fn from(status: ResidentStatus) -> Self {
        match status {
            ResidentStatus::Unspecified => Self::Unknown,
            ResidentStatus::Resident => Self::Resident,
            ResidentStatus::NonResident => Self::NonResident,
            ResidentStatus::MovedOut => Self::MovedOut,
            ResidentStatus::Deceased => Self::Deceased,
        }
    }
}

// === impl KeepReason ===

impl KeepReason {
    /// A stable name, for programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resident => "RESIDENT",
            Self::Contradiction => "CONTRADICTION",
            Self::Unreadable => "UNREADABLE",
            Self::Unknown => "STATUS_UNKNOWN",
            Self::GroundNotRegistered => "GROUND_NOT_REGISTERED",
        }
    }
}

/// Why a person with these statuses is kept on a ground, if they are.
pub(super) fn keep_reason(ground: &Ground, statuses: &[PersonStatus]) -> Option<KeepReason> {
    let registered = match ground {
        // An order names the person, and somebody answers for it.
        Ground::Order(_) => return None,
        Ground::Death(_) => PersonStatus::Deceased,
        Ground::MovedOut(_) => PersonStatus::MovedOut,
    };
    let says = |status| statuses.contains(&status);
    let gone = says(PersonStatus::Deceased) || says(PersonStatus::MovedOut);
    if says(PersonStatus::Resident) {
        return Some(if gone { KeepReason::Contradiction } else { KeepReason::Resident });
    }
    // It may say resident.
    if says(PersonStatus::Unreadable) {
        return Some(KeepReason::Unreadable);
    }
    if statuses.iter().all(|status| *status == PersonStatus::Unknown) {
        return Some(KeepReason::Unknown);
    }
    (!says(registered)).then_some(KeepReason::GroundNotRegistered)
}

/// What each system knows of a person.
pub(super) fn known_by(
    vault: &Vault,
    person: &UnifiedAddressNumber,
    keys: &HashMap<UnifiedAddressNumber, WrappedKey>,
    views: Vec<RegisteredView>,
) -> Vec<KnownBy> {
    let key = keys.get(person).and_then(|wrapped| vault.unwrap_person_key(person, wrapped).ok());
    let status = |view: &RegisteredView| {
        let row = view_row(&view.system_id, &view.local_address_number, view.revision);
        let context = SealContext { table: "person_view", column: "sealed", row: &row };
        let content = key.as_ref().and_then(|key| key.open(&context, &view.sealed).ok());
        let person = content.and_then(|content| Person::decode(content.as_slice()).ok());
        person.map_or(PersonStatus::Unreadable, |person| person.resident_status().into())
    };
    let known = views.into_iter().map(|view| KnownBy {
        status: status(&view),
        system_id: view.system_id,
        local_address_number: view.local_address_number,
    });
    known.collect()
}

/// When something about a person was last registered, stored or transferred.
pub(super) fn last_use(views: &[RegisteredView], other: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    let last = views.iter().map(|view| view.stored_at).chain(other).max();
    let corrupt = |_| StoreError::Corrupt { table: "person_view" };
    last.map(|at| Timestamp::from_microsecond(at).map_err(corrupt)).transpose()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::PersonStatus::{Deceased, MovedOut, NonResident, Resident, Unknown, Unreadable};
    use super::*;

    #[test]
    fn only_whom_a_system_has_as_deceased_is_erased_after_a_death() {
        let death = Ground::Death(date(2015, 1, 1));
        let kept = |statuses: &[PersonStatus]| keep_reason(&death, statuses);
        assert_eq!(kept(&[Deceased]), None);
        assert_eq!(kept(&[Deceased, Unknown, NonResident, MovedOut]), None);
        assert_eq!(kept(&[Resident]), Some(KeepReason::Resident));
        assert_eq!(kept(&[Deceased, Resident]), Some(KeepReason::Contradiction));
        assert_eq!(kept(&[Unknown, Unknown]), Some(KeepReason::Unknown));
        for statuses in [&[Deceased, Unreadable][..], &[Unreadable], &[Unreadable, Unknown, MovedOut]] {
            assert_eq!(kept(statuses), Some(KeepReason::Unreadable));
        }
        assert_eq!(kept(&[Unreadable, Resident]), Some(KeepReason::Resident));
        assert_eq!(kept(&[]), Some(KeepReason::Unknown));
        assert_eq!(kept(&[MovedOut]), Some(KeepReason::GroundNotRegistered));
        assert_eq!(kept(&[NonResident]), Some(KeepReason::GroundNotRegistered));
    }

    #[test]
    fn only_whom_a_system_has_as_moved_out_is_erased_after_moving_out() {
        let moved = Ground::MovedOut(date(2015, 1, 1));
        assert_eq!(keep_reason(&moved, &[MovedOut]), None);
        assert_eq!(keep_reason(&moved, &[Deceased]), Some(KeepReason::GroundNotRegistered));
        assert_eq!(keep_reason(&moved, &[MovedOut, Resident]), Some(KeepReason::Contradiction));
    }

    #[test]
    fn an_order_erases_whatever_the_status() {
        let order = Ground::Order("第1号".to_owned());
        for statuses in [&[Resident][..], &[Deceased, Resident], &[Unknown], &[Unreadable], &[]] {
            assert_eq!(keep_reason(&order, statuses), None);
        }
    }
}
