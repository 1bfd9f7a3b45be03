//! Tokens that must not be believed, and the one that is.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use openidconnect::JsonWebKeySet;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_800_000_000;

const ISSUER: &str = "https://login.city.example";

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn settings(algorithms: &[Algorithm]) -> ProviderSettings {
    let (issuer, client_id) = (ISSUER.to_owned(), "atena".to_owned());
    ProviderSettings { issuer, client_id, client_secret_file: None, ca_file: None, algorithms: algorithms.to_vec() }
}

/// A provider with key 1 and key 2.
fn provider() -> CoreProviderMetadata {
    let jwk = |number: u8| {
        let x = URL_SAFE_NO_PAD.encode(key(number).verifying_key().as_bytes());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": number.to_string(), "use": "sig", "alg": "EdDSA" })
    };
    let keys: JsonWebKeySet<_> = serde_json::from_value(json!({ "keys": [jwk(1), jwk(2)] })).unwrap();
    let metadata: CoreProviderMetadata = serde_json::from_value(json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://login.city.example/authorize",
        "token_endpoint": "https://login.city.example/token",
        "jwks_uri": "https://login.city.example/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
    .unwrap();
    metadata.set_jwks(keys)
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "atena", "sub": "7c1e", "iat": NOW - 100, "exp": NOW + 3500, "auth_time": NOW - 120, "nonce": "n-1"
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

fn signed(header: &Value, claims: &Value, signer: &SigningKey) -> String {
    let input =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signer.sign(input.as_bytes()).to_bytes()))
}

fn token(claims: &Value) -> String {
    signed(&json!({ "alg": "EdDSA", "kid": "1" }), claims, &key(1))
}

fn checked(token: &str) -> Result<Verified, TokenRefused> {
    verify(&settings(&[Algorithm::EdDsa]), &provider(), token, now())
}

#[test]
fn a_token_of_the_provider_proves_who_signed_in_and_when() {
    let verified = checked(&token(&claims())).unwrap();
    assert_eq!(verified.subject, "7c1e");
    assert_eq!(verified.signed_in_at.unwrap().as_second(), NOW - 120);
    assert_eq!((verified.issued_at.as_second(), verified.expires_at.as_second()), (NOW - 100, NOW + 3500));
    assert_eq!(checked(&token(&without("auth_time"))).unwrap().signed_in_at, None);
    assert!(checked(&token(&with("azp", json!("atena")))).is_ok());
}

#[test]
fn claims_of_somebody_else_or_of_another_time_are_refused() {
    use TokenRefused::{Audience, Expired, Future, Issuer, Malformed};
    for (claims, refused) in [
        (with("iss", json!("https://login.city.example/")), Issuer),
        (with("iss", json!("https://evil.example")), Issuer),
        (without("iss"), Malformed),
        (with("aud", json!("another")), Audience),
        (with("aud", json!(["atena", "another"])), Audience),
        (with("aud", json!([])), Audience),
        (without("aud"), Audience),
        (with("azp", json!("another")), Audience),
        (with("exp", json!(NOW)), Expired),
        (with("exp", json!(NOW - 1)), Expired),
        (without("exp"), Malformed),
        (with("iat", json!(NOW + 61)), Future),
        (with("auth_time", json!(NOW + 61)), Future),
        (without("sub"), Malformed),
    ] {
        assert_eq!(checked(&token(&claims)), Err(refused), "{claims}");
    }
    assert!(checked(&token(&with("exp", json!(NOW + 1)))).is_ok());
    assert!(checked(&token(&with("iat", json!(NOW + 60)))).is_ok(), "clocks differ a little");
}

#[test]
fn no_algorithm_but_those_of_the_settings_is_taken() {
    let unsigned = |header: Value| {
        let parts = [header.to_string(), claims().to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{}.{}.", parts[0], parts[1])
    };
    for header in [json!({ "alg": "none" }), json!({ "alg": "none", "kid": "1" })] {
        assert_eq!(checked(&unsigned(header)), Err(TokenRefused::Algorithm));
    }
    assert!(checked(&unsigned(json!({ "kid": "1" }))).is_err(), "no algorithm at all");
    for algorithm in ["HS256", "HS512", "RS256", "ES256"] {
        let header = json!({ "alg": algorithm, "kid": "1" });
        assert_eq!(checked(&signed(&header, &claims(), &key(1))), Err(TokenRefused::Algorithm), "{algorithm}");
    }
    let elsewhere = verify(&settings(&[Algorithm::Rs256, Algorithm::Es256]), &provider(), &token(&claims()), now());
    assert_eq!(elsewhere, Err(TokenRefused::Algorithm));
}

#[test]
fn only_the_providers_own_keys_sign() {
    let header = |kid: &str| json!({ "alg": "EdDSA", "kid": kid });
    assert!(checked(&signed(&header("2"), &claims(), &key(2))).is_ok());
    for (kid, signer) in [("1", 3), ("1", 2), ("3", 3), ("3", 1)] {
        let refused = checked(&signed(&header(kid), &claims(), &key(signer)));
        assert_eq!(refused, Err(TokenRefused::Signature), "{kid} {signer}");
    }
    // A key that the token itself brings is nobody's key.
    let x = URL_SAFE_NO_PAD.encode(key(3).verifying_key().as_bytes());
    let own = json!({ "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": x } });
    assert!(checked(&signed(&own, &claims(), &key(3))).is_err());
    let critical = json!({ "alg": "EdDSA", "kid": "1", "crit": ["b64"], "b64": true });
    assert!(checked(&signed(&critical, &claims(), &key(1))).is_err());
}

#[test]
fn a_token_that_was_changed_anywhere_is_refused() {
    let good = token(&claims());
    // Of the last character only two bits are of the signature; the rest may be anything.
    for position in 0..good.len() - 1 {
        let mut bytes = good.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(checked(&changed).is_err(), "position {position}");
    }
    for malformed in ["", ".", "..", "a.b.c", "Bearer", &good[1..], &format!("{good}.{good}"), &"x".repeat(20_000)] {
        assert!(checked(malformed).is_err());
    }
}

#[test]
fn the_answer_to_one_sign_in_is_not_that_to_another() {
    let (settings, provider) = (settings(&[Algorithm::EdDsa]), provider());
    let answer = |claims: &Value, nonce: &str| {
        verify_answer(&settings, &provider, &token(claims), now(), &Nonce::new(nonce.to_owned())).map(|_| ())
    };
    assert_eq!(answer(&claims(), "n-1"), Ok(()));
    assert_eq!(answer(&claims(), "n-2"), Err(TokenRefused::Nonce));
    assert_eq!(answer(&without("nonce"), "n-1"), Err(TokenRefused::Nonce));
}
