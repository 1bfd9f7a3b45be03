//! Keys in a token that speaks PKCS #11 (an HSM; SoftHSM2 in the tests). They are made in it and never leave it: data keys are wrapped
//! and unwrapped, personal numbers indexed and heads of the log signed inside.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use atena_domain::MunicipalityCode;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::key_service::{DataKey, KeyKind, KeyService, LogKey, Purpose, WRAPPED_AES, message};
use crate::sealing::Suite;

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
    /// A file of mode 0600 that holds the PIN of the user.
    pub pin_file: PathBuf,
}

/// The keys of one municipality in a token.
pub struct TokenKeys {
    token: Token,
    municipality: MunicipalityCode,
    wrapping: Vec<(String, ObjectHandle)>,
    indexes: Vec<(u32, ObjectHandle)>,
    derivation: ObjectHandle,
    log: Vec<(u32, ObjectHandle)>,
    log_public: Vec<(u32, [u8; 32])>,
}

/// A token that somebody has signed in to.
pub(crate) struct Token {
    label: String,
    library: Pkcs11,
    slot: Slot,
    /// Sessions that nobody uses now; a session serves one thread at a time. The first stays, because signing out comes with the last.
    sessions: Mutex<Vec<Session>>,
}

/// A library can be initialised once in a process, and several municipalities may use it.
static LIBRARIES: Mutex<Option<HashMap<PathBuf, Pkcs11>>> = Mutex::new(None);

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
        let versions = token.versions(municipality, name, class_of(kind))?;
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
        let mut versions = token.versions(municipality, kind_name(kind), class_of(kind))?;
        versions.pop();
        token.with_session(|session| versions.iter().try_for_each(|(_, key)| session.destroy_object(*key)))
    }

    pub(crate) fn open(place: &TokenPlace, municipality: &MunicipalityCode) -> Result<Self, VaultError> {
        let token = Token::open(place)?;
        let missing = || token.trouble("it lacks keys of this municipality; make them: atena keys generate", None);
        let of_kind = |kind, class| token.versions(municipality, kind, class);
        let wrapping: Vec<_> = of_kind("wrapping", ObjectClass::SECRET_KEY)?
            .into_iter()
            .map(|(version, key)| (format!("wrapping-{version}"), key))
            .collect();
        let indexes = of_kind("blind-index", ObjectClass::SECRET_KEY)?;
        if wrapping.is_empty() || indexes.is_empty() {
            return Err(missing());
        }
        let (_, derivation) = of_kind("derivation", ObjectClass::SECRET_KEY)?.pop().ok_or_else(missing)?;
        let log = of_kind("log", ObjectClass::PRIVATE_KEY)?;
        let mut log_public = Vec::new();
        for (version, public) in of_kind("log", ObjectClass::PUBLIC_KEY)? {
            log_public.push((version, token.point(public)?));
        }
        if log.is_empty() || log.last().map(|(version, _)| version) != log_public.last().map(|(version, _)| version) {
            return Err(missing());
        }
        Ok(Self { municipality: municipality.clone(), wrapping, indexes, derivation, log, log_public, token })
    }

    /// What a wrapped key is bound to.
    fn bound(&self, suite: Suite, id: &str, place: &[u8]) -> Zeroizing<Vec<u8>> {
        let kind: &[u8] = match suite {
            Suite::Xaes256Gcm => b"atena/v1/person-key",
            Suite::Aes256Gcm => b"atena/v1/person-key/aes-256-gcm",
        };
        message(&self.municipality, &[kind, id.as_bytes(), place])
    }

    fn mac(&self, key: ObjectHandle, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let mac = self.token.with_session(|session| session.sign(&Mechanism::Sha256Hmac, key, message))?;
        let mac = Zeroizing::new(mac);
        let mac = <[u8; 32]>::try_from(mac.as_slice()).map_err(|_| self.token.trouble("HMAC-SHA-256", None))?;
        Ok(Zeroizing::new(mac))
    }
}

impl KeyService for TokenKeys {
    fn wrapping_ids(&self) -> Vec<String> {
        self.wrapping.iter().map(|(id, _)| id.clone()).collect()
    }

