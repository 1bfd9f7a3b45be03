//! What a file that can't be used takes away all the same: a revocation is never held up by what else is wrong.
//!
//! Nothing is added here. Everything is reported in the log, in the admin log if that can be written,
//! and by a counter. The report comes afterwards, because an admin log in trouble would hold the
//! revocation up. The rest of the file waits until it can be used as a whole.

use std::path::Path;

use tokio::runtime::Handle;

use crate::admin::Action;
use crate::door::Door;
use crate::hall::Hall;

/// What was taken away and not told yet.
#[must_use]
pub(crate) struct Taken {
    action: Action,
    what: &'static str,
    each: Vec<String>,
}

/// Takes from the rules in force what the file takes away.
pub(crate) fn rules(hall: &Hall, file: &Path, settled: bool) -> Option<Taken> {
    // A file that can't be read says nothing.
    let file = std::fs::read(file).ok()?;
    let from = hall.policy_hash();
    let left = match hall.policy().restricted_by(&file, settled, &hall.catalog, hall.today()) {
        Ok(left) => left?,
        Err(error) => {
            tracing::error!(%error, "what the new rules take away can't be taken away alone: mend the file");
            return None;
        }
    };
    let to = left.policy.hash();
    if let Err(error) = hall.change_policy(left.policy) {
        tracing::error!(%error, "nothing was taken away");
        return None;
    }
    if let Some(error) = left.untaken {
        tracing::error!(%error, "only systems were revoked; what else the new rules take away waits: mend the file");
    }
    Some(Taken { action: Action::ChangeRules { from, to }, what: "rules", each: left.taken })
}

/// The same of the accounts.
pub(crate) fn accounts(hall: &Hall, file: &Path, settled: bool) -> Option<Taken> {
    let left = hall.people.accounts().restricted_by(&std::fs::read(file).ok()?, settled)?;
    hall.people.change(left.accounts);
    Some(Taken { action: Action::ChangeAccounts, what: "accounts", each: left.taken })
}

/// The same of the certificates: what revocation lists name, and authorities that are gone.
pub(crate) fn certificates(door: &Door) -> Option<Taken> {
    door.change(door.read_less()?);
    let each = vec!["what the revocation lists name that can be read is revoked".to_owned()];
    Some(Taken { action: Action::ReloadCertificates, what: "certificates", each })
}

// === impl Taken ===

impl Taken {
    /// Reports it. An admin log that can't be written does not undo it.
    pub(crate) fn tell(self, hall: &Hall) {
        let what = self.what;
        for taken in &self.each {
            tracing::warn!("taken away at once, though the new {what} are refused: {taken}");
        }
        hall.metrics.taken_away(what, self.each.len() as u64);
        let recorded = Handle::current().block_on(async {
            let begun = hall.admin.begin(self.action).await?;
            hall.admin.end(begun, 0).await
        });
        if let Err(error) = recorded {
            tracing::error!(%error, "what was taken away is not in the admin log");
        }
    }
}
