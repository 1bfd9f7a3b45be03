//! Who acts.

use std::fmt;

/// Who runs a command or a gateway: the account that signed in, or else the user of the operating system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(String);

// === impl Actor ===

impl Actor {
    /// The account of this id where somebody signed in, the user of this process otherwise.
    #[must_use]
    pub fn of_process(account: Option<&str>) -> Self {
        Self(match account {
            Some(account) => format!("account:{account}"),
            None => format!("os:{}", whoami::username().unwrap_or_else(|_| "unknown".to_owned())),
        })
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_goes_before_the_user_of_the_process() {
        assert_eq!(Actor::of_process(Some("a-1")).to_string(), "account:a-1");
        let user = Actor::of_process(None).to_string();
        assert!(user.starts_with("os:") && user.len() > 3, "{user}");
    }
}
