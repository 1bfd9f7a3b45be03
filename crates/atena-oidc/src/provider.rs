//! The provider: what it says of itself, its keys, and how old both may be.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use openidconnect::core::CoreProviderMetadata;
use openidconnect::{DiscoveryError, IssuerUrl};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::http::{Http, HttpError};
use crate::settings::ProviderSettings;
use crate::token::{self, TokenRefused, Verified};

/// Age at which the provider's keys are fetched again: one that it takes back is believed for that long at most, while it answers.
const KEYS_AGE_MAX: Duration = Duration::from_secs(3600);

/// Between two tries to fetch them: tokens of unknown keys must not make a gateway ask the provider over and over.
const FETCH_PAUSE: Duration = Duration::from_secs(10);

/// Between two tries to replace keys that have grown old.
const REFRESH_PAUSE: Duration = Duration::from_secs(60);

/// Between two tries while nothing is known: nobody can sign in.
const FIRST_FETCH_PAUSE: Duration = Duration::from_secs(1);

/// The provider that the settings name.
pub struct Provider {
    pub(crate) settings: ProviderSettings,
    pub(crate) http: Http,
    known: ArcSwapOption<Known>,
    /// When it was asked last, whatever came of it. Held while it is asked: one caller asks for all.
    asked: Mutex<Option<Instant>>,
}

struct Known {
    metadata: CoreProviderMetadata,
    at: Instant,
}

/// Why a provider can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The settings.
    #[error("[oidc] {key} {rule}")]
    Settings {
        /// Which of them.
        key: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// It can't be asked.
    #[error("the provider {issuer} can't be asked: {source}")]
    Http {
        /// Which.
        issuer: String,
        /// Why.
        source: HttpError,
    },
    /// What it says of itself is not in the form of OpenID Connect Discovery 1.0, or it is of another issuer.
    #[error(
        "the provider {issuer} does not say of itself what it should (/.well-known/openid-configuration and its keys)"
    )]
    Metadata {
        /// Which.
        issuer: String,
    },
}

// === impl Provider ===

impl Provider {
    /// The provider of these settings. It is not asked anything yet: a gateway starts without it.
    ///
    /// # Errors
    /// [`ProviderError`]: settings that can't be used.
    pub fn of(settings: ProviderSettings) -> Result<Self, ProviderError> {
        let broken = |key, rule| Err(ProviderError::Settings { key, rule });
        if settings.client_id.is_empty() {
            return broken("client_id", "must not be empty");
        }
        if settings.algorithms.is_empty() {
            return broken("algorithms", "must name at least one of RS256, PS256, ES256, EdDSA");
        }
        if IssuerUrl::new(settings.issuer.clone()).is_err() {
            return broken("issuer", "must be a URL");
        }
        if settings.issuer.starts_with("https://") && settings.ca_file.is_none() {
            return broken("ca_file", "must name the authorities of an https issuer (PEM)");
        }
        let http = Http::believing(settings.ca_file.as_deref())
            .map_err(|source| ProviderError::Http { issuer: settings.issuer.clone(), source })?;
        Ok(Self { settings, http, known: ArcSwapOption::empty(), asked: Mutex::new(None) })
    }

