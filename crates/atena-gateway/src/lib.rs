//! The gateway: the hall of Atena where a call meets the rules, the database, the keys and the transfer log, and the only place
//! where they meet.
//!
//! Every call goes the same way: *who* is calling ([`door`](self), the client certificate looked up in the registry), *may they*
//! (the policy answers with a permit or a refusal), *read*, *filter*, *log*, *answer*. Nothing leaves before its transfer record is
//! durable (invariant *log-before-release*), and a refusal is recorded like a release. One RPC is one file below `service/`.
//!
//! Deliberately absent: SQL (that is `atena-store`), rules about who may see what (`atena-policy`), keys (`atena-vault`), and
//! checks of what a field may hold (`atena-domain`). Wire types stop in `convert`; `status.rs` is the only file that builds a gRPC status.
//!
//! ```
//! let config = atena_gateway::Config::parse(atena_gateway::Config::default_text(), std::path::Path::new("/srv/atena")).unwrap();
//! assert_eq!(config.policy_file, std::path::Path::new("/srv/atena/policy.toml"));
//! assert_eq!(config.listen.port(), 50051);
//! ```

mod admin;
mod ahead;
mod call;
mod caller;
mod catalog;
mod clock;
mod clock_guard;
mod config;
mod convert;
mod cursor;
mod databases;
mod door;
mod error;
#[cfg(fuzzing)]
pub mod fuzz;
mod gateway;
mod hall;
mod health;
mod id;
mod keeper;
#[cfg(feature = "test-leaks")]
mod leak;
mod load;
mod log;
mod metrics;
mod people;
mod people_matrix;
mod reload;
mod retention;
mod service;
mod start;
mod status;
mod taken_away;
pub mod telemetry;
#[cfg(test)]
mod test_town;
mod tiles;
mod together;
mod transfer;
mod transfer_filter;
mod unreadable;

pub use atena_store::Log;

pub use admin::{Action, Actor, AdminError, AdminLog, AdminRecord, OperatorError, Showing, sign_in_operator};
pub use catalog::field_catalog;
pub use clock_guard::{ClockError, ClockStatus, ClockSuspect};
pub use config::{
    ClockConfig, Config, ConfigError, ErasureConfig, FeedsConfig, Limits, LogConfig, PeopleConfig, RetentionConfig,
    ReviewConfig, TelemetryConfig, TlsConfig, WitnessConfig,
};
pub use databases::Databases;
pub use door::{CERTIFICATE_NOTICE_DAYS, LIST_NOTICE_DAYS, revocation_lists};
pub use gateway::{BoundGateway, Gateway, GatewayError, accounts_of, is_used, municipality_of, registered_systems};
pub use hall::OtherMunicipality;
pub use keeper::{
    AcceptHeadError, AcceptedHead, AdminLogError, Backup, BackupError, ConfirmClockError, EraseError, Erased,
    ErasureCase, ErasurePlan, ExportError, Ground, KeepReason, Keeper, KeyStatus, KnownBy, Loss, MigrateError, Moved,
    PersonStatus, PublishedKey, Restored, RotateError, Rotated, RowKey, migrate,
};
pub use load::LoadError;
pub use log::freshness::{FileFault, FreshnessError};
pub use log::fsck::{Finding, Fsck};
pub use log::{LogKeyError, LogKeys, SignError, WitnessRefused, is_audit};
pub use people_matrix::people_matrix;
pub use start::StartStep;
