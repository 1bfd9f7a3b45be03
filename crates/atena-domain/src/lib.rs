//! Identifiers, check digits, dates and pension records of a Japanese municipality: parse, don't validate. What has one of these
//! types has passed its checks; nobody checks it again.
//!
//! Deliberately absent: I/O, protobuf, SQL, clocks, and any type for a personal number (個人番号): that lives in `atena-vault` alone,
//! only the arithmetic of its check digit is here (invariant *number-confinement*). Errors name fields and rules, never values.
//!
//! ```
//! use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
//!
//! assert_eq!(UnifiedAddressNumber::from_body(1)?.as_str(), "000000000000019");
//! assert!(UnifiedAddressNumber::parse_issued("123456789123456").is_err()); // its check digit would be 2
//! assert!(UnifiedAddressNumber::parse_migrated("123456789123456").is_ok()); // but migrated numbers stay as they are
//! assert!(LocalAddressNumber::parse("123456789018").is_err()); // could be a personal number
//! # Ok::<(), atena_domain::IdentifierError>(())
//! ```

mod check;
pub mod check_digit;
mod dataset;
pub mod date;
mod identifier;
pub mod pension;
pub mod person;
mod violation;

pub use check::is_zeros;
pub use dataset::Dataset;
pub use identifier::{
    Affair, IdentifierError, LocalAddressNumber, MunicipalityCode, OperatorId, RecordKey, SystemId,
    UnifiedAddressNumber,
};
pub use violation::Violation;
