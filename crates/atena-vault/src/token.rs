//! Keys in a token that speaks PKCS #11 (an HSM; SoftHSM2 in the tests). They are made in it and never leave it: data keys are wrapped
//! and unwrapped, personal numbers indexed and heads of the log signed inside.

//!
//! A token that goes away and comes back is used again: see [`again`]. Until then every call is refused, and after a failed try the next
//! one waits.

mod again;
mod library;
mod opened;
mod signed_in;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use atena_domain::MunicipalityCode;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::Session;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::key_service::{DataKey, KeyKind, KeyService, LogKey, Purpose, WRAPPED_AES, message};
use crate::sealing::Suite;
use again::Away;
use opened::Opened;
pub(crate) use signed_in::Token;

/// First byte of a data key of XAES-256-GCM wrapped in a token. A token wraps with AES-256-GCM and a random 96-bit nonce, either kind of data
/// key; one key wraps fewer than 2³² (NIST SP 800-38D §8.3).
const WRAPPED_XAES: u8 = 0x02;

const NONCE_BYTES: usize = 12;
const TAG_BITS: u64 = 128;

/// Bytes of AES-256 and HMAC-SHA-256 keys.
const KEY_BYTES: u64 = 32;

/// Versions of one key that are looked for: one a year for a long time.
const VERSIONS_MAX: u32 = 64;

/// The curve of Ed25519 as PKCS #11 names it (`edwards25519`, a PrintableString; PKCS #11 v3.0 §2.3.5).
const EDWARDS25519: [u8; 14] = *b"\x13\x0cedwards25519";

/// Where a token is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenPlace {
    /// The library of its maker, e.g. `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// Label of the token.
    pub label: String,
    /// Its serial number, where several tokens have this label.
    #[serde(default)]
    pub serial: Option<String>,
    /// A file of mode 0600 that holds the PIN of the user.
    pub pin_file: PathBuf,
}

/// The keys of one municipality in a token.
pub struct TokenKeys {
    place: TokenPlace,
    municipality: MunicipalityCode,
    /// The keys as they were found last; they may be of a token that is away.
    known: ArcSwap<Opened>,
    away: Mutex<Option<Away>>,
    /// Whether there is one in it.
    known_away: AtomicBool,
    /// When the look began that is the first one since the token was there.
    first_look: Mutex<Option<Instant>>,
    /// Told when it ends.
    looked: Condvar,
    /// When the probe began that is under way.
    probing: Mutex<Option<Instant>>,
}

// === impl TokenKeys ===

impl TokenKeys {
    /// Makes the keys of a municipality in the token, none of which can be taken out.
    ///
    /// # Errors
    /// [`VaultError::Token`]: it can't be used, or has keys of this municipality already.
    pub fn generate(place: &TokenPlace, municipality: &MunicipalityCode) -> Result<(), VaultError> {
        let token = Token::open(place)?;
        token
            .with_session(|session| {
                let label = |kind| label(municipality, kind, 1);
                for kind in ["wrapping", "blind-index", "derivation", "log"] {
                    if !session.find_objects(&[label(kind)])?.is_empty() {
                        return Ok(Err("it has keys of this municipality already; they are never overwritten"));
                    }
                }
                session.generate_key(&Mechanism::AesKeyGen, &secret(label("wrapping"), KeyType::AES, &WRAPS))?;
                for kind in ["blind-index", "derivation"] {
                    let template = secret(label(kind), KeyType::GENERIC_SECRET, &[Attribute::Sign(true)]);
                    session.generate_key(&Mechanism::GenericSecretKeyGen, &template)?;
                }
                signing_pair(session, label("log"))?;
                Ok(Ok(()))
            })?
            .map_err(|what| token.trouble(what, None))
    }

