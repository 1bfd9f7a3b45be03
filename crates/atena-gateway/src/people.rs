//! The people of a municipality as calls meet them: their accounts, the provider that vouches for sign-ins, and which call needs what of a
//! person.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use atena_domain::OperatorId;
use atena_oidc::{Provider, TokenRefused, Verified};
use atena_policy::{Accounts, PersonRole, Refusal, Right};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::caller::{Caller, SignedIn};
use crate::clock;
use crate::config::PeopleConfig;
use crate::door::{Named, Peer};
use crate::error::{CallError, Reason};
use crate::hall::Hall;
use crate::service;

/// Accounts and sign-ins of one municipality.
pub(crate) struct People {
    accounts: ArcSwap<Accounts>,
    provider: Option<Provider>,
    sign_in_age_max: Duration,
    content_sign_in_age_max: Duration,
}

/// How far the clock of somebody who vouches may be ahead of ours.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

// === impl People ===

impl People {
    /// These accounts, and the provider at which they sign in unless they have certificates.
    pub(crate) fn of(accounts: Accounts, provider: Option<Provider>, settings: &PeopleConfig) -> Self {
        Self {
            accounts: ArcSwap::from_pointee(accounts),
            provider,
            sign_in_age_max: Duration::from_secs(settings.sign_in_age_max_s),
            content_sign_in_age_max: Duration::from_secs(settings.content_sign_in_age_max_s),
        }
    }

    /// The accounts in force now.
    pub(crate) fn accounts(&self) -> Arc<Accounts> {
        self.accounts.load_full()
    }

    /// Puts other accounts in force, for the next call on.
    pub(crate) fn change(&self, accounts: Accounts) {
        self.accounts.store(Arc::new(accounts));
    }

    /// What a sign-in token proves, if it is believed.
    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, TokenRefused> {
        let provider = self.provider.as_ref().ok_or(TokenRefused::KeysUnavailable)?;
        let now = clock::now();
        let verified = provider.verify(token, now).await?;
        let since = verified.signed_in_at.unwrap_or(verified.issued_at);
        if recent(Some(since), now, self.sign_in_age_max) { Ok(verified) } else { Err(TokenRefused::TooOld) }
    }

    /// Whether a person signed in so shortly before that content may be shown.
    fn signed_in_for_content(&self, person: &SignedIn, now: Timestamp) -> bool {
        recent(person.at, now, self.content_sign_in_age_max)
    }

    /// Whether a connection is that of a person who may sign in by certificate no more.
    pub(crate) fn gone(&self, peer: &Peer, municipality_code: &str, today: Date) -> bool {
        let Some(Named::Person(id)) = peer.named(municipality_code) else { return false };
        let account = OperatorId::parse(id).ok();
        account.is_none_or(|id| self.accounts.load().by_certificate(&id, today).is_err())
    }
}

/// What a call of `method` needs of a person. What is not here no person may call, whatever their roles.
pub(crate) fn right(method: &str) -> Option<Right> {
    match method {
        "TransferLogService/ListTransfers"
        | "TransferLogService/GetTransfer"
        | "TransferLogService/SummarizeTransfers"
        | "TransferLogService/ListPersonTransfers"
        | "TransferLogService/GetCheckpoint"
        | "TransferLogService/GetInclusionProof"
        | "TransferLogService/GetConsistencyProof" => Some(Right::ReadLog),
        "TransferLogService/ReconstructTransfer" => Some(Right::Reconstruct),
        "LinkageService/ListEntitlements" => Some(Right::ReadRules),
        _ => None,
    }
}

/// May this caller, if it is a person, call `method` at all? Content is shown only to who signed in a short while ago.
pub(crate) fn may_call(hall: &Hall, caller: &Caller, method: &str, now: Timestamp) -> Result<(), CallError> {
    let Some(person) = &caller.person else { return Ok(()) };
    let right = right(method).ok_or(Refusal::RoleRequired)?;
    hall.people.accounts().authorize(&person.account, right, clock::japanese_day(now))?;
    if right == Right::Reconstruct && !hall.people.signed_in_for_content(person, now) {
        return Err(CallError::new(
            Reason::SignInRequired,
            "content is shown only to somebody who signed in a short while ago; sign in again (atena login --again), or connect anew with the card",
        ));
    }
    Ok(())
}

/// Whether this auditor may see content: with the right to it and, as a person, shortly after signing in.
pub(crate) fn may_see_content(hall: &Hall, caller: &Caller, now: Timestamp) -> bool {
    let recent = |person| hall.people.signed_in_for_content(person, now);
    caller.authorize_reconstruction(hall).is_ok() && caller.person.as_ref().is_none_or(recent)
}

fn recent(signed_in_at: Option<Timestamp>, now: Timestamp, age_max: Duration) -> bool {
    // What nobody knows is not recent.
    signed_in_at.is_some_and(|at| {
        let age = now.duration_since(at);
        age.unsigned_abs() <= if age.is_negative() { CLOCK_SKEW } else { age_max }
    })
}

/// Which call each role of people may make, one line each: what a role does not have is told as well.
#[must_use]
pub fn people_matrix() -> String {
    let mut text = String::new();
    for role in PersonRole::ALL {
        for method in service::methods() {
            let may = right(method.name).is_some_and(|right| role.rights().contains(&right));
            // Writing to a String can't fail.
            let _ = writeln!(text, "{role} | {} | {}", method.name, if may { "may" } else { "refused" });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_asked_of_methods_that_exist() {
        let known: Vec<_> = service::methods().map(|method| method.name).filter(|name| right(name).is_some()).collect();
        assert_eq!(known.len(), 9, "{known:?}");
    }

    #[test]
    fn a_sign_in_of_an_unknown_time_is_never_recent() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds: i64| Some(Timestamp::from_second(1_800_000_000 + seconds).unwrap());
        let age = Duration::from_secs(600);
        assert!(recent(at(-600), now, age) && recent(at(0), now, age) && recent(at(60), now, age));
        assert!(!recent(at(-601), now, age) && !recent(at(61), now, age) && !recent(None, now, age));
    }
}
