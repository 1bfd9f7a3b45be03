//! A token that this process has signed in to.

use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use atena_domain::MunicipalityCode;
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::TokenPlace;
use super::library::{Failed, Library};
use crate::error::VaultError;
use crate::private_file;

/// A token that this process has signed in to.
pub(crate) struct Token {
    label: String,
    serial: String,
    library: Arc<Library>,
    slot: Slot,
    generation: u64,
}

/// What changes when a file is written or replaced.
type Stamp = (SystemTime, u64, u64);

/// The file of a PIN as it was when the token refused it. Held while one is tried.
type RefusedPin = Arc<Mutex<Option<Stamp>>>;

/// By file and serial number. The same PIN is never tried again: a token locks itself after a few
/// wrong ones.
static REFUSED_PINS: Mutex<Option<HashMap<(PathBuf, String), RefusedPin>>> = Mutex::new(None);

// === impl Token ===

impl Token {
    pub(crate) fn open(place: &TokenPlace) -> Result<Self, VaultError> {
        let trouble = |what, cause: Option<String>| VaultError::Token { token: place.label.clone(), what, cause };
        let failed = |what| move |error: Error| trouble(what, Some(error.to_string()));
        let library = Library::load(&place.module).map_err(failed("its library can't be loaded"))?;
        let generation = library.generation();
        let found = library.with(|library| {
            let mut found = Vec::new();
            for slot in library.get_slots_with_initialized_token()? {
                // One that goes away just now is none.
                let Ok(token) = library.get_token_info(slot) else { continue };
                if token.label().trim() == place.label {
                    found.push((slot, token.serial_number().trim().to_owned(), token.user_pin_final_try()));
                }
            }
            Ok(found)
        });
        let mut found = found.map_err(failed("its slots"))?;
        let others: Vec<_> = found.iter().map(|(_, serial, _)| serial.clone()).collect();
        found.retain(|(_, serial, _)| place.serial.as_ref().is_none_or(|wanted| wanted == serial));
        if found.len() > 1 {
            let serials: Vec<_> = found.into_iter().map(|(_, serial, _)| serial).collect();
            let what =
                "several tokens have this label; name one of them: serial = \"…\" below [token]. Their serial numbers";
            return Err(trouble(what, Some(serials.join(", "))));
        }
        let Some((slot, serial, final_try)) = found.pop() else {
            return Err(match &place.serial {
                None => trouble("no token has this label; look with: pkcs11-tool --list-slots", None),
                Some(serial) => {
                    let what = "no token has this label and serial number; look with: pkcs11-tool --list-slots";
                    let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
                    trouble(what, Some(format!("serial {serial} is wanted, with this label there is: {others}")))
                }
            });
        };
        let token = Self { label: place.label.clone(), serial, library, slot, generation };
        token.sign_in(place, final_try)?;
        Ok(token)
    }

    /// Signs in, with one try for each PIN.
    fn sign_in(&self, place: &TokenPlace, final_try: bool) -> Result<(), VaultError> {
        let (pin, stamp) = pin(place)?;
        let refused = refused_pin(place, &self.serial);
        // A token that hangs keeps those waiting who sign in to it, and no others.
        let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.as_ref() == Some(&stamp) {
            return Err(self.trouble("it did not take the PIN, which is not tried again until pin_file changes", None));
        }
        if final_try {
            return Err(self.trouble("it leaves one try for the PIN, which is not used up here: sign in by hand", None));
        }
        let done = self.library.with_session(self.slot, self.generation, |session| {
            match session.login(UserType::User, Some(&pin)) {
                // This process did: for another municipality, say.
                Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
                done => done,
            }
        });
        let Err(failed) = done else { return Ok(()) };
        if failed.is_refused_pin() {
            *refused = Some(stamp);
            return Err(self.trouble("it does not take the PIN; write the right one into pin_file", failed.said()));
        }
        Err(self.trouble("signing in", failed.said()))
    }

    /// Its serial number.
    pub(super) fn serial(&self) -> &str {
        &self.serial
    }

    /// Whether a try to sign in would be refused unseen.
    pub(super) fn pin_is_refused(place: &TokenPlace, serial: &str) -> bool {
        let refused = refused_pin(place, serial);
        let Ok(refused) = refused.try_lock() else { return false };
        refused.is_some() && stamp(place).ok() == *refused
    }

    /// Runs `work` on a session of its own.
    pub(super) fn run<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Failed> {
        self.library.with_session(self.slot, self.generation, work)
    }

    /// The same, for those who can't do anything about it.
    pub(crate) fn with_session<T>(&self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, VaultError> {
        self.run(work).map_err(|failed| self.trouble("it did not do what was asked of it", failed.said()))
    }

    /// Gives up its sessions, which may have ended. Tells the generation of the library now.
    pub(super) fn forget_sessions(&self) -> u64 {
        self.library.forget_sessions(self.slot);
        self.library.generation()
    }

    /// Notes that it did what this municipality asked of it.
    pub(super) fn note_use(&self, municipality: &MunicipalityCode) {
        self.library.note_use(municipality);
    }

    /// Lets the library look for tokens anew, unless that was done since this generation. `false`
    /// where others use it.
    pub(super) fn initialize_again(
        &self,
        generation: u64,
        municipality: &MunicipalityCode,
    ) -> Result<bool, VaultError> {
        let again = self.library.initialize_again(generation, municipality);
        again.map_err(|error| self.trouble("its library can't be initialised again", Some(error.to_string())))
    }

    /// The first object of a class with this label.
    pub(crate) fn find(&self, label: &str, class: ObjectClass) -> Result<Option<ObjectHandle>, VaultError> {
        self.with_session(|session| {
            let template = [Attribute::Class(class), Attribute::Label(label.into())];
            Ok(session.find_objects(&template)?.first().copied())
        })
    }

    pub(crate) fn trouble(&self, what: &'static str, cause: Option<String>) -> VaultError {
        VaultError::Token { token: self.label.clone(), what, cause }
    }
}

// === impl Failed ===

impl Failed {
    fn is_refused_pin(&self) -> bool {
        use RvError::{PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked};
        matches!(self, Self::Said(Error::Pkcs11(PinExpired | PinIncorrect | PinInvalid | PinLenRange | PinLocked, _)))
    }

    /// What the token said, in one line.
    pub(super) fn said(self) -> Option<String> {
        match self {
            Self::Stale => None,
            Self::Said(error) => Some(error.to_string()),
        }
    }
}

fn refused_pin(place: &TokenPlace, serial: &str) -> RefusedPin {
    let mut known = REFUSED_PINS.lock().unwrap_or_else(PoisonError::into_inner);
    let of_token = (place.pin_file.clone(), serial.to_owned());
    Arc::clone(known.get_or_insert_default().entry(of_token).or_default())
}

fn pin(place: &TokenPlace) -> Result<(AuthPin, Stamp), VaultError> {
    let path = &place.pin_file;
    let failed = |source| VaultError::PinFile { token: place.label.clone(), path: path.clone(), source };
    let stamp = stamp(place).map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    private_file::open(path)?.read_to_string(&mut text).map_err(failed)?;
    Ok((AuthPin::new(text.trim_end_matches(['\r', '\n']).into()), stamp))
}

fn stamp(place: &TokenPlace) -> std::io::Result<Stamp> {
    let metadata = fs::metadata(&place.pin_file)?;
    Ok((metadata.modified()?, metadata.len(), metadata.ino()))
}