    /// Makes a newer version of a key.
    pub(crate) fn add(place: &TokenPlace, municipality: &MunicipalityCode, kind: KeyKind) -> Result<(), VaultError> {
        let token = Token::open(place)?;
        let name = kind_name(kind);
        let versions = opened::versions(&token, municipality, name, class_of(kind))?;
        let version = versions.last().map_or(1, |(version, _)| version + 1);
        if version > VERSIONS_MAX {
            return Err(token.trouble("it has had as many versions of this key as are looked for", None));
        }
        let label = label(municipality, name, version);
        token.with_session(|session| match kind {
            KeyKind::Wrapping => {
                session.generate_key(&Mechanism::AesKeyGen, &secret(label.clone(), KeyType::AES, &WRAPS)).map(|_| ())
            }
            KeyKind::BlindIndex => {
                let template = secret(label.clone(), KeyType::GENERIC_SECRET, &[Attribute::Sign(true)]);
                session.generate_key(&Mechanism::GenericSecretKeyGen, &template).map(|_| ())
            }
            KeyKind::Log => signing_pair(session, label.clone()),
        })
    }

    /// Destroys all versions of a key but the newest; of a key that signs, the private half.
    pub(crate) fn keep_newest(
        place: &TokenPlace,
        municipality: &MunicipalityCode,
        kind: KeyKind,
    ) -> Result<(), VaultError> {
        let token = Token::open(place)?;
        let mut versions = opened::versions(&token, municipality, kind_name(kind), class_of(kind))?;
        versions.pop();
        token.with_session(|session| versions.iter().try_for_each(|(_, key)| session.destroy_object(*key)))
    }

    pub(crate) fn open(place: &TokenPlace, municipality: &MunicipalityCode) -> Result<Self, VaultError> {
        let opened = Opened::find(place, municipality)?;
        opened.pin_down(place, municipality)?;
        Ok(Self {
            place: place.clone(),
            municipality: municipality.clone(),
            known: ArcSwap::from_pointee(opened),
            away: Mutex::default(),
            known_away: AtomicBool::new(false),
            first_look: Mutex::default(),
            looked: Condvar::new(),
            probing: Mutex::default(),
        })
    }

    /// What a wrapped key is bound to.
    fn bound(&self, suite: Suite, id: &str, place: &[u8]) -> Zeroizing<Vec<u8>> {
        let kind: &[u8] = match suite {
            Suite::Xaes256Gcm => b"atena/v1/person-key",
            Suite::Aes256Gcm => b"atena/v1/person-key/aes-256-gcm",
        };
        message(&self.municipality, &[kind, id.as_bytes(), place])
    }

    fn trouble(&self, what: &'static str) -> VaultError {
        VaultError::Token { token: self.place.label.clone(), what, cause: None }
    }
}

impl KeyService for TokenKeys {
    fn wrapping_ids(&self) -> Vec<String> {
        self.known.load().wrapping.iter().map(|(id, _)| id.clone()).collect()
    }

