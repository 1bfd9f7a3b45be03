//! From `people.toml` to accounts: every problem is found in one go, and a file with a problem is not used at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use atena_domain::OperatorId;
use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::Accounts;
use super::account::{Account, PersonRole};
use crate::declaration::day;
use crate::problem::{line_of, toml_problem};

/// Characters of a division.
const DIVISION_CHARACTERS_MAX: usize = 200;

/// Characters of a subject (OpenID Connect Core §2: at most 255 ASCII characters).
const SUBJECT_CHARACTERS_MAX: usize = 255;

/// Days from the first day of an account to its last, at most: a fiscal year and the month around it. Who stays is looked at again.
const ACCOUNT_DAYS_MAX: i32 = 400;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    #[serde(default, rename = "account")]
    accounts: Vec<DeclaredAccount>,
}

/// `[[account]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredAccount {
    id: Spanned<String>,
    division: Spanned<String>,
    roles: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    certificate: bool,
    oidc_subject: Option<Spanned<String>>,
    valid_from: Spanned<Datetime>,
    expires: Spanned<Datetime>,
}

/// A file of accounts that can't be used, with all of its problems in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct AccountsError {
    problems: Vec<AccountsProblem>,
}

/// One problem and where it is. Displays as `people.toml:12: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsProblem {
    /// Line of the file, from 1.
    pub line: u32,
    /// What is wrong.
    pub what: String,
}

struct Reader<'a> {
    text: &'a str,
    problems: Vec<AccountsProblem>,
}

// === impl Accounts ===

impl Accounts {
    /// Reads and checks the content of `people.toml`. Accounts that have ended may stay in it.
    ///
    /// # Errors
    ///
    /// All problems with their lines.
    pub fn read(text: &str) -> Result<Self, AccountsError> {
        let mut reader = Reader { text, problems: Vec::new() };
        let declared: Declaration = match toml::from_str(text) {
            Ok(declared) => declared,
            Err(error) => {
                reader.report(error.span().map_or(0, |span| span.start), toml_problem(text, &error).1);
                return Err(AccountsError { problems: reader.problems });
            }
        };
        let (mut ids, mut subjects) = (BTreeSet::new(), BTreeSet::new());
        let mut by_id = BTreeMap::new();
        for account in &declared.accounts {
            let (offset, place) = (account.id.span().start, format!("account {:?}", account.id.get_ref()));
            // Ids that differ in case alone would be taken for one another by whoever reads the log.
            if !ids.insert(account.id.get_ref().to_ascii_lowercase()) {
                reader.report(offset, format!("{place} is there twice"));
            }
            if let Some(subject) = account.oidc_subject.as_ref()
                && !subjects.insert(subject.get_ref())
            {
                reader.report(subject.span().start, format!("{place}: another account has this oidc_subject"));
            }
            by_id.extend(reader.account(&place, account).map(|account| (account.id.clone(), account)));
        }
        let mut problems = reader.problems;
        if problems.is_empty() {
            return Ok(Self { by_id });
        }
        problems.sort_by_key(|problem| problem.line);
        Err(AccountsError { problems })
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn report(&mut self, offset: usize, what: String) {
        self.problems.push(AccountsProblem { line: line_of(self.text, offset), what });
    }

    fn account(&mut self, place: &str, declared: &DeclaredAccount) -> Option<Account> {
        let id = OperatorId::parse(declared.id.get_ref());
        if let Err(error) = &id {
            self.report(declared.id.span().start, format!("{place}: id {error}"));
        }
        let division = declared.division.get_ref();
        if division.trim().is_empty()
            || division.chars().count() > DIVISION_CHARACTERS_MAX
            || division.chars().any(char::is_control)
        {
            let rule = "must be 1 to 200 characters without control characters, not all blank";
            self.report(declared.division.span().start, format!("{place}: division {rule}"));
        }
        let roles = self.roles(place, &declared.roles);
        let subject = declared.oidc_subject.as_ref();
        if let Some(subject) = subject
            && !((1..=SUBJECT_CHARACTERS_MAX).contains(&subject.get_ref().len())
                && subject.get_ref().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
        {
            let rule = "must be 1 to 255 printable ASCII characters";
            self.report(subject.span().start, format!("{place}: oidc_subject {rule}"));
        }
        if !declared.certificate && subject.is_none() {
            let ways = "certificate = true, oidc_subject = \"…\", or both";
            self.report(declared.id.span().start, format!("{place} has no way to sign in: {ways}"));
        }
        let (valid_from, expires) = self.validity(place, &declared.valid_from, &declared.expires)?;
        Some(Account {
            id: id.ok()?,
            division: division.clone(),
            roles,
            certificate: declared.certificate,
            oidc_subject: subject.map(|subject| subject.get_ref().clone()),
            valid_from,
            expires,
        })
    }

    fn roles(&mut self, place: &str, declared: &Spanned<Vec<Spanned<String>>>) -> Vec<PersonRole> {
        let mut roles = Vec::new();
        for role in declared.get_ref() {
            match PersonRole::parse(role.get_ref()) {
                Some(known) => roles.push(known),
                None => {
                    let known = PersonRole::ALL.map(PersonRole::as_str).join(", ");
                    let what = format!("{place} has role {:?} which does not exist; there are {known}", role.get_ref());
                    self.report(role.span().start, what);
                }
            }
        }
        roles.sort_unstable();
        roles.dedup();
        if declared.get_ref().is_empty() {
            self.report(declared.span().start, format!("{place} has no role"));
        }
        if roles.len() > 1 && roles.iter().any(|role| role.audits()) {
            let what = format!("{place} is an auditor and may have no other role (職務分離)");
            self.report(declared.span().start, what);
        }
        roles
    }

    fn validity(&mut self, place: &str, from: &Spanned<Datetime>, to: &Spanned<Datetime>) -> Option<(Date, Date)> {
        let mut date = |key, datetime: &Spanned<Datetime>| {
            let date = day(datetime.get_ref());
            if date.is_none() {
                let rule = "must be a date without time, e.g. 2027-03-31";
                self.report(datetime.span().start, format!("{place}: {key} {rule}"));
            }
            date
        };
        let (first, last) = (date("valid_from", from), date("expires", to));
        let (first, last) = (first?, last?);
        let days = (last - first).get_days();
        if days < 0 {
            self.report(to.span().start, format!("{place}: expires is before valid_from"));
        } else if days > ACCOUNT_DAYS_MAX {
            let what = format!("{place}: expires is more than {ACCOUNT_DAYS_MAX} days after valid_from; renew it then");
            self.report(to.span().start, what);
        }
        Some((first, last))
    }
}

// === impl AccountsError ===

impl AccountsError {
    /// All problems, in the order of the file; never empty.
    #[must_use]
    pub fn problems(&self) -> &[AccountsProblem] {
        &self.problems
    }
}

impl fmt::Display for AccountsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Display for AccountsProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "people.toml:{}: {}", self.line, self.what)
    }
}
