//! Certificates, revocation lists, rules and accounts are read again when their files change: nothing has to be restarted, and no call is dropped
//! for it.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use atena_domain::SystemId;
use atena_policy::System;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::admin::{Action, AdminError};
use crate::clock;
use crate::config::Config;
use crate::door::{Door, Named, TlsError};
use crate::hall::{Hall, OtherMunicipality};
use crate::load::{LoadError, read_accounts, read_policy};
use crate::taken_away::{self, Taken};

/// How often the files are looked at. A revoked certificate is cut off within a second: this, and the time to read a list.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How often open connections are looked at though no file changed: certificates and lists also run out.
const LOOK_AGAIN_INTERVAL: Duration = Duration::from_secs(10);

/// At how many looks a file has to be the same until what is absent from it counts as taken out.
const LOOKS_SETTLED: u32 = 2;

/// How often the time left is measured.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// How often the operator is told again.
const WARNING_INTERVAL: Duration = Duration::from_secs(86_400);

/// Files, as they were when they were looked at last.
pub(crate) struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
    /// Why they could not be used the last time: they are tried until they can.
    trouble: Option<String>,
    /// How often they were tried since they changed.
    looks: u32,
}

/// Why files that changed can't be used.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    /// Rules or accounts.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Rules of another municipality.
    #[error(transparent)]
    OtherMunicipality(#[from] OtherMunicipality),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The admin log, without which nothing is changed.
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// What a look at files came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Same,
    Anew,
    Refused,
}

/// What changes when a file is written or replaced.
type Stamp = (SystemTime, u64, u64);

/// The files of a gateway that may change while it runs.
pub(crate) struct Reload {
    policy_file: PathBuf,
    certificates: Watched,
    rules: Watched,
    accounts: Option<(PathBuf, Watched)>,
}

/// What was taken away at the first look at files that changed.
struct First {
    certificates: Option<Taken>,
    rules: Option<Taken>,
    accounts: Option<Taken>,
}

// === impl Reload ===

impl Reload {
    /// To be made before the files are read for the first time.
    pub(crate) fn of(config: &Config) -> Self {
        let tls = &config.tls;
        let mut certificates = vec![tls.certificate.clone(), tls.key.clone(), tls.client_ca.clone()];
        certificates.extend(tls.client_crls.iter().cloned());
        Self {
            policy_file: config.policy_file.clone(),
            certificates: Watched::now(certificates),
            rules: Watched::now(vec![config.policy_file.clone()]),
            accounts: config
                .people
                .as_ref()
                .map(|people| (people.file.clone(), Watched::now(vec![people.file.clone()]))),
        }
    }