    fn wrap(&self, id: &str, place: &[u8], key: &DataKey) -> Result<Vec<u8>, VaultError> {
        let (_, wrapping) = self.wrapping.iter().find(|(known, _)| known == id).ok_or(VaultError::UnknownKey)?;
        let bound = self.bound(key.suite, id, place);
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::Random)?;
        let sealed = self.token.with_session(|session| {
            let mut nonce = nonce;
            let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?);
            session.encrypt(&mechanism, *wrapping, key.bytes.as_slice())
        })?;
        let form = match key.suite {
            Suite::Xaes256Gcm => WRAPPED_XAES,
            Suite::Aes256Gcm => WRAPPED_AES,
        };
        Ok([&[form][..], &nonce, &sealed].concat())
    }

    fn unwrap(&self, id: &str, place: &[u8], wrapped: &[u8]) -> Result<DataKey, VaultError> {
        let (_, wrapping) = self.wrapping.iter().find(|(known, _)| known == id).ok_or(VaultError::UnknownKey)?;
        let (&form, rest) = wrapped.split_first().ok_or(VaultError::DoesNotOpen)?;
        let suite = match form {
            WRAPPED_XAES => Suite::Xaes256Gcm,
            WRAPPED_AES => Suite::Aes256Gcm,
            _ => return Err(VaultError::UnknownSuite),
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError::DoesNotOpen)?;
        let bound = self.bound(suite, id, place);
        let opened = self.token.with_session(|session| {
            let mut nonce = *nonce;
            let mechanism = Mechanism::AesGcm(GcmParams::new(&mut nonce, &bound, TAG_BITS.into())?);
            match session.decrypt(&mechanism, *wrapping, sealed) {
                // Libraries differ in what they call a tag that does not fit.
                Err(Error::Pkcs11(
                    RvError::EncryptedDataInvalid | RvError::EncryptedDataLenRange | RvError::GeneralError,
                    _,
                )) => Ok(None),
                opened => opened.map(Some),
            }
        })?;
        let opened = Zeroizing::new(opened.ok_or(VaultError::DoesNotOpen)?);
        DataKey::of(suite, &opened)
    }

    fn index_versions(&self) -> Vec<u32> {
        self.indexes.iter().map(|(version, _)| *version).collect()
    }

    fn index(&self, version: u32, message: &[u8]) -> Result<[u8; 32], VaultError> {
        let (_, key) = self.indexes.iter().find(|(known, _)| *known == version).ok_or(VaultError::UnknownKey)?;
        Ok(*self.mac(*key, message)?)
    }

    fn purpose_key(&self, purpose: Purpose) -> Result<Zeroizing<[u8; 32]>, VaultError> {
        let parts: [&[u8]; 2] = [b"atena/v1/purpose", purpose.as_str().as_bytes()];
        self.mac(self.derivation, &message(&self.municipality, &parts))
    }

    fn log_keys(&self) -> Vec<LogKey> {
        let signs = |version| self.log.iter().any(|(there, _)| *there == version);
        let of_version = |(version, public_key): &(u32, [u8; 32])| LogKey {
            version: *version,
            public_key: *public_key,
            signs: signs(*version),
        };
        self.log_public.iter().map(of_version).collect()
    }

    fn sign_log_head(&self, version: u32, text: &[u8]) -> Result<[u8; 64], VaultError> {
        let (_, key) = self.log.iter().find(|(known, _)| *known == version).ok_or(VaultError::UnknownKey)?;
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        let signature = self.token.with_session(|session| session.sign(&mechanism, *key, text))?;
        <[u8; 64]>::try_from(signature.as_slice()).map_err(|_| self.token.trouble("Ed25519", None))
    }
}

// === impl Token ===

