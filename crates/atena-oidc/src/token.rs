//! Whether an ID token is to be believed (OpenID Connect Core §3.1.3.7). Pure: provider, token and time are arguments.

use std::str::FromStr as _;

use chrono::DateTime;
use jiff::Timestamp;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{ClaimsVerificationError, ClientId, Nonce, NonceVerifier, SignatureVerificationError};
use zeroize::Zeroizing;

use crate::settings::{Algorithm, ProviderSettings};

/// Bytes of a token, at most.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How far the provider's clock may be ahead of ours.
const CLOCK_SKEW_S: i64 = 60;

/// An ID token as the provider made it. Whoever has it can sign in with it until it ends, so it shows itself nowhere.
pub struct IdToken(pub(crate) Zeroizing<String>);

/// What a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Who signed in, as the provider calls them (`sub`).
    pub subject: String,
    /// When the token was made (`iat`).
    pub issued_at: Timestamp,
    /// When the person showed who they are (`auth_time`); `None` where the provider does not say.
    pub signed_in_at: Option<Timestamp>,
    /// When the token ends (`exp`).
    pub expires_at: Timestamp,
}

/// Why a token is not believed. Says which check it failed, and nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// There is none.
    #[error("there is no token")]
    Absent,
    /// Not an ID token.
    #[error("it is not an ID token")]
    Malformed,
    /// Signed with an algorithm that the settings do not name, or not at all.
    #[error("its algorithm is not one of those in the settings")]
    Algorithm,
    /// None of the provider's keys signed it.
    #[error("none of the provider's keys signed it")]
    Signature,
    /// Of another issuer.
    #[error("it is of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("it is for another audience")]
    Audience,
    /// It has ended.
    #[error("it has ended")]
    Expired,
    /// It is from the future.
    #[error("it is from the future")]
    Future,
    /// Not the answer to this sign-in.
    #[error("it is not the answer to this sign-in")]
    Nonce,
    /// Too long ago.
    #[error("the sign-in is too long ago")]
    TooOld,
    /// Some other rule of the protocol.
    #[error("it breaks a rule of the protocol")]
    Other,
    /// Nobody knows, because the provider does not answer and its keys are not known.
    #[error("the provider does not answer, and its keys are not known")]
    KeysUnavailable,
}

// === impl IdToken ===

impl IdToken {
    /// A token that was kept.
    #[must_use]
    pub fn kept(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The token, to be sent to a gateway or kept.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

// === impl TokenRefused ===

impl TokenRefused {
    /// Whether newer keys of the provider could make a difference.
    pub(crate) fn may_be_a_newer_key(self) -> bool {
        self == Self::Signature
    }
}

impl From<&ClaimsVerificationError> for TokenRefused {
    fn from(error: &ClaimsVerificationError) -> Self {
        match error {
            ClaimsVerificationError::Expired(_) => Self::Expired,
            ClaimsVerificationError::InvalidAudience(_) => Self::Audience,
            ClaimsVerificationError::InvalidIssuer(_) => Self::Issuer,
            ClaimsVerificationError::InvalidNonce(_) => Self::Nonce,
            ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::DisallowedAlg(_)
                | SignatureVerificationError::NoSignature
                | SignatureVerificationError::UnsupportedAlg(_),
            ) => Self::Algorithm,
            ClaimsVerificationError::SignatureVerification(_) => Self::Signature,
            _ => Self::Other,
        }
    }
}

/// Checks a token that a console sent. The nonce was checked there, where it was chosen.
pub(crate) fn verify(
    settings: &ProviderSettings,
    provider: &CoreProviderMetadata,
    token: &str,
    now: Timestamp,
) -> Result<Verified, TokenRefused> {
    check(settings, provider, token, now, |_: Option<&Nonce>| Ok(()))
}

/// Checks the answer to a sign-in that asked for `nonce`.
pub(crate) fn verify_answer(
    settings: &ProviderSettings,
    provider: &CoreProviderMetadata,
    token: &str,
    now: Timestamp,
    nonce: &Nonce,
) -> Result<Verified, TokenRefused> {
    check(settings, provider, token, now, nonce)
}

fn check(
    settings: &ProviderSettings,
    provider: &CoreProviderMetadata,
    token: &str,
    now: Timestamp,
    nonce: impl NonceVerifier,
) -> Result<Verified, TokenRefused> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenRefused::Malformed);
    }
    let token = CoreIdToken::from_str(token).map_err(|_| TokenRefused::Malformed)?;
    let at = DateTime::from_timestamp(now.as_second(), 0).ok_or(TokenRefused::Other)?;
    // A public client: there is no secret that a signature could be made with (HS256).
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(settings.client_id.clone()),
        provider.issuer().clone(),
        provider.jwks().clone(),
    )
    .set_allowed_algs(settings.algorithms.iter().map(|algorithm| name(*algorithm)))
    .set_time_fn(move || at);
    let claims = token.claims(&verifier, nonce).map_err(|error| TokenRefused::from(&error))?;
    if claims.authorized_party().is_some_and(|party| party.as_str() != settings.client_id) {
        return Err(TokenRefused::Audience);
    }
    let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| TokenRefused::Other);
    let verified = Verified {
        subject: claims.subject().as_str().to_owned(),
        issued_at: time(claims.issue_time().timestamp())?,
        signed_in_at: claims.auth_time().map(|at| time(at.timestamp())).transpose()?,
        expires_at: time(claims.expiration().timestamp())?,
    };
    let latest = verified.signed_in_at.map_or(verified.issued_at, |at| at.max(verified.issued_at));
    if latest.as_second() > now.as_second().saturating_add(CLOCK_SKEW_S) {
        return Err(TokenRefused::Future);
    }
    Ok(verified)
}

fn name(algorithm: Algorithm) -> CoreJwsSigningAlgorithm {
    match algorithm {
        Algorithm::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        Algorithm::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
        Algorithm::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        Algorithm::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
    }
}

#[cfg(test)]
mod tests;