    /// Looks until stopped.
    pub(crate) async fn run(mut self, hall: Arc<Hall>, door: Arc<Door>, stop: CancellationToken) {
        let (mut looked_again, mut measured, mut warned) = (Instant::now(), None::<Instant>, None::<Instant>);
        loop {
            if warned.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL) {
                warned = Some(Instant::now());
                door.expiries().iter().for_each(|expiry| expiry.warn(clock::now()));
            }
            if measured.is_none_or(|at| at.elapsed() >= EXPIRY_INTERVAL) {
                measured = Some(Instant::now());
                door.expiries().iter().for_each(|expiry| hall.metrics.expiry(expiry, clock::now()));
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => (),
            }
            let again = looked_again.elapsed() >= LOOK_AGAIN_INTERVAL;
            if again {
                looked_again = Instant::now();
            }
            let (hall, door) = (Arc::clone(&hall), Arc::clone(&door));
            // Files and signatures: neither belongs on a thread that serves calls.
            let look = tokio::task::spawn_blocking(move || {
                let renewed = self.look(&hall, &door, again);
                (self, renewed)
            });
            let Ok((back, renewed)) = look.await else {
                tracing::error!("certificates and rules are not watched any more: restart the gateway");
                return;
            };
            self = back;
            if renewed {
                (measured, warned) = (None, None);
            }
        }
    }

    /// Whether certificates were read anew.
    fn look(&mut self, hall: &Hall, door: &Door, again: bool) -> bool {
        let from = hall.policy_hash();
        // First without the admin log: a database in trouble keeps its writers waiting, and no
        // revocation.
        let first = self.take_away(hall, door);
        let read = self.certificates.read("certificates", || {
            let tls = door.read()?;
            recorded(hall, Action::ReloadCertificates, || {
                door.change(tls);
                Ok(())
            })
        });
        if read == Look::Refused {
            let now = self.certificates.waits().then(|| taken_away::certificates(door)).flatten();
            first.certificates.into_iter().chain(now).for_each(|taken| taken.tell(hall));
        }
        if read != Look::Anew && again {
            door.look_again();
        }
        hall.metrics.refused_file("certificates", self.certificates.trouble.is_some());
        self.look_at_rules(hall, door, from, first.rules);
        let accounts = self.look_at_accounts(hall, first.accounts);
        // An account also ends by itself.
        if accounts || again {
            cut_ended(hall, door);
        }
        read == Look::Anew
    }

    /// Takes away what files take away that have changed just now, whether they can be used or not.
    fn take_away(&self, hall: &Hall, door: &Door) -> First {
        let certificates = self.certificates.changed().then(|| taken_away::certificates(door)).flatten();
        let rules = self.rules.changed().then(|| taken_away::rules(hall, &self.policy_file, false)).flatten();
        if rules.is_some() {
            cut_revoked(hall, door);
        }
        let changed = self.accounts.as_ref().filter(|(_, watched)| watched.changed());
        let accounts = changed.and_then(|(file, _)| taken_away::accounts(hall, file, false));
        if accounts.is_some() {
            cut_ended(hall, door);
        }
        First { certificates, rules, accounts }
    }

    /// `from`: the hash of the rules that were in force before this look.
    fn look_at_rules(&mut self, hall: &Hall, door: &Door, from: [u8; 32], first: Option<Taken>) {
        let policy_file = &self.policy_file;
        let read = self.rules.read("rules", || -> Result<(), ReloadError> {
            let policy = read_policy(policy_file)?;
            let to = policy.hash();
            if from == to {
                return Ok(hall.change_policy(policy)?);
            }
            recorded(hall, Action::ChangeRules { from, to }, || Ok(hall.change_policy(policy)?))
        });
        let mut changed = read == Look::Anew;
        if read == Look::Refused {
            let settled = self.rules.settled();
            let now = self.rules.waits().then(|| taken_away::rules(hall, policy_file, settled)).flatten();
            changed = now.is_some();
            if changed {
                cut_revoked(hall, door);
            }
            for taken in first.into_iter().chain(now) {
                taken.tell(hall);
                changed = true;
            }
        } else if changed {
            cut_revoked(hall, door);
        }
        if changed {
            tell_warnings(hall);
        }
        hall.metrics.refused_file("rules", self.rules.trouble.is_some());
    }

    fn look_at_accounts(&mut self, hall: &Hall, first: Option<Taken>) -> bool {
        let Some((file, watched)) = self.accounts.as_mut() else { return false };
        let read = watched.read("accounts", || {
            let accounts = read_accounts(file)?;
            recorded(hall, Action::ChangeAccounts, || {
                hall.people.change(accounts);
                Ok(())
            })
        });
        let mut changed = read == Look::Anew;
        if read == Look::Refused {
            let now = watched.waits().then(|| taken_away::accounts(hall, file, watched.settled())).flatten();
            for taken in first.into_iter().chain(now) {
                taken.tell(hall);
                changed = true;
            }
        }
        hall.metrics.refused_file("accounts", watched.trouble.is_some());
        changed
    }
}

/// Ends the connections of systems that are revoked or not registered.
fn cut_revoked(hall: &Hall, door: &Door) {
    let (policy, code) = (hall.policy(), hall.municipality_code().as_str());
    door.cut_soon(|peer| match peer.named(code) {
        Some(Named::System(id)) => {
            SystemId::parse(id).ok().and_then(|id| policy.system(&id)).is_none_or(System::revoked)
        }
        Some(Named::Person(_)) | None => false,
    });
}

