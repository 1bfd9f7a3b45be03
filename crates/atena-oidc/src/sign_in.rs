//! One sign-in in a browser: the code flow with PKCE.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::url::form_urlencoded;
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    TokenResponse as _,
};
use zeroize::Zeroizing;

use crate::provider::{Provider, ProviderError};
use crate::token::{self, IdToken, TokenRefused, Verified};

/// How recently the person must have shown the provider who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInFresh {
    /// Within this time: a session at the provider that is no older is enough.
    Within(Duration),
    /// Now, whatever session there is (step-up).
    Now,
}

/// A sign-in under way.
pub struct SignIn {
    metadata: CoreProviderMetadata,
    redirect: RedirectUrl,
    secret: Option<ClientSecret>,
    url: String,
    state: CsrfToken,
    nonce: Nonce,
    pkce: PkceCodeVerifier,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The secret of this installation.
    #[error("cannot read the secret in {path}: {source}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A secret that others can read.
    #[error("{path} can be read by others (mode {mode:o}); make it yours alone: chmod 600 {path}")]
    SecretMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The provider refused, or the person did.
    #[error("the provider refused the sign-in ({0})")]
    Refused(String),
    /// The provider gave no token for the code.
    #[error("the provider gave no ID token for the code of this sign-in")]
    NoToken,
    /// The token is not believed.
    #[error("the token of the provider is not believed: {0}")]
    Token(#[from] TokenRefused),
}

/// What the browser brought back.
enum Answer {
    Code(AuthorizationCode),
    Error(String),
}

// === impl Provider ===

impl Provider {
    /// Begins a sign-in whose browser comes back to `redirect` (`http://127.0.0.1:PORT/…`, RFC 8252 §7.3).
    ///
    /// # Errors
    /// [`SignInError`]: the provider does not answer, or not as it should.
    pub async fn begin(&self, redirect: &str, fresh: SignInFresh) -> Result<SignIn, SignInError> {
        let secret = self.settings.client_secret_file.as_deref().map(secret).transpose()?;
        let metadata = self.ask().await?;
        let settings = |_| ProviderError::Settings { key: "client_id", rule: "can't be used with this address" };
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(settings)?;
        let client_id = ClientId::new(self.settings.client_id.clone());
        let client =
            CoreClient::from_provider_metadata(metadata.clone(), client_id, None).set_redirect_uri(redirect.clone());
        let (challenge, pkce) = PkceCodeChallenge::new_random_sha256();
        let request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge);
        // Asked for its age, a provider has to say when the person signed in (`auth_time`, OpenID Connect Core §3.1.2.1).
        let request = match fresh {
            SignInFresh::Within(age) => request.set_max_age(age),
            SignInFresh::Now => request.set_max_age(Duration::ZERO).add_prompt(CoreAuthPrompt::Login),
        };
        let (url, state, nonce) = request.url();
        Ok(SignIn { metadata, redirect, secret, url: url.into(), state, nonce, pkce })
    }
}

// === impl SignIn ===

impl SignIn {
    /// What to open in a browser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether a query that came to the loopback address is the answer to this sign-in, and not a page somewhere that tries its luck.
    #[must_use]
    pub fn is_answered_by(&self, query: &str) -> bool {
        self.answer(query).is_some()
    }

    /// Exchanges the code of the answer for a token, and checks it.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn finish(
        self,
        provider: &Provider,
        query: &str,
        now: Timestamp,
    ) -> Result<(IdToken, Verified), SignInError> {
        let code = match self.answer(query) {
            Some(Answer::Code(code)) => code,
            Some(Answer::Error(error)) => return Err(SignInError::Refused(error)),
            None => return Err(SignInError::NoToken),
        };
        let client_id = ClientId::new(provider.settings.client_id.clone());
        let client = CoreClient::from_provider_metadata(self.metadata.clone(), client_id, self.secret.clone())
            .set_redirect_uri(self.redirect);
        // What the provider answers may hold a token: nothing of it goes into an error.
        let exchange = client.exchange_code(code).map_err(|_| SignInError::NoToken)?.set_pkce_verifier(self.pkce);
        let answer = exchange.request_async(&provider.http).await.map_err(|_| SignInError::NoToken)?;
        let token = answer.id_token().ok_or(SignInError::NoToken)?;
        let token = IdToken(Zeroizing::new(token.to_string()));
        let verified = token::verify_answer(&provider.settings, &self.metadata, token.expose(), now, &self.nonce)?;
        Ok((token, verified))
    }

    /// The answer in a query, if its `state` is that of this sign-in and its issuer, if it names one, the one that was asked (RFC 9207).
    fn answer(&self, query: &str) -> Option<Answer> {
        let find = |name: &str| {
            let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            // Named twice it is nobody's answer.
            values.next().filter(|_| values.next().is_none()).map(|(_, value)| value.into_owned())
        };
        let issuer = find("iss").is_none_or(|issuer| issuer == self.metadata.issuer().as_str());
        if find("state")? != *self.state.secret() || !issuer {
            return None;
        }
        match (find("code"), find("error")) {
            (Some(code), None) => Some(Answer::Code(AuthorizationCode::new(code))),
            (None, Some(error)) => {
                let told = error.chars().take(64).filter(|it| it.is_ascii_alphanumeric() || *it == '_').collect();
                Some(Answer::Error(told))
            }
            _ => None,
        }
    }
}

fn secret(path: &Path) -> Result<ClientSecret, SignInError> {
    let failed = |source| SignInError::Secret { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SignInError::SecretMode { path: path.to_owned(), mode });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    Ok(ClientSecret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
