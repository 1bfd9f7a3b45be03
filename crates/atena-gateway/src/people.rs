//! The people of a municipality as calls meet them: their accounts, and the provider that vouches for
//! sign-ins.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use atena_domain::OperatorId;
use atena_oidc::{Provider, TokenRefused, Verified};
use atena_policy::Accounts;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::clock;
use crate::config::PeopleConfig;
use crate::door::{Named, Peer};

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
    pub(crate) fn signed_in_for_content(&self, signed_in_at: Option<Timestamp>, now: Timestamp) -> bool {
        recent(signed_in_at, now, self.content_sign_in_age_max)
    }

    /// Whether a connection is that of a person who may sign in by certificate no more.
    pub(crate) fn gone(&self, peer: &Peer, municipality_code: &str, today: Date) -> bool {
        let Some(Named::Person(id)) = peer.named(municipality_code) else { return false };
        let account = OperatorId::parse(id).ok();
        account.is_none_or(|id| self.accounts.load().by_certificate(&id, today).is_err())
    }
}

fn recent(signed_in_at: Option<Timestamp>, now: Timestamp, age_max: Duration) -> bool {
    // What nobody knows is not recent.
    signed_in_at.is_some_and(|at| {
        let age = now.duration_since(at);
        age.unsigned_abs() <= if age.is_negative() { CLOCK_SKEW } else { age_max }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_of_an_unknown_time_is_never_recent() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds: i64| Some(Timestamp::from_second(1_800_000_000 + seconds).unwrap());
        let age = Duration::from_secs(600);
        assert!(recent(at(-600), now, age) && recent(at(0), now, age) && recent(at(60), now, age));
        assert!(!recent(at(-601), now, age) && !recent(at(61), now, age) && !recent(None, now, age));
    }
}
