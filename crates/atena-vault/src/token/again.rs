//! A token that goes away and comes back: pulled out, switched off, its network down, its sessions ended.
//!
//! A use that fails for such a reason looks for the token once, at once: a session may merely have
//! ended. Others wait a moment for that. If it takes longer or fails, all uses are refused without
//! a look, because a look may take long and a call may hold others up. From then on only
//! [`TokenKeys::probe_token`] looks for it, with ever longer pauses: a bounded number of tries,
//! however many calls there are. The keys must be those of before, in the same token.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use cryptoki::error::Error;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

use super::library::Failed;
use super::opened::Opened;
use super::{Token, TokenKeys, TokenPlace};
use crate::error::VaultError;

/// Pause after the first try in vain; each one after it is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause: so long a token that is back may have to wait.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// How long others wait for the first look.
const FIRST_LOOK: Duration = Duration::from_millis(300);

/// How long a probe may wait for an answer until the token counts as away.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Told of the last try while it is under way.
const LOOKING: &str = "under way";

/// A token that is away.
pub(super) struct Away {
    /// Why it was not found the last time.
    why: String,
    pause: Duration,
    next_try: Instant,
}

// === impl TokenKeys ===

impl TokenKeys {
    /// Runs `work` on a session, with the key that `find` names.
    pub(super) fn with<T>(
        &self,
        find: impl Fn(&Opened) -> Option<ObjectHandle>,
        work: impl Fn(&Session, ObjectHandle) -> Result<T, Error>,
    ) -> Result<T, VaultError> {
        if self.is_away() && !self.is_found_soon() {
            return Err(self.away_error());
        }
        let known = self.known.load_full();
        let run = |opened: &Opened| {
            let key = find(opened).ok_or(VaultError::UnknownKey)?;
            Ok::<_, VaultError>(opened.token.run(|session| work(session, key)))
        };
        match run(&known)? {
            Ok(done) => {
                known.token.note_use(&self.municipality);
                return Ok(done);
            }
            Err(failed) if !failed.is_loss() => return Err(trouble(&known.token, failed)),
            Err(_) => {}
        }
        let found = self.find_again(&known)?;
        run(&found)?.map_err(|failed| {
            // A wrong request says nothing of the token.
            if !failed.is_loss() {
                return trouble(&found.token, failed);
            }
            self.note_away(&trouble(&found.token, failed));
            self.away_error()
        })
    }

    /// Whether the token answers, and has the same keys. Where it is away and a try is due, it is
    /// looked for.
    pub(super) fn probe_token(&self) -> Result<(), VaultError> {
        *since(&self.probing) = Some(Instant::now());
        let probed = self.prove_token();
        *since(&self.probing) = None;
        probed
    }

    fn prove_token(&self) -> Result<(), VaultError> {
        if self.is_away() {
            self.find_again(&self.known.load_full())?;
        }
        let same = self.with(
            |opened| Some(opened.derivation),
            |session, derivation| self.known.load().prove(session, derivation),
        )?;
        if !same {
            // Under other keys people would be issued a second number.
            self.note_away(&self.trouble("it has other keys than before; what is stored does not open with them"));
            return Err(self.away_error());
        }
        Ok(())
    }

    fn is_away(&self) -> bool {
        // Not by the lock, which the one who looks for the token holds.
        self.known_away.load(Ordering::Acquire) || self.hangs()
    }

    /// Whether a probe has no answer: each call would hold a thread as well.
    fn hangs(&self) -> bool {
        since(&self.probing).is_some_and(|since| since.elapsed() >= ANSWER_MAX)
    }

