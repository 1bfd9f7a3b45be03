//! What a file of accounts that can't be used takes away all the same: an account that ends there, ends.

use atena_domain::OperatorId;
use toml::Table;

use super::account::PersonRole;
use super::read::DeclaredAccount;
use super::{Account, Accounts};
use crate::restrict::{Content, day_of, has_stray_entry, is_revoked, is_sound, listed, tables, text_of};

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
    /// `file` is a `people.toml` that is refused as a whole. What it narrows (a role, a last day, a
    /// way to sign in) is narrowed where that part can be read, even where the rest is no TOML. An
    /// account that is absent from it is taken away only where the file is TOML as a whole, and
    /// `settled` says that it is not being written just now. An account that is marked as revoked
    /// is always taken away.
    #[must_use]
    pub fn restricted_by(&self, file: &[u8], settled: bool) -> Option<RestrictedAccounts> {
        let (entries, settled, complete) = match Content::of(file, settled) {
            Content::Whole(table) => {
                let entries = tables(&table, "account")?;
                let named = |entry: &Table| text_of(entry, "id").is_some_and(|id| OperatorId::parse(id).is_ok());
                let complete = settled && !entries.is_empty() && entries.iter().all(named);
                let complete = complete && !has_stray_entry(&table, &["account"]);
                (entries, settled, complete)
            }
            Content::Pieces(pieces) => (pieces, false, false),
        };
        let (mut by_id, mut taken) = (self.by_id.clone(), Vec::new());
        by_id.retain(|id, account| {
            let of_id = |entry: &&Table| text_of(entry, "id") == Some(id.as_str());
            let entries: Vec<_> = entries.iter().filter(of_id).collect();
            if entries.iter().any(|entry| is_revoked(entry)) {
                taken.push(format!("account {:?} is revoked", id.as_str()));
                return false;
            }
            if entries.is_empty() && complete {
                taken.push(format!("account {:?} is no longer there", id.as_str()));
                return false;
            }
            for entry in entries {
                // A key that is absent may be there and misspelt.
                restrict(account, entry, settled && is_sound::<DeclaredAccount>(entry), &mut taken);
            }
            true
        });
        (!taken.is_empty()).then_some(RestrictedAccounts { accounts: Self { by_id }, taken })
    }
}

/// Narrows one account. `whole` says that a key that is absent from the entry is really absent.
fn restrict(account: &mut Account, entry: &Table, whole: bool, taken: &mut Vec<String>) {
    let place = format!("account {:?}", account.id.as_str());
    let mut narrow = |what: String| taken.push(format!("{place} {what}"));
    let roles = listed(entry, "roles").filter(|roles| roles.iter().all(|role| PersonRole::parse(role).is_some()));
    // A role that does not exist is another one, misspelt.
    if let Some(roles) = roles {
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
        Accounts::read(TEXT).unwrap().restricted_by(text.as_bytes(), settled)
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

    #[test]
    fn a_slip_of_the_pen_takes_nothing_away() {
        for (from, to) in [
            ("roles = [\"auditor\"]", "rolse = [\"auditor\"]"),
            ("roles = [\"auditor\"]", "roles = [\"auditer\"]"),
            ("certificate = true", "certifcate = true"),
            ("oidc_subject = \"7c1e\"", "oidc_subjet = \"7c1e\""),
            ("[[account]]\nid = \"a1001\"", "[[acount]]\nid = \"a1001\""),
            ("id = \"a1001\"", "id = \"a1001 \""),
        ] {
            for trouble in ["", TROUBLES[1]] {
                assert_eq!(restricted(from, to, trouble, true).map(|left| left.taken), None, "{to} {trouble}");
            }
        }
    }

    #[test]
    fn an_end_counts_in_an_entry_that_is_wrong_elsewhere_or_is_no_toml() {
        for to in [
            "expires = 2026-11-23\nname = \"x\"",
            "expires = 2026-11-23\nname = x",
            "expires = 2026-11-23\nexpires = 2027-03-31",
            "expires = \"2026-11-23\"",
            "expires　＝　２０２６-１１-２３",
        ] {
            let left = restricted("expires = 2027-03-31", to, "", false).unwrap();
            assert_eq!(left.accounts.by_certificate(&id("a1001"), TODAY).err(), Some(Refusal::CallerRevoked), "{to}");
            assert!(left.accounts.by_certificate(&id("m2001"), TODAY).is_ok(), "{to}");
        }
        let left = restricted("certificate = true", "certificate = true\nrevoked = true", "", false).unwrap();
        assert_eq!(left.taken, ["account \"a1001\" is revoked"]);
        let (before, after) = TEXT.split_once("監査事務局").unwrap();
        let after = after.replacen("2027-03-31", "2026-11-23", 1);
        let file = [before.as_bytes(), b"\x8a\xc4", after.as_bytes()].concat();
        assert!(Accounts::read(TEXT).unwrap().restricted_by(&file, false).is_some());
    }
}
