//! Who may be told what. Business systems of a town hall meet in one gateway; this crate answers each of their calls with a
//! *permit*, which says exactly which fields may leave under which rule, or with a *refusal*, which says why nothing does.
//!
//! It reads the municipality's `policy.toml` (接続システム台帳 and 移転のルール: the registry of systems and the release rules),
//! checks it against the fields of the contract, compiles every rule into a [`FieldFilter`] over the protobuf wire form, and proves by
//! enumeration that the compiled decisions release what the written rules say and nothing more (invariants *deny-by-default* and
//! *number-confinement*). A policy that can't be proved can't be loaded.
//!
//! Deliberately absent: I/O, clocks (`today` is an argument everywhere, and validity is judged on every call), knowledge of any
//! message type (fields are numbers and paths in a [`FieldCatalog`]), and any way to make a permit except asking a [`Policy`]:
//!
//! ```compile_fail,E0451
//! # fn forge(auditor: atena_policy::Auditor) {
//! let forged = atena_policy::AuditPermit { auditor };
//! # }
//! ```
//!
//! ```compile_fail,E0451
//! fn forge(caller: atena_domain::SystemId) -> atena_policy::PersonalNumberPermit {
//!     atena_policy::PersonalNumberPermit { caller, basis: String::new() }
//! }
//! ```
//!
//! # Example
//!
//! ```
//! use atena_domain::{Affair, Dataset, SystemId};
//! use atena_policy::{CatalogField, DatasetFields, FieldCatalog, Policy, Refusal, Sensitivity};
//! use jiff::civil::date;
//!
//! let field = |path: &str, number| CatalogField { path: path.to_owned(), numbers: vec![number], sensitivity: Sensitivity::Pension };
//! let catalog = FieldCatalog::new(
//!     Dataset::PENSION
//!         .iter()
//!         .map(|dataset| DatasetFields { dataset: *dataset, fields: vec![field("amount_yen", 1), field("remarks", 2)] })
//!         .collect(),
//! );
//! let owned = ["qualification", "payment", "exemption", "benefit", "welfare_pension"].map(|id| {
//!     format!(r#"
//!         [[dataset]]
//!         id = "{id}"
//!         owner = "pension"
//!         affair = "国民年金事務"
//!         basis = [{{ citation = "国民年金法", valid_from = 1961-04-01 }}]"#)
//! });
//! let text = format!(r#"
//!     municipality_code = "132098"
//!     {}
//!     [registration]
//!     affair = "宛名管理事務"
//!     basis = [{{ citation = "番号法第9条第1項", valid_from = 2015-10-05 }}]
//!     [[system]]
//!     id = "pension"
//!     name = "国民年金システム"
//!     division = "保険年金課"
//!     roles = ["dataset_owner"]
//!     [[system]]
//!     id = "resident-tax"
//!     name = "市民税システム"
//!     division = "市民税課"
//!     roles = ["consumer"]
//!     [[rule]]
//!     id = "transfer-1"
//!     name = "移転先1"
//!     version = 1
//!     consumers = ["resident-tax"]
//!     affair = "市都民税賦課業務"
//!     valid_from = 2016-01-01
//!     basis = [{{ citation = "条例", valid_from = 2016-01-01 }}]
//!     [rule.release]
//!     payment = ["amount_yen"]"#, owned.concat());
//!
//! let today = date(2026, 11, 23);
//! let policy = Policy::compile(&text, &catalog, today)?;
//! let (tax, affair) = (SystemId::parse("resident-tax")?, Affair::parse("市都民税賦課業務")?);
//!
//! let permit = policy.authorize_release(&tax, &affair, Dataset::Payment, today)?;
//! let mut released = Vec::new();
//! permit.filter().apply(b"\x08\x64\x12\x04note", &mut released)?; // amount_yen: 100, remarks: "note"
//! assert_eq!(released, b"\x08\x64"); // the amount alone
//!
//! let refused = policy.authorize_release(&tax, &affair, Dataset::Benefit, today);
//! assert_eq!(refused.err(), Some(Refusal::ReleaseNotPermitted));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accounts;
mod authorize;
mod canonical;
mod catalog;
mod compile;
mod declaration;
mod filter;
mod legal_basis;
mod matrix;
mod permit;
mod policy;
mod probe;
mod problem;
mod proof;
mod refusal;
mod restrict;
mod rule;
mod system;
#[cfg(test)]
mod test_policy;
mod wire;

pub use accounts::{Account, Accounts, AccountsError, AccountsProblem, PersonRole, RestrictedAccounts, Right};
pub use catalog::{CatalogField, DatasetFields, FieldCatalog, Sensitivity};
pub use filter::FieldFilter;
pub use legal_basis::LegalBasis;
pub use matrix::{Matrix, MatrixRow, Verdict};
pub use permit::{
    AddressAdminPermit, AuditPermit, Auditor, OperatorPermit, PersonalNumberPermit, PushPermit, ReconstructPermit,
    RegistrationPermit, ReleasePermit, ResolvePermit, RulesPermit,
};
pub use policy::{Entitlement, Policy};
pub use problem::{PolicyError, Problem, Reason, toml_problem};
pub use proof::{Counterexample, Invariant, Proof};
pub use refusal::Refusal;
pub use restrict::{Restricted, revoked_systems};
pub use rule::{ReleasedDataset, Rule};
pub use system::{PERSON_CALLER, Role, System};
pub use wire::WireError;
