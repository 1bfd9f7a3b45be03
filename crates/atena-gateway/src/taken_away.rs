//! What a file that can't be used takes away all the same: a revocation is never held up by what else is wrong.
//!
//! Nothing is added here, and everything is told: in the log, in the admin log where that can be written, and by a counter. The rest of
//! the file waits until it can be used as a whole.

use std::path::Path;

use tokio::runtime::Handle;

use crate::admin::Action;
use crate::door::Door;
use crate::hall::Hall;

/// Takes from the rules in force what the file takes away. Whether anything changed.
pub(crate) fn rules(hall: &Hall, file: &Path, settled: bool) -> bool {
    // A file that can't be read says nothing.
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    let left = match hall.policy().restricted_by(&text, settled, &hall.catalog, hall.today()) {
        Ok(Some(left)) => left,
        Ok(None) => return false,
        Err(error) => {
            tracing::error!(%error, "what the refused rules take away can't be taken away alone: mend the file");
            return false;
        }
    };
    let (from, to) = (hall.policy_hash(), left.policy.hash());
    in_any_case(hall, Action::ChangeRules { from, to }, || {
        if let Err(error) = hall.change_policy(left.policy) {
            tracing::error!(%error, "nothing was taken away");
        }
    });
    tell(hall, "rules", &left.taken);
    true
}

/// The same of the accounts.
pub(crate) fn accounts(hall: &Hall, file: &Path, settled: bool) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    let Some(left) = hall.people.accounts().restricted_by(&text, settled) else { return false };
    hall.people.change(left.accounts);
    tell(hall, "accounts", &left.taken);
    true
}

/// The same of the certificates: revocation lists that can be read, and authorities that are gone.
pub(crate) fn certificates(hall: &Hall, door: &Door) -> bool {
    let Some(tls) = door.read_less() else { return false };
    in_any_case(hall, Action::ReloadCertificates, || door.change(tls));
    tell(hall, "certificates", &["the revocation lists that can be read are in force".to_owned()]);
    true
}

fn tell(hall: &Hall, what: &'static str, taken: &[String]) {
    for taken in taken {
        tracing::warn!("taken away at once, though the new {what} are refused: {taken}");
    }
    hall.metrics.taken_away(what, taken.len() as u64);
}

/// Does something and records it, or does it without a record: an admin log that can't be written keeps nobody in.
fn in_any_case(hall: &Hall, action: Action, change: impl FnOnce()) {
    Handle::current().block_on(async {
        let begun = hall.admin.begin(action).await;
        change();
        let recorded = match begun {
            Ok(begun) => hall.admin.end(begun, 0).await,
            Err(error) => Err(error),
        };
        if let Err(error) = recorded {
            tracing::error!(%error, "what was taken away is not in the admin log");
        }
    });
}
