//! What a start waits for, so that a start that hangs can say so.

use std::sync::{Arc, Mutex, PoisonError};

/// The step that a start is in. Clones show the same start.
#[derive(Debug, Clone, Default)]
pub struct StartStep(Arc<Mutex<String>>);

// === impl StartStep ===

impl StartStep {
    /// Says what is waited for from now on.
    pub(crate) fn enter(&self, step: impl Into<String>) {
        let step = step.into();
        tracing::debug!(step, "starting");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// What is waited for now.
    #[must_use]
    pub fn now(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A database as a message may name it: without user, password and parameters.
pub(crate) fn place_of(database_url: &str) -> String {
    let Some((_, rest)) = database_url.split_once("://").filter(|_| !database_url.starts_with("sqlite:")) else {
        return database_url.strip_prefix("sqlite:").unwrap_or(database_url).to_owned();
    };
    let servers = rest.split(['/', '?']).next().unwrap_or_default();
    servers.rsplit_once('@').map_or(servers, |(_, servers)| servers).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_without_its_password() {
        let named = place_of("postgres://atena:p%40ss@db1.example,db2.example:5433/atena?sslmode=verify-full");
        assert_eq!(named, "db1.example,db2.example:5433");
        assert_eq!(place_of("sqlite:/srv/atena/a?b@c.db"), "/srv/atena/a?b@c.db");
    }
}
