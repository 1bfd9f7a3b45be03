//! A way in for `crates/atena-gateway/fuzz`: tokens are bytes from outside. Compiled for fuzzing alone.
#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "only fuzz targets see this")]

use jiff::Timestamp;
use openidconnect::core::{
    CoreJsonCurveType, CoreJsonWebKey, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::{
    AuthUrl, EmptyAdditionalProviderMetadata, IssuerUrl, JsonWebKeySet, JsonWebKeySetUrl, ResponseTypes,
};

use crate::settings::{Algorithm, ProviderSettings};
use crate::token;

/// Whatever comes is refused: nobody has the key of this provider.
pub fn id_token(text: &str) {
    let issuer = "https://login.city.example".to_owned();
    let algorithms = vec![Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
    let (client_id, ca_file, client_secret_file) = ("atena".to_owned(), None, None);
    let settings = ProviderSettings { issuer: issuer.clone(), client_id, client_secret_file, ca_file, algorithms };
    let url = |path: &str| format!("{issuer}/{path}");
    let key = CoreJsonWebKey::new_okp(vec![7; 32], CoreJsonCurveType::Ed25519, None);
    let provider = CoreProviderMetadata::new(
        IssuerUrl::new(issuer.clone()).expect("a URL"),
        AuthUrl::new(url("authorize")).expect("a URL"),
        JsonWebKeySetUrl::new(url("keys")).expect("a URL"),
        vec![ResponseTypes::new(vec![CoreResponseType::Code])],
        vec![CoreSubjectIdentifierType::Public],
        vec![CoreJwsSigningAlgorithm::EdDsa],
        EmptyAdditionalProviderMetadata {},
    )
    .set_jwks(JsonWebKeySet::new(vec![key]));
    assert!(token::verify(&settings, &provider, text, Timestamp::UNIX_EPOCH).is_err());
}
