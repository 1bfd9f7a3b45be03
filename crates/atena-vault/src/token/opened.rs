//! The keys of one municipality as they were found in a token, and whether it is still the same token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use atena_domain::MunicipalityCode;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::{Token, TokenPlace, VERSIONS_MAX, label};
use crate::error::VaultError;
use crate::key_service::message;

/// Keys, by the handles that they have in one generation of the library.
pub(super) struct Opened {
    pub(super) token: Token,
    pub(super) wrapping: Vec<(String, ObjectHandle)>,
    pub(super) indexes: Vec<(u32, ObjectHandle)>,
    pub(super) derivation: ObjectHandle,
    pub(super) log: Vec<(u32, ObjectHandle)>,
    pub(super) log_public: Vec<(u32, [u8; 32])>,
    /// A MAC under the key for derivation, which is never changed: other keys give another one.
    proof: Zeroizing<[u8; 32]>,
    proved: Zeroizing<Vec<u8>>,
}

/// Which token had the keys of a municipality first in this process.
struct Identity {
    serial: String,
    proof: Zeroizing<[u8; 32]>,
}

static IDENTITIES: Mutex<Option<HashMap<(String, String), Identity>>> = Mutex::new(None);

// === impl Opened ===

impl Opened {
    /// Signs in and finds them.
    pub(super) fn find(place: &TokenPlace, municipality: &MunicipalityCode) -> Result<Self, VaultError> {
        let token = Token::open(place)?;
        let missing = || VaultError::TokenWithoutKeys {
            token: place.label.clone(),
            municipality: municipality.as_str().to_owned(),
        };
        let of_kind = |kind, class| versions(&token, municipality, kind, class);
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
            log_public.push((version, point(&token, public)?));
        }
        if log.is_empty() || log.last().map(|(version, _)| version) != log_public.last().map(|(version, _)| version) {
            return Err(missing());
        }
        let proved = message(municipality, &[b"atena/v1/same-keys"]);
        let proof = token.with_session(|session| mac(session, derivation, &proved))?;
        let proof = proof.ok_or_else(|| token.trouble("HMAC-SHA-256", None))?;
        Ok(Self { token, wrapping, indexes, derivation, log, log_public, proof, proved })
    }

    /// Refuses another token than the one that this process found first, and other keys.
    pub(super) fn pin_down(&self, place: &TokenPlace, municipality: &MunicipalityCode) -> Result<(), VaultError> {
        let mut known = IDENTITIES.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (place.module.display().to_string(), municipality.as_str().to_owned());
        let serial = self.token.serial().to_owned();
        let identity = known
            .get_or_insert_default()
            .entry(key)
            .or_insert_with(|| Identity { serial: serial.clone(), proof: self.proof.clone() });
        if identity.serial != serial {
            let what = "another token is in its place. Put the one back that was there, or restart to use the new one";
            let serials = format!("serial {serial} in place of {}", identity.serial);
            return Err(self.token.trouble(what, Some(serials)));
        }
        if *identity.proof != *self.proof {
            let what = "it has other keys than before; what is stored does not open with them";
            return Err(self.token.trouble(what, None));
        }
        Ok(())
    }

    /// Whether every key is there that was there before, or a newer version of it.
    pub(super) fn continues(&self, before: &Self) -> Result<(), VaultError> {
        let newest = |opened: &Self| {
            let wrapping = opened.wrapping.last().map(|(id, _)| (id.len(), id.clone()));
            let number = |keys: &[(u32, ObjectHandle)]| keys.last().map(|(version, _)| *version);
            (wrapping, number(&opened.indexes), number(&opened.log))
        };
        let (now, then) = (newest(self), newest(before));
        if now.0 >= then.0 && now.1 >= then.1 && now.2 >= then.2 {
            return Ok(());
        }
        Err(self.token.trouble("it lacks the newest keys that it had before", None))
    }

    /// Whether the token still computes with the same key.
    pub(super) fn is_itself(&self, session: &Session) -> bool {
        matches!(self.prove(session, self.derivation), Ok(true))
    }

    /// Whether this key is the one that it was.
    pub(super) fn prove(&self, session: &Session, derivation: ObjectHandle) -> Result<bool, Error> {
        Ok(mac(session, derivation, &self.proved)?.is_some_and(|proof| *proof == *self.proof))
    }

    pub(super) fn wrapping_key(&self, id: &str) -> Option<ObjectHandle> {
        self.wrapping.iter().find(|(known, _)| known == id).map(|(_, key)| *key)
    }
}

/// HMAC-SHA-256; `None` where the token gives something else.
pub(super) fn mac(session: &Session, key: ObjectHandle, message: &[u8]) -> Result<Option<Zeroizing<[u8; 32]>>, Error> {
    let mac = Zeroizing::new(session.sign(&Mechanism::Sha256Hmac, key, message)?);
    Ok(<[u8; 32]>::try_from(mac.as_slice()).ok().map(Zeroizing::new))
}

/// The versions of a key, in order.
pub(super) fn versions(
    token: &Token,
    municipality: &MunicipalityCode,
    kind: &str,
    class: ObjectClass,
) -> Result<Vec<(u32, ObjectHandle)>, VaultError> {
    token.with_session(|session| {
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
fn point(token: &Token, key: ObjectHandle) -> Result<[u8; 32], VaultError> {
    let found = token.with_session(|session| session.get_attributes(key, &[AttributeType::EcPoint]))?;
    let point = found.into_iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => Some(point),
        _ => None,
    });
    let point = point.unwrap_or_default();
    let bare = point.strip_prefix(&[0x04, 0x20]).unwrap_or(&point);
    <[u8; 32]>::try_from(bare).map_err(|_| token.trouble("it does not give the public key of the log", None))
}
