//! Salted commitments: how a leaf is bound to a person and to what was sent without telling either.
//!
//! Without the salt a commitment says nothing, however few the candidates are; destroying the salts erases the connection and
//! changes no hash of the tree.

use sha2::{Digest, Sha256};

use crate::hash::Hash;

/// The three salts of one leaf, derived from one random seed.
#[derive(Clone, PartialEq, Eq)]
pub struct Salts {
    /// For the person.
    pub subject: [u8; 32],
    /// For the digest of what was sent or stored: the receiver is told this one.
    pub content: [u8; 32],
    /// For everything else that the log keeps sealed.
    pub details: [u8; 32],
}

// === impl Salts ===

impl Salts {
    /// Derives the salts of a leaf from its seed of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let salt = |label: &[u8]| Sha256::new().chain_update(label).chain_update(seed).finalize().into();
        Self {
            subject: salt(b"atena/salt/subject/1\0"),
            content: salt(b"atena/salt/content/1\0"),
            details: salt(b"atena/salt/details/1\0"),
        }
    }
}

/// Commits to the person (the unified address number, or nothing where nobody is known).
#[must_use]
pub fn commit_subject(salt: &[u8; 32], subject: &str) -> Hash {
    commit(b"atena/subject/1\0", salt, subject.as_bytes())
}

/// Commits to the SHA-256 digest of what was sent or stored (or nothing where nothing was).
#[must_use]
pub fn commit_content(salt: &[u8; 32], content_sha256: &[u8]) -> Hash {
    commit(b"atena/content/1\0", salt, content_sha256)
}

/// Commits to the sealed details.
#[must_use]
pub fn commit_details(salt: &[u8; 32], details: &[u8]) -> Hash {
    commit(b"atena/details/1\0", salt, details)
}

fn commit(label: &[u8], salt: &[u8; 32], value: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update(label).chain_update(salt).chain_update(value).finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_depends_on_salt_kind_and_value() {
        let (one, two) = (Salts::from_seed(&[1; 32]), Salts::from_seed(&[2; 32]));
        assert_ne!(commit_subject(&one.subject, "a"), commit_subject(&two.subject, "a"));
        assert_ne!(commit_subject(&one.subject, "a"), commit_subject(&one.subject, "b"));
        assert_ne!(commit_subject(&one.subject, "a"), commit_details(&one.subject, b"a"));
        assert!(one.subject != one.content && one.content != one.details);
    }
}
