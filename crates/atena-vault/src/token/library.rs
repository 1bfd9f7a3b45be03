//! The library of a token's maker (PKCS #11). A process can initialise it only once, and several municipalities may use it.
//!
//! Some libraries find a token that was away only after they are initialised anew, which makes every session and handle of this process
//! invalid. So both have a generation here, and nobody uses one of an older generation.

use std::collections::HashMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::{Duration, Instant};

use atena_domain::MunicipalityCode;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

/// How long the library waits for those who use it until it is not initialised anew after all: one
/// may hang in it.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// How recently another municipality has used it so that it is spared.
const IN_USE: Duration = Duration::from_secs(5);

/// How long it is spared then: each new beginning ends the sessions of all.
const SPARED: Duration = Duration::from_secs(20);

/// A library that is loaded.
pub(super) struct Library {
    pkcs11: Pkcs11,
    /// Read by those who use it, written to initialise it anew.
    state: RwLock<State>,
    /// Whether it is about to be initialised anew: who comes now waits a moment.
    draining: Mutex<bool>,
    /// Told when that ends, and when a user leaves meanwhile.
    drained: Condvar,
    /// When each municipality used it successfully the last time.
    used: Mutex<HashMap<MunicipalityCode, Instant>>,
}

struct State {
    generation: u64,
    initialized: Instant,
    /// Sessions that are not in use; a session serves one thread at a time. The first of a slot stays, because signing out comes with
    /// the last.
    sessions: Mutex<HashMap<Slot, Vec<Session>>>,
}

/// A library that is in use: it is not initialised anew meanwhile.
struct Used<'l> {
    // Dropped first.
    state: RwLockReadGuard<'l, State>,
    _leaving: Leaving<'l>,
}

/// Tells that a user has left.
struct Leaving<'l>(&'l Library);

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
        let state = State { generation: 0, initialized: Instant::now(), sessions: Mutex::default() };
        let (state, draining, used) = (RwLock::new(state), Mutex::default(), Mutex::default());
        let library = Arc::new(Self { pkcs11, state, draining, drained: Condvar::new(), used });
        known.insert(module.to_owned(), Arc::clone(&library));
        Ok(library)
    }

    /// Which generation it is, for what is found now.
    pub(super) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Runs `work` on the library itself.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Pkcs11) -> Result<T, Error>) -> Result<T, Error> {
        let _used = self.state();
        work(&self.pkcs11)
    }

    /// Runs `work` on a session of its own. A session that fails in a way that may be its own end is not used again.
    pub(super) fn with_session<T>(
        &self,
        slot: Slot,
        generation: u64,
        work: impl FnOnce(&Session) -> Result<T, Error>,
    ) -> Result<T, Failed> {
        let state = self.state();
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
        let state = self.state();
        let forgotten = state.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
        drop(forgotten);
    }

    /// Notes that this municipality has used it, so that it is not taken away without need.
    pub(super) fn note_use(&self, municipality: &MunicipalityCode) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match used.get_mut(municipality) {
            Some(at) => *at = Instant::now(),
            None => drop(used.insert(municipality.clone(), Instant::now())),
        }
    }

    /// Initialises it anew for a municipality, unless that was done since `generation`. `false`
    /// where others use it, and it was done a moment ago.
    pub(super) fn initialize_again(&self, generation: u64, municipality: &MunicipalityCode) -> Result<bool, Error> {
        if self.generation() != generation {
            return Ok(true);
        }
        if self.serves_others_than(municipality) && self.state().initialized.elapsed() < SPARED {
            return Ok(false);
        }
        let mut draining = self.draining();
        if *draining {
            return Ok(false);
        }
        *draining = true;
        let done = self.initialize_drained(generation, draining);
        *self.draining() = false;
        self.drained.notify_all();
        done
    }

    /// The same, once it is not in use. It is never waited for as a writer: one call that hangs
    /// would keep all others waiting.
    fn initialize_drained(&self, generation: u64, mut draining: MutexGuard<'_, bool>) -> Result<bool, Error> {
        let since = Instant::now();
        let mut state = loop {
            match self.state.try_write() {
                Ok(state) => break state,
                Err(TryLockError::Poisoned(state)) => break state.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
            let Some(left) = DRAIN_MAX.checked_sub(since.elapsed()) else { return Ok(false) };
            let waited = self.drained.wait_timeout(draining, left);
            draining = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(draining);
        if state.generation != generation {
            return Ok(true);
        }
        // Before the library forgets them: the number of an old session may be that of a new one.
        state.sessions = Mutex::default();
        state.generation += 1;
        state.initialized = Instant::now();
        // A library that can't be ended is perhaps none that was begun.
        let _ = self.pkcs11.clone().finalize();
        initialize(&self.pkcs11).map(|()| true)
    }

    fn serves_others_than(&self, municipality: &MunicipalityCode) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().any(|(user, at)| user != municipality && at.elapsed() < IN_USE)
    }

    fn state(&self) -> Used<'_> {
        let (since, mut draining) = (Instant::now(), self.draining());
        while *draining && let Some(left) = DRAIN_MAX.checked_sub(since.elapsed()) {
            let waited = self.drained.wait_timeout(draining, left);
            draining = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(draining);
        Used { state: self.state.read().unwrap_or_else(PoisonError::into_inner), _leaving: Leaving(self) }
    }

    fn draining(&self) -> MutexGuard<'_, bool> {
        self.draining.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Used ===

impl Deref for Used<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

// === impl Leaving ===

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if *self.0.draining() {
            self.0.drained.notify_all();
        }
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