impl Token {
    pub(crate) fn open(place: &TokenPlace) -> Result<Self, VaultError> {
        let trouble =
            |what, cause: Option<Error>| VaultError::Token { token: place.label.clone(), what, cause: cause.map(told) };
        let library = library(place).map_err(|error| trouble("its library can't be loaded", Some(error)))?;
        let slots = library.get_slots_with_initialized_token().map_err(|error| trouble("its slots", Some(error)))?;
        let named = |slot: &Slot| library.get_token_info(*slot).is_ok_and(|token| token.label().trim() == place.label);
        let slot = slots.into_iter().find(named);
        let slot = slot.ok_or_else(|| trouble("no token has this label; look with: pkcs11-tool --list-slots", None))?;
        let token = Self { label: place.label.clone(), library, slot, sessions: Mutex::new(Vec::new()) };
        let session = token.library.open_rw_session(slot).map_err(|error| trouble("a session", Some(error)))?;
        match session.login(UserType::User, Some(&pin(place)?)) {
            // Somebody else in this process did: another municipality, on the same token.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => (),
            Err(error) => return Err(trouble("it does not take the PIN", Some(error))),
        }
        token.give_back(session);
        Ok(token)
    }

    /// Runs `work` on a session of its own.
    pub(crate) fn with_session<T>(&self, work: impl Fn(&Session) -> Result<T, Error>) -> Result<T, VaultError> {
        let trouble = |error| self.trouble("it did not do what was asked of it", Some(error));
        let free = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = match free {
            Some(session) => session,
            None => self.library.open_rw_session(self.slot).map_err(trouble)?,
        };
        let done = work(&session);
        self.give_back(session);
        done.map_err(trouble)
    }

    fn give_back(&self, session: Session) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// The versions of a key, in order.
    fn versions(
        &self,
        municipality: &MunicipalityCode,
        kind: &str,
        class: ObjectClass,
    ) -> Result<Vec<(u32, ObjectHandle)>, VaultError> {
        self.with_session(|session| {
            let mut found = Vec::new();
            // Older ones may be gone.
            for version in 1..=VERSIONS_MAX {
                let template = [label(municipality, kind, version), Attribute::Class(class)];
                found.extend(session.find_objects(&template)?.first().map(|key| (version, *key)));
            }
            Ok(found)
        })
    }

    /// The 32 bytes of an Ed25519 public key: some libraries give them as they are, some as an OCTET STRING.
    fn point(&self, key: ObjectHandle) -> Result<[u8; 32], VaultError> {
        let found = self.with_session(|session| session.get_attributes(key, &[AttributeType::EcPoint]))?;
        let point = found.into_iter().find_map(|attribute| match attribute {
            Attribute::EcPoint(point) => Some(point),
            _ => None,
        });
        let point = point.unwrap_or_default();
        let bare = point.strip_prefix(&[0x04, 0x20]).unwrap_or(&point);
        <[u8; 32]>::try_from(bare).map_err(|_| self.trouble("it does not tell the public key of the log", None))
    }

    /// The first object of a class with this label.
    pub(crate) fn find(&self, label: &str, class: ObjectClass) -> Result<Option<ObjectHandle>, VaultError> {
        self.with_session(|session| {
            let template = [Attribute::Class(class), Attribute::Label(label.into())];
            Ok(session.find_objects(&template)?.first().copied())
        })
    }

    pub(crate) fn trouble(&self, what: &'static str, cause: Option<Error>) -> VaultError {
        VaultError::Token { token: self.label.clone(), what, cause: cause.map(told) }
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

fn library(place: &TokenPlace) -> Result<Pkcs11, Error> {
    let mut known = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(library) = known.get(&place.module) {
        return Ok(library.clone());
    }
    let library = Pkcs11::new(&place.module)?;
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    known.insert(place.module.clone(), library.clone());
    Ok(library)
}

fn pin(place: &TokenPlace) -> Result<AuthPin, VaultError> {
    let path = &place.pin_file;
    let failed = |source| VaultError::PinFile { token: place.label.clone(), path: path.clone(), source };
    let mode = fs::metadata(path).map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(VaultError::KeyFileMode { path: path.clone(), mode });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    Ok(AuthPin::new(text.trim_end_matches(['\r', '\n']).into()))
}

/// What a token said, in one line.
fn told(error: Error) -> String {
    error.to_string()
}