    /// Whether `token` is to be believed at `now`, and what it proves.
    ///
    /// # Errors
    /// [`TokenRefused`]. While the provider does not answer, the keys that are known go on being used; without any, nothing is believed.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, TokenRefused> {
        let known = self.known().await.ok_or(TokenRefused::KeysUnavailable)?;
        match token::verify(&self.settings, &known.metadata, token, now) {
            Err(refused) if refused.may_be_a_newer_key() => match self.newer_than(known.at).await {
                Some(newer) => token::verify(&self.settings, &newer.metadata, token, now),
                None => Err(refused),
            },
            checked => checked,
        }
    }

    /// What the provider says of itself, asked now.
    pub(crate) async fn ask(&self) -> Result<CoreProviderMetadata, ProviderError> {
        let issuer = self.settings.issuer.clone();
        let url = IssuerUrl::new(issuer.clone())
            .map_err(|_| ProviderError::Settings { key: "issuer", rule: "must be a URL" })?;
        CoreProviderMetadata::discover_async(url, &self.http).await.map_err(|error| match error {
            DiscoveryError::Request(source) => ProviderError::Http { issuer, source },
            _ => ProviderError::Metadata { issuer },
        })
    }

    async fn known(&self) -> Option<Arc<Known>> {
        match self.known.load_full() {
            Some(known) if known.at.elapsed() < KEYS_AGE_MAX => Some(known),
            Some(old) => Some(self.instead_of(&old).await.unwrap_or(old)),
            None => self.newer_than_nothing().await,
        }
    }

    /// Keys in place of old ones. One caller asks; the others go on with what is known, and so does that one if there is no answer.
    async fn instead_of(&self, old: &Known) -> Option<Arc<Known>> {
        let mut asked = self.asked.try_lock().ok()?;
        if let Some(known) = self.known.load_full().filter(|known| known.at > old.at) {
            return Some(known);
        }
        self.ask_unless_asked(&mut asked, REFRESH_PAUSE).await
    }

    async fn newer_than_nothing(&self) -> Option<Arc<Known>> {
        let mut asked = self.asked.lock().await;
        // Somebody else may have asked while this call waited.
        if let Some(known) = self.known.load_full() {
            return Some(known);
        }
        self.ask_unless_asked(&mut asked, FIRST_FETCH_PAUSE).await
    }

    /// Keys that were fetched after `at`; `None` while the provider has nothing newer, or was asked a moment ago.
    async fn newer_than(&self, at: Instant) -> Option<Arc<Known>> {
        let mut asked = self.asked.lock().await;
        if let Some(known) = self.known.load_full().filter(|known| known.at > at) {
            return Some(known);
        }
        self.ask_unless_asked(&mut asked, FETCH_PAUSE).await
    }

    async fn ask_unless_asked(&self, asked: &mut Option<Instant>, pause: Duration) -> Option<Arc<Known>> {
        if asked.is_some_and(|at| at.elapsed() < pause) {
            return None;
        }
        *asked = Some(Instant::now());
        match self.ask().await {
            Ok(metadata) => {
                let known = Arc::new(Known { metadata, at: Instant::now() });
                self.known.store(Some(Arc::clone(&known)));
                Some(known)
            }
            Err(error) => {
                tracing::warn!(%error, "the keys of the provider of sign-ins can't be fetched");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Algorithm;

    fn settings() -> ProviderSettings {
        let (issuer, client_id) = ("http://127.0.0.1:1".to_owned(), "atena".to_owned());
        ProviderSettings {
            issuer,
            client_id,
            client_secret_file: None,
            ca_file: None,
            algorithms: vec![Algorithm::Rs256],
        }
    }

    #[test]
    fn settings_that_can_not_be_used_are_told_at_once() {
        assert!(Provider::of(settings()).is_ok());
        let https =
            |ca_file| ProviderSettings { issuer: "https://login.city.example".to_owned(), ca_file, ..settings() };
        for (settings, told) in [
            (ProviderSettings { client_id: String::new(), ..settings() }, "client_id"),
            (ProviderSettings { algorithms: Vec::new(), ..settings() }, "algorithms"),
            (ProviderSettings { issuer: "login.city.example".to_owned(), ..settings() }, "issuer"),
            (https(None), "ca_file"),
            (https(Some("/nowhere.pem".into())), "/nowhere.pem"),
        ] {
            let error = Provider::of(settings).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(told), "{told}: {error}");
        }
    }

    #[tokio::test]
    async fn while_nothing_is_known_of_the_provider_nobody_is_believed() {
        let provider = Provider::of(settings()).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(provider.verify("a.b.c", now).await, Err(TokenRefused::KeysUnavailable));
        assert_eq!(
            provider.verify("a.b.c", now).await,
            Err(TokenRefused::KeysUnavailable),
            "and is not asked each time"
        );
    }
}
