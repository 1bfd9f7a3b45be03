//! The library of a token's maker (PKCS #11). A process can initialise it only once, and several municipalities may use it.
//!
//! Some libraries find a token that was away only after they are initialised anew, which makes every session and handle of this process
//! invalid. So both have a generation here, and nobody uses one of an older generation.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

/// A library that is loaded.
pub(super) struct Library {
    pkcs11: Pkcs11,
    /// Read by those who use it, written to initialise it anew.
    state: RwLock<State>,
}

struct State {
    generation: u64,
    /// Sessions that are not in use; a session serves one thread at a time. The first of a slot stays, because signing out comes with
    /// the last.
    sessions: Mutex<HashMap<Slot, Vec<Session>>>,
}

/// Why something was not done.
pub(super) enum Failed {
    /// The library was initialised anew since.
    Stale,
    /// What it said.
    Said(Error),
}

static LIBRARIES: Mutex<Option<HashMap<PathBuf, Arc<Library>>>> = Mutex::new(None);

// === impl Library ===

impl Library {
    /// The library in this file.
    pub(super) fn load(module: &Path) -> Result<Arc<Self>, Error> {
        let mut known = LIBRARIES.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if let Some(library) = known.get(module) {
            return Ok(Arc::clone(library));
        }
        let pkcs11 = Pkcs11::new(module)?;
        initialize(&pkcs11)?;
        let state = RwLock::new(State { generation: 0, sessions: Mutex::default() });
        let library = Arc::new(Self { pkcs11, state });
        known.insert(module.to_owned(), Arc::clone(&library));
        Ok(library)
    }

    /// Which generation it is, for what is found now.
    pub(super) fn generation(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Runs `work` on the library itself.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Pkcs11) -> Result<T, Error>) -> Result<T, Error> {
        let _used = self.state.read().unwrap_or_else(PoisonError::into_inner);
        work(&self.pkcs11)
    }

    /// Runs `work` on a session of its own. A session that fails in a way that may be its own end is not used again.
    pub(super) fn with_session<T>(
        &self,
        slot: Slot,
        generation: u64,
        work: impl FnOnce(&Session) -> Result<T, Error>,
    ) -> Result<T, Failed> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.generation != generation {
            return Err(Failed::Stale);
        }
        let free = || state.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = free().get_mut(&slot).and_then(Vec::pop);
        let session = session.map_or_else(|| self.pkcs11.open_rw_session(slot), Ok).map_err(Failed::Said)?;
        let done = work(&session).map_err(Failed::Said);
        if !done.as_ref().err().is_some_and(Failed::is_loss) {
            free().entry(slot).or_default().push(session);
        }
        done
    }

    /// Forgets the sessions of a slot: they may have ended.
    pub(super) fn forget_sessions(&self, slot: Slot) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let forgotten = state.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
        drop(forgotten);
    }

    /// Initialises it anew, unless that was done since `generation`.
    pub(super) fn initialize_again(&self, generation: u64) -> Result<(), Error> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation != generation {
            return Ok(());
        }
        // Before the library forgets them: the number of an old session may be that of a new one.
        state.sessions = Mutex::default();
        state.generation += 1;
        // A library that can't be ended is perhaps none that was begun.
        let _ = self.pkcs11.clone().finalize();
        initialize(&self.pkcs11)
    }
}

fn initialize(pkcs11: &Pkcs11) -> Result<(), Error> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        initialized => initialized,
    }
}

// === impl Failed ===

impl Failed {
    /// Whether it says that the token, the session or the handle is not there (any more), rather than that a request was wrong.
    pub(super) fn is_loss(&self) -> bool {
        match self {
            Self::Stale => true,
            Self::Said(Error::Pkcs11(what, _)) => matches!(
                what,
                RvError::CryptokiNotInitialized
                    | RvError::DeviceError
                    | RvError::DeviceMemory
                    | RvError::DeviceRemoved
                    | RvError::FunctionFailed
                    | RvError::GeneralError
                    | RvError::KeyHandleInvalid
                    | RvError::ObjectHandleInvalid
                    | RvError::SessionClosed
                    | RvError::SessionHandleInvalid
                    | RvError::SlotIdInvalid
                    | RvError::TokenNotPresent
                    | RvError::TokenNotRecognized
                    | RvError::UserNotLoggedIn
                    | RvError::VendorDefined(_)
            ),
            Self::Said(_) => false,
        }
    }
}