/// Ends the connections of people whose accounts have ended.
fn cut_ended(hall: &Hall, door: &Door) {
    let (code, today) = (hall.municipality_code().as_str(), hall.today());
    door.cut(|peer| hall.people.gone(peer, code, today));
}

/// Tells what of the rules releases less than it seems to.
pub(crate) fn tell_warnings(hall: &Hall) {
    hall.policy().warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
}

/// Changes something between the records of its beginning and its end. Called on a thread that may wait.
fn recorded(hall: &Hall, action: Action, change: impl FnOnce() -> Result<(), ReloadError>) -> Result<(), ReloadError> {
    Handle::current().block_on(hall.admin.during(action, async { change() }, |()| 0))
}

// === impl Watched ===

impl Watched {
    fn now(files: Vec<PathBuf>) -> Self {
        let seen = files.iter().map(stamp).collect();
        Self { files, seen, trouble: None, looks: 0 }
    }

    /// Whether the files are others than at the last look.
    fn changed(&self) -> bool {
        self.files.iter().zip(&self.seen).any(|(file, seen)| stamp(file) != *seen)
    }

    /// Reads the files if they changed, or if they could not be used the last time. What is in force stays in force until they can: two
    /// files that belong together are not replaced at one instant, and a slip of the pen must not stop a town hall. What they only take
    /// away does not wait for that: see [`Self::waits`].
    fn read<E: Display>(&mut self, what: &'static str, read: impl FnOnce() -> Result<(), E>) -> Look {
        let now: Vec<_> = self.files.iter().map(stamp).collect();
        let changed = now != self.seen;
        if !changed && self.trouble.is_none() {
            return Look::Same;
        }
        self.seen = now;
        self.looks = if changed { 1 } else { self.looks.saturating_add(1) };
        match read() {
            Ok(()) => {
                tracing::info!("{what} read anew");
                self.trouble = None;
                Look::Anew
            }
            Err(error) => {
                let trouble = error.to_string();
                if self.trouble.as_ref() != Some(&trouble) {
                    let stays = "those read before stay in force, less what the new ones take away";
                    tracing::error!("the new {what} can't be used, {stays}: {trouble}");
                }
                self.trouble = Some(trouble);
                Look::Refused
            }
        }
    }

    /// Whether files that can't be used are to be looked at for what they take away: when they have changed, and once more when that is
    /// over.
    fn waits(&self) -> bool {
        self.trouble.is_some() && self.looks <= LOOKS_SETTLED
    }

    /// Whether the files were the same at two looks: nothing is writing them.
    fn settled(&self) -> bool {
        self.looks >= LOOKS_SETTLED
    }
}

fn stamp(file: &PathBuf) -> Option<Stamp> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_changed_and_tried_again_until_they_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "one").unwrap();
        let mut watched = Watched::now(vec![file.clone()]);
        let unchanged = || -> Result<(), String> { unreachable!("nothing changed") };
        assert_eq!(watched.read("files", unchanged), Look::Same);
        fs::write(&file, "broken").unwrap();
        assert_eq!(watched.read("files", || Err("broken".to_owned())), Look::Refused);
        // What it takes away is looked for at once, and again when nothing is writing it any more; then no more.
        assert!(watched.waits() && !watched.settled());
        assert_eq!(watched.read("files", || Err("broken".to_owned())), Look::Refused);
        assert!(watched.waits() && watched.settled());
        assert_eq!(watched.read("files", || Err("broken".to_owned())), Look::Refused);
        assert!(!watched.waits());
        assert_eq!(watched.read("files", || Ok::<_, String>(())), Look::Anew);
        assert!(!watched.waits());
        assert_eq!(watched.read("files", unchanged), Look::Same);
        fs::remove_file(&file).unwrap();
        assert_eq!(watched.read("files", || Err("gone".to_owned())), Look::Refused);
        assert!(watched.waits() && !watched.settled());
    }
}