    fn wrap(&self, id: &str, place: &[u8], key: &DataKey) -> Result<Vec<u8>, VaultError> {
        let bound = self.bound(key.suite, id, place);
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::Random)?;
        let sealed = self.with(
            |opened| opened.wrapping_key(id),
            |session, wrapping| {
                let mut nonce = nonce;
                let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?);
                session.encrypt(&mechanism, wrapping, key.bytes.as_slice())
            },
        )?;
        let form = match key.suite {
            Suite::Xaes256Gcm => WRAPPED_XAES,
            Suite::Aes256Gcm => WRAPPED_AES,
        };
        Ok([&[form][..], &nonce, &sealed].concat())
    }

    fn unwrap(&self, id: &str, place: &[u8], wrapped: &[u8]) -> Result<DataKey, VaultError> {
        self.known.load().wrapping_key(id).ok_or(VaultError::UnknownKey)?;
        let (&form, rest) = wrapped.split_first().ok_or(VaultError::DoesNotOpen)?;
        let suite = match form {
            WRAPPED_XAES => Suite::Xaes256Gcm,
            WRAPPED_AES => Suite::Aes256Gcm,
            _ => return Err(VaultError::UnknownSuite),
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::DoesNotOpen)?;
        let bound = self.bound(suite, id, place);
        let decrypt = |session: &Session, wrapping| {
            let mut nonce = *nonce;
            let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?);
            session.decrypt(&mechanism, wrapping, sealed)
        };
        let opened = self.with(
            |opened| opened.wrapping_key(id),
            |session, wrapping| match decrypt(session, wrapping) {
                // Libraries differ in what they call a tag that does not fit.
                Err(Error::Pkcs11(RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange, _)) => Ok(None),
                // Some of them call it so, and a token that is away as well: one that answers otherwise is there.
                Err(Error::Pkcs11(RvError::GeneralError, function)) => match self.known.load().is_itself(session) {
                    true => Ok(None),
                    false => Err(Error::Pkcs11(RvError::GeneralError, function)),
                },
                opened => opened.map(Some),
            },
        )?;
        let opened = Zeroizing::new(opened.ok_or(VaultError::DoesNotOpen)?);
        DataKey::of(suite, &opened)
    }

    fn index_versions(&self) -> Vec<u32> {
        self.known.load().indexes.iter().map(|(version, _)| *version).collect()
    }

    fn index(&self, version: u32, message: &[u8]) -> Result<[u8; 32], VaultError> {
        let mac = self.with(
            |opened| opened.indexes.iter().find(|(known, _)| *known == version).map(|(_, key)| *key),
            |session, key| opened::mac(session, key, message),
        )?;
        mac.map(|mac| *mac).ok_or_else(|| self.trouble("HMAC-SHA-256"))
    }

    fn purpose_key(&self, purpose: Purpose) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let parts: [&[u8]; 2] = [b"atena/v1/purpose", purpose.as_str().as_bytes()];
        let message = message(&self.municipality, &parts);
        let mac = self
            .with(|opened| Some(opened.derivation), |session, derivation| opened::mac(session, derivation, &message))?;
        mac.ok_or_else(|| self.trouble("HMAC-SHA-256"))
    }

    fn log_keys(&self) -> Vec<LogKey> {
        let known = self.known.load();
        let signs = |version| known.log.iter().any(|(there, _)| *there == version);
        let of_version = |(version, public_key): &(u32, [u8; 32])| LogKey {
            version: *version,
            public_key: *public_key,
            signs: signs(*version),
        };
        known.log_public.iter().map(of_version).collect()
    }

    fn sign_log_head(&self, version: u32, text: &[u8]) -> Result<[u8; 64], VaultError> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        let signature = self.with(
            |opened| opened.log.iter().find(|(known, _)| *known == version).map(|(_, key)| *key),
            |session, key| session.sign(&mechanism, key, text),
        )?;
        <[u8; 64]>::try_from(signature.as_slice()).map_err(|_| self.trouble("Ed25519"))
    }

    fn probe(&self) -> Result<(), VaultError> {
        self.probe_token()
    }
}

/// What an AES key is for.
const WRAPS: [Attribute; 2] = [Attribute::Encrypt(true), Attribute::Decrypt(true)];

fn kind_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Wrapping => "wrapping",
        KeyKind::BlindIndex => "blind-index",
        KeyKind::Log => "log",
    }
}

/// What of a key is destroyed at its end.
fn class_of(kind: KeyKind) -> ObjectClass {
    match kind {
        KeyKind::Wrapping | KeyKind::BlindIndex => ObjectClass::SECRET_KEY,
        KeyKind::Log => ObjectClass::PRIVATE_KEY,
    }
}

/// Makes an Ed25519 key; only the public half can be read.
fn signing_pair(session: &Session, label: Attribute) -> Result<(), Error> {
    let public = [
        label.clone(),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(EDWARDS25519.to_vec()),
    ];
    let mut private = kept(label).to_vec();
    private.push(Attribute::Sign(true));
    session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private).map(|_| ())
}

/// A key that stays in the token, can't be read, and can be destroyed.
fn kept(label: Attribute) -> [Attribute; 6] {
    [
        label,
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
    ]
}

fn secret(label: Attribute, key_type: KeyType, uses: &[Attribute]) -> Vec<Attribute> {
    let mut template = kept(label).to_vec();
    template.extend([Attribute::KeyType(key_type), Attribute::ValueLen(KEY_BYTES.into())]);
    template.extend_from_slice(uses);
    template
}

fn label(municipality: &MunicipalityCode, kind: &str, version: u32) -> Attribute {
    Attribute::Label(format!("atena/{}/{kind}/{version}", municipality.as_str()).into_bytes())
}