    /// Waits a moment for the first look after a use that failed: mostly, only sessions have ended.
    fn is_found_soon(&self) -> bool {
        let mut looking = since(&self.first_look);
        while let Some(left) = looking.and_then(|since| FIRST_LOOK.checked_sub(since.elapsed())) {
            let waited = self.looked.wait_timeout(looking, left);
            looking = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(looking);
        !self.is_away()
    }

    /// Finds the token again, unless that was done since `stale` or it is too early for another
    /// try. One caller looks: a look may take long, and may never end.
    fn find_again(&self, stale: &Arc<Opened>) -> Result<Arc<Opened>, VaultError> {
        let mut away = match self.away.try_lock() {
            Ok(away) => away,
            Err(TryLockError::Poisoned(away)) => away.into_inner(),
            Err(TryLockError::WouldBlock) if self.is_found_soon() => return Ok(self.known.load_full()),
            Err(TryLockError::WouldBlock) => return Err(self.error(LOOKING)),
        };
        let known = self.known.load_full();
        let now = Instant::now();
        match away.as_ref() {
            None if !Arc::ptr_eq(&known, stale) => return Ok(known),
            Some(away) if now < away.next_try => return Err(self.error(&away.why)),
            _ => {}
        }
        *since(&self.first_look) = away.is_none().then_some(now);
        self.known_away.store(true, Ordering::Release);
        let found = match self.look_for_it(&known) {
            Ok(found) => {
                let found = Arc::new(found);
                self.known.store(Arc::clone(&found));
                *away = None;
                self.known_away.store(false, Ordering::Release);
                Ok(found)
            }
            Err(error) => {
                let now = Away::after(away.take(), &error);
                // The same words each time, so that the operator reads them once.
                let error = self.error(&now.why);
                *away = Some(now);
                Err(error)
            }
        };
        *since(&self.first_look) = None;
        self.looked.notify_all();
        found
    }

    fn look_for_it(&self, before: &Opened) -> Result<Opened, VaultError> {
        if Token::pin_is_refused(&self.place, before.token.serial()) {
            return Err(self.trouble("it did not take the PIN, which is not tried again until pin_file changes"));
        }
        let generation = before.token.forget_sessions();
        match self.find_same(before) {
            Ok(found) => Ok(found),
            Err(error) if Token::pin_is_refused(&self.place, before.token.serial()) => Err(error),
            // Some libraries see that a token is back only after a new beginning, which ends the
            // sessions of all municipalities.
            Err(error) => match before.token.initialize_again(generation, &self.municipality)? {
                true => self.find_same(before),
                false => Err(error),
            },
        }
    }

    fn find_same(&self, before: &Opened) -> Result<Opened, VaultError> {
        // Another token in its place is not even shown the PIN.
        let place = TokenPlace { serial: Some(before.token.serial().to_owned()), ..self.place.clone() };
        let found = Opened::find(&place, &self.municipality)?;
        found.pin_down(&self.place, &self.municipality)?;
        found.continues(before)?;
        Ok(found)
    }

    fn note_away(&self, error: &VaultError) {
        self.known_away.store(true, Ordering::Release);
        // Where another caller looks for it, that one notes what it finds.
        if let Ok(mut away) = self.away.try_lock() {
            *away = Some(Away::after(away.take(), error));
        }
    }

    fn away_error(&self) -> VaultError {
        match self.away.try_lock() {
            Ok(away) => self.error(away.as_ref().map_or("it does not answer", |away| &away.why)),
            Err(_) => self.error(LOOKING),
        }
    }

    fn error(&self, why: &str) -> VaultError {
        let what = "it is away and looked for again every few seconds; the last try";
        VaultError::Token { token: self.place.label.clone(), what, cause: Some(why.to_owned()) }
    }
}

fn since(moment: &Mutex<Option<Instant>>) -> MutexGuard<'_, Option<Instant>> {
    moment.lock().unwrap_or_else(PoisonError::into_inner)
}

fn trouble(token: &Token, failed: Failed) -> VaultError {
    token.trouble("it did not do what was asked of it", failed.said())
}

// === impl Away ===

impl Away {
    fn after(before: Option<Self>, error: &VaultError) -> Self {
        let pause = before.map_or(PAUSE_MIN, |before| (before.pause * 2).min(PAUSE_MAX));
        Self { why: error.to_string(), pause, next_try: Instant::now() + pause }
    }
}
