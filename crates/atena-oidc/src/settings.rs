//! What the settings say of the provider.

use std::path::PathBuf;

use serde::Deserialize;

/// The provider of a municipality (`[oidc]` in `atena.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its issuer identifier, exactly as its tokens have it, e.g. `https://login.city.example`.
    pub issuer: String,
    /// What this installation is called there: the audience of its tokens.
    pub client_id: String,
    /// Its secret there, in a file of mode 0600, where the provider asks for one. Read at consoles, when somebody signs in; a gateway never
    /// needs it.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// The authorities whose certificates it shows (PEM); without it only a provider on this machine can be reached, in the clear.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Algorithms with which its tokens may be signed; all others are refused.
    #[serde(default = "algorithms_default")]
    pub algorithms: Vec<Algorithm>,
}

/// A signature algorithm (RFC 7518 §3.1, RFC 8037). There is none without a signature, and none with a shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

fn algorithms_default() -> Vec<Algorithm> {
    vec![Algorithm::Rs256]
}
