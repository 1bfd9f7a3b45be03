//! What a file of accounts that can't be used takes away all the same: an account that ends there, ends.

use toml::{Table, Value};

use super::{Account, Accounts};
use crate::restrict::{blocks_of, day_of, listed, text_of};

/// Accounts from which something was taken away.
#[derive(Debug)]
pub struct RestrictedAccounts {
    /// What is left.
    pub accounts: Accounts,
    /// What was taken away, one sentence each.
    pub taken: Vec<String>,
}

// === impl Accounts ===

impl Accounts {
    /// What is left of these accounts when everything that `text` takes away is taken from them; `None` where that is nothing.
    ///
    /// `text` is a `people.toml` that is refused as a whole. What it narrows (a role, a last day, a way to sign in) is narrowed where
    /// that part can be read, even where the rest is no TOML. An account that is absent from it is taken away only where the text is TOML
    /// as a whole, and `settled` says that the file is not being written just now.
    #[must_use]
    pub fn restricted_by(&self, text: &str, settled: bool) -> Option<RestrictedAccounts> {
        let (entries, complete) = match toml::from_str::<Table>(text) {
            Ok(table) => {
                let entries = tables(&table)?;
                let named = entries.iter().all(|entry| text_of(entry, "id").is_some());
                let complete = settled && named && !entries.is_empty();
                (entries, complete)
            }
            Err(_) => (blocks_of(text, "account"), false),
        };
        let (mut by_id, mut taken) = (self.by_id.clone(), Vec::new());
        by_id.retain(|id, account| {
            let mut entries = entries.iter().filter(|entry| text_of(entry, "id") == Some(id.as_str())).peekable();
            if entries.peek().is_none() && complete {
                taken.push(format!("account {:?} is no longer there", id.as_str()));
                return false;
            }
            entries.for_each(|entry| restrict(account, entry, complete, &mut taken));
            true
        });
        (!taken.is_empty()).then_some(RestrictedAccounts { accounts: Self { by_id }, taken })
    }
}

/// Narrows one account. `whole` says that a key that is absent from the entry is really absent.
fn restrict(account: &mut Account, entry: &Table, whole: bool, taken: &mut Vec<String>) {
    let place = format!("account {:?}", account.id.as_str());
    let mut narrow = |what: String| taken.push(format!("{place} {what}"));
    if let Some(roles) = listed(entry, "roles").filter(|_| whole || entry.contains_key("roles")) {
        account.roles.retain(|role| {
            let stays = roles.contains(&role.as_str());
            if !stays {
                narrow(format!("no longer has role {role}"));
            }
            stays
        });
    }
    let first = day_of(entry, "valid_from").filter(|first| *first > account.valid_from);
    if let Some(first) = first {
        account.valid_from = first;
        narrow(format!("begins later, on {first}"));
    }
    if let Some(last) = day_of(entry, "expires").filter(|last| *last < account.expires) {
        account.expires = last;
        narrow(format!("ends earlier, on {last}"));
    }
    let certificate = entry.get("certificate").map_or(!whole, |value| value.as_bool() != Some(false));
    if account.certificate && !certificate {
        account.certificate = false;
        narrow("may no longer sign in with a certificate".to_owned());
    }
    let subject = text_of(entry, "oidc_subject");
    let other = if whole || subject.is_some() { subject != account.oidc_subject.as_deref() } else { false };
    if account.oidc_subject.is_some() && other {
        account.oidc_subject = None;
        narrow("may no longer sign in as that subject".to_owned());
    }
}

fn tables(table: &Table) -> Option<Vec<Table>> {
    match table.get("account") {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_table().cloned()).collect(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use atena_domain::OperatorId;
    use jiff::civil::{Date, date};

    use super::*;
    use crate::refusal::Refusal;

    const TODAY: Date = date(2026, 11, 24);

    const TEXT: &str = r#"
[[account]]
id = "a1001"
division = "監査事務局"
roles = ["auditor"]
certificate = true
valid_from = 2026-04-01
expires = 2027-03-31

[[account]]
id = "m2001"
division = "保険年金課"
roles = ["operator", "information-manager"]
certificate = true
oidc_subject = "7c1e"
valid_from = 2026-04-01
expires = 2027-03-31
"#;

    fn id(text: &str) -> OperatorId {
        OperatorId::parse(text).unwrap()
    }

    fn restricted(from: &str, to: &str, trouble: &str, settled: bool) -> Option<RestrictedAccounts> {
        assert!(TEXT.contains(from));
        let text = TEXT.replacen(from, to, 1) + trouble;
        assert!(Accounts::read(&text).is_err(), "{text}");
        Accounts::read(TEXT).unwrap().restricted_by(&text, settled)
    }

    const TROUBLES: [&str; 3] = ["[[account]]\nid = \"x\"\n", "[[account]]\nid = \"x\"\nrole = []\n", "\n[[oops"];

    /// deny-by-default: the end of an account is never held up by what else is wrong in the file.
    #[test]
    fn an_account_that_ends_ends_whatever_else_is_wrong() {
        for trouble in TROUBLES {
            let left = restricted("expires = 2027-03-31", "expires = 2026-11-23", trouble, false).unwrap();
            assert_eq!(left.taken, ["account \"a1001\" ends earlier, on 2026-11-23"], "{trouble}");
            assert_eq!(left.accounts.by_certificate(&id("a1001"), TODAY).err(), Some(Refusal::CallerRevoked));
            assert!(left.accounts.by_certificate(&id("m2001"), TODAY).is_ok());
            assert!(restricted("roles = [\"operator\", ", "roles = [", trouble, false).is_some(), "{trouble}");
        }
    }

    #[test]
    fn an_account_that_is_absent_is_gone_once_the_file_is_whole() {
        let first = TEXT.split("\n\n").next().unwrap();
        assert!(restricted(first, "", TROUBLES[0], false).is_none());
        assert!(restricted(first, "", TROUBLES[2], true).is_none());
        let left = restricted(first, "", TROUBLES[0], true).unwrap();
        assert_eq!(left.accounts.by_certificate(&id("a1001"), TODAY).err(), Some(Refusal::CallerUnknown));
        assert!(restricted("certificate = true\nvalid", "valid", TROUBLES[0], true).is_some());
    }

    #[test]
    fn nothing_is_added() {
        for (from, to) in
            [("roles = [\"auditor\"]", "roles = [\"auditor-with-content\", \"auditor\"]"), ("2027-03-31", "2027-04-30")]
        {
            assert!(restricted(from, to, TROUBLES[0], true).is_none(), "{to}");
        }
    }
}
