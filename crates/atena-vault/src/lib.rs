//! Keys, sealing and opening of personal data, and the blind index: the only crate that sees a personal number (個人番号) in the
//! clear.
//!
//! Everything personal in the database is sealed: each person has a data key, wrapped by the municipality's wrapping key, so that
//! destroying one wrapped key erases one person. A ciphertext opens only in the row it was sealed for. A personal number is found by
//! a keyed blind index whose key is not in the database: whoever steals the database can't try out the 10¹¹ possible numbers.
//!
//! Deliberately absent: SQL, wire types, and any way to a personal number without a
//! [`PersonalNumberPermit`](atena_policy::PersonalNumberPermit), which only the policy can make (invariant *number-confinement*).
//!
//! ```
//! use atena_domain::{MunicipalityCode, UnifiedAddressNumber};
//! use atena_vault::{KeyFile, KeySource, SealContext, Vault};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("keys.toml");
//! let municipality = MunicipalityCode::parse("132098")?;
//! KeyFile::generate(&municipality)?.write_new(&path)?;
//!
//! let vault = Vault::open(&KeySource::File(path), &municipality)?;
//! let person = UnifiedAddressNumber::from_body(1)?;
//! let (key, wrapped) = vault.new_person_key(&person, &vault.wrapping_ids()[0])?;
//! let place = SealContext { table: "record", column: "sealed", row: b"payment/P-1/1" };
//! let sealed = key.seal(&place, b"what pension knows")?;
//!
//! let again = vault.unwrap_person_key(&person, &wrapped)?;
//! assert_eq!(again.open(&place, &sealed)?.as_slice(), b"what pension knows");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client_key;
mod error;
mod key_file;
mod key_service;
mod key_source;
mod personal_number;
pub mod private_file;
mod pseudonym;
mod sealing;
#[cfg(test)]
mod test_permit;
mod token;
mod vault;

pub use client_key::{ClientKey, ClientKeyKind};
pub use error::VaultError;
pub use key_file::KeyFile;
pub use key_service::{KeyKind, LogKey};
pub use key_source::KeySource;
pub use personal_number::{PersonalNumber, PersonalNumberError};
pub use pseudonym::{Pseudonym, Pseudonyms};
pub use sealing::{PersonKey, SealContext, SealingKey};
pub use token::{TokenKeys, TokenPlace};
pub use vault::{BlindIndex, Vault, WrappedKey};
