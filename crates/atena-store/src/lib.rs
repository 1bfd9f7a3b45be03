//! The database behind one [`Store`]: the only crate that knows SQL. SQLite is embedded and needs
//! no server. PostgreSQL serves any number of gateways at once.
//!
//! A store belongs to one municipality, and every question is asked for it alone (invariant
//! *municipality-apart*). Reading records for a system takes the policy's permit. Writing happens
//! in a [`WriteTransaction`], which leaves nothing behind unless it is committed. Records and views
//! are immutable revisions; the transfer log is only ever appended to.
//!
//! Deliberately absent: keys and plain content (everything personal comes in sealed and goes out
//! sealed), decisions about who may see what, clocks (times are arguments), and any value in an
//! error.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use atena_domain::MunicipalityCode;
//! use atena_store::{Store, StoreOptions};
//!
//! let folder = tempfile::tempdir()?;
//! let options = StoreOptions::new(format!("sqlite:{}", folder.path().join("atena.db").display()));
//! let store = Store::open(&options, MunicipalityCode::parse("132098")?).await?;
//!
//! let mut transaction = store.begin_write("example").await?;
//! let issued = transaction.issue_unified_numbers(2).await?;
//! assert_eq!(issued[0].as_str(), "000000000000019");
//! transaction.commit().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

#[cfg(test)]
mod catalogue;
mod cause;
mod database;
mod engine;
mod erasure;
mod error;
mod feed;
mod feed_read;
mod feed_upkeep;
mod feed_write;
mod holdings;
mod key_state;
mod links;
#[cfg(test)]
mod listed;
mod log_append;
mod log_checkpoint;
mod log_details;
mod log_index;
mod log_key;
mod log_read;
mod log_retention;
mod logs;
mod people;
mod personal_numbers;
mod record_history;
mod records;
mod review;
mod snapshot;
mod store;
mod tables;
mod views;
mod write;

pub use database::{Database, StoreOptions};
pub use erasure::RegisteredView;
pub use error::StoreError;
pub use feed::{Feed, FeedChanges, FeedNumber, NumberedRecord, PersonChanges};
pub use holdings::Holding;
pub use key_state::{KeyState, KeyUse, OldIndex};
pub use links::NewLink;
pub use log_append::LogEntry;
pub use log_checkpoint::StoredCheckpoint;
pub use log_details::StoredDetails;
pub use log_key::StoredLogKey;
pub use log_read::{ChunkRange, PeopleOfChunk, StoredChunk};
pub use logs::Log;
pub use people::NewPerson;
pub use personal_numbers::{NewPersonalNumber, StoredPersonalNumber};
pub use records::{ComingRecord, NewRevision, PushStatus, RecordHead, StoredRecord};
pub use review::{NewReviewCase, ReviewKind};
pub use snapshot::{CopyError, Part, Snapshot};
pub use store::Store;
pub use views::{NewView, StoredView, ViewHead};
pub use write::WriteTransaction;
