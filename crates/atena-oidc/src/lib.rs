//! Sign-ins at the municipality's own provider (OpenID Connect Core 1.0): how a person signs in at a console, and how a gateway finds out
//! whether to believe what came of it.
//!
//! A [`Provider`] is what the settings name. At a console it begins a [`SignIn`]: the code flow with PKCE (RFC 7636, `S256`), `state` and
//! `nonce`, in a browser that comes back to a loopback address (RFC 8252). What comes of it is an ID token. At a gateway
//! [`Provider::verify`] checks the token against the provider's keys, issuer, audience and times, with algorithms that the settings pin.
//!
//! Deliberately absent: accounts and decisions (who a subject is, and what they may do, is for others), a way to show a token (it has
//! neither `Debug` nor a place in any error), shared-secret algorithms, refresh tokens, redirects, and any connection but those to the
//! provider: over TLS that its own authority vouches for, or in the clear to this very machine.
//!
//! # Example
//!
//! ```no_run
//! use atena_oidc::{Provider, ProviderSettings};
//!
//! # async fn example(settings: ProviderSettings, token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let provider = Provider::of(settings)?;
//! let verified = provider.verify(token, jiff::Timestamp::now()).await?;
//! println!("{} signed in at {:?}", verified.subject, verified.signed_in_at);
//! # Ok(())
//! # }
//! ```

#[cfg(fuzzing)]
pub mod fuzz;
mod http;
mod provider;
mod settings;
mod sign_in;
mod token;

pub use http::HttpError;
pub use provider::{Provider, ProviderError};
pub use settings::{Algorithm, ProviderSettings};
pub use sign_in::{SignIn, SignInError, SignInFresh};
pub use token::{IdToken, TokenRefused, Verified};
