//! The admin log (管理操作の記録): what those did who run the system. A second log of the same make as the transfer log: a Merkle tree of leaves
//! without personal data, sealed details, heads signed by the same keys under an origin of its own.
//!
//! An action is recorded before it begins and again at its end. What can't be recorded is not done (fail closed). Actions are few, so each leaf
//! has its commit and its signed head at once: no task has to come after it.

mod action;
mod actor;
mod entry;
mod operator;

use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use atena_domain::MunicipalityCode;
use atena_ledger::{Leaf, LeafShape, Outcome};
use atena_store::{Log, Store, StoreError, StoredCheckpoint, WriteTransaction};
use atena_vault::Vault;
use jiff::Timestamp;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::clock;
use crate::id::new_id;
use crate::log::{Details, LogKeys, SignError, head};
use crate::transfer::OperatorProof;

pub use action::Action;
pub(crate) use action::CONFIRM_CLOCK;
pub use actor::Actor;
use entry::Record;
pub use operator::{OperatorError, Showing, sign_in_operator};

/// Why an action was not done, or is not known to have ended.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It could not be recorded, so it was not done.
    #[error("the admin log can't be written, so nothing was done: {0}")]
    NotDone(SignError),
    /// It was done, and its end could not be recorded; the log has its beginning.
    #[error("it was done, and the admin log could not be told of its end: {0}")]
    EndNotRecorded(SignError),
}

/// Writes the admin log of one municipality, for one actor.
pub struct AdminLog {
    store: Store,
    vault: Arc<Vault>,
    municipality: MunicipalityCode,
    /// Where the newest signed head is kept beside the database.
    file: PathBuf,
    actor: Actor,
    policy_hash: ArcSwap<[u8; 32]>,
    /// One leaf after the other, so that the file beside the database never goes back.
    turn: Mutex<()>,
}

/// An action that was begun.
#[must_use]
pub struct Begun {
    id: Uuid,
    at: Timestamp,
    action: Action,
}

/// One leaf of the admin log, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminRecord {
    /// Its place in the log.
    pub index: u64,
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What, e.g. `Keys/Rotate`.
    pub action: String,
    /// `BEGUN`, `DONE` or `FAILED`.
    pub outcome: String,
    /// What it was about, in the open.
    pub fields: Vec<String>,
    /// Rows or people that it concerned.
    pub records: u64,
    /// Who: an account, or the user of the operating system.
    pub actor: String,
    /// What that stands on: `certificate` or `sign-in` where an operator proved it, `told` where the operating system says so.
    pub proof: &'static str,
    /// What is not for everybody's eyes: places, and why it failed.
    pub note: String,
    /// Hash of the rules then in force.
    pub policy_hash: [u8; 32],
}

// === impl AdminLog ===

impl AdminLog {
    pub(crate) fn of(
        store: &Store,
        vault: &Arc<Vault>,
        municipality: &MunicipalityCode,
        file: PathBuf,
        policy_hash: [u8; 32],
        actor: Actor,
    ) -> Self {
        Self {
            store: store.about_log(Log::Administration),
            vault: Arc::clone(vault),
            municipality: municipality.clone(),
            file,
            actor,
            policy_hash: ArcSwap::from_pointee(policy_hash),
            turn: Mutex::new(()),
        }
    }

    /// Says which rules are in force from now on.
    pub(crate) fn set_policy_hash(&self, hash: [u8; 32]) {
        self.policy_hash.store(Arc::new(hash));
    }

    /// Does what is to be done between the records of its beginning and its end. `count` tells what it concerned.
    ///
    /// # Errors
    /// [`AdminError::NotDone`]: then `work` was not begun. Whatever `work` fails with; that is recorded.
    pub async fn during<T, E>(
        &self,
        action: Action,
        work: impl Future<Output = Result<T, E>>,
        count: impl FnOnce(&T) -> u64,
    ) -> Result<T, E>
    where
        E: From<AdminError> + Display,
    {
        let begun = self.begin(action).await?;
        match work.await {
            Ok(done) => {
                self.end(begun, count(&done)).await?;
                Ok(done)
            }
            Err(error) => {
                // Why the action failed matters more than that this can't be recorded; its beginning is.
                if let Err(unrecorded) = self.fail(begun, &error.to_string()).await {
                    tracing::error!(error = %unrecorded, "an action that failed has no end in the admin log");
                }
                Err(error)
            }
        }
    }

    /// Records that an action is about to begin.
    ///
    /// # Errors
    /// [`AdminError::NotDone`]: it must not be done.
    pub async fn begin(&self, action: Action) -> Result<Begun, AdminError> {
        let begun = Begun { id: new_id(), at: clock::now(), action };
        let record = Record { outcome: Outcome::Begun, ..self.record(&begun, begun.id) };
        self.append(record).await.map_err(AdminError::NotDone)?;
        Ok(begun)
    }

    /// Records that an action has been done, to `records` rows or people.
    ///
    /// # Errors
    /// [`AdminError::EndNotRecorded`].
    pub async fn end(&self, begun: Begun, records: u64) -> Result<(), AdminError> {
        let record = Record { records, ..self.record(&begun, new_id()) };
        self.append(record).await.map_err(AdminError::EndNotRecorded)
    }

    /// Records that an action failed, and why.
    ///
    /// # Errors
    /// [`AdminError::EndNotRecorded`].
    pub async fn fail(&self, begun: Begun, why: &str) -> Result<(), AdminError> {
        let record = Record { outcome: Outcome::Failed, note: Some(why.to_owned()), ..self.record(&begun, new_id()) };
        self.append(record).await.map_err(AdminError::EndNotRecorded)
    }

    /// As [`Self::begin`], within the transaction that does it: for a database that is only just being filled.
    pub(crate) async fn begin_within(
        &self,
        transaction: &mut WriteTransaction,
        action: Action,
    ) -> Result<Begun, SignError> {
        let begun = Begun { id: new_id(), at: clock::now(), action };
        let record = Record { outcome: Outcome::Begun, ..self.record(&begun, begun.id) };
        let entry = record.seal(&self.vault)?;
        let before = transaction.turn_to_log(Log::Administration);
        transaction.append_log(&[entry]).await?;
        transaction.turn_to_log(before);
        Ok(begun)
    }

    /// As [`Self::end`], within the transaction that does it. Tells the signed head, to be kept beside the database once that is committed.
    pub(crate) async fn end_within(
        &self,
        transaction: &mut WriteTransaction,
        begun: &Begun,
        records: u64,
    ) -> Result<StoredCheckpoint, SignError> {
        let record = Record { records, ..self.record(begun, new_id()) };
        let entry = record.seal(&self.vault)?;
        let before = transaction.turn_to_log(Log::Administration);
        transaction.append_log(&[entry]).await?;
        let head = head::sign(transaction, &self.vault, &self.municipality, false).await?;
        transaction.turn_to_log(before);
        Ok(head)
    }

    /// Keeps a head beside the database.
    pub(crate) fn keep_beside(&self, head: &StoredCheckpoint) -> Result<(), SignError> {
        let (keys, _) = head::keys_of(Log::Administration, &self.municipality, &self.vault, &head.note)?;
        Ok(head::keep_beside(&self.file, head, &keys)?)
    }

    fn record(&self, begun: &Begun, id: Uuid) -> Record {
        Record {
            id,
            begun: (id != begun.id).then_some(begun.id),
            requested_at: begun.at,
            outcome: Outcome::Done,
            method: begun.action.method(),
            fields: begun.action.fields(),
            records: 0,
            actor: self.actor.name_in(&self.municipality),
            proof: self.actor.proof(),
            note: begun.action.note(),
            policy_hash: **self.policy_hash.load(),
        }
    }

    async fn append(&self, record: Record) -> Result<(), SignError> {
        let _turn = self.turn.lock().await;
        let entry = record.seal(&self.vault)?;
        let mut transaction = self.store.begin_write("append_admin_log").await?;
        let keys = LogKeys::of(Log::Administration, &self.municipality, &self.vault)?;
        // A database that is older than what was signed must not go on: there would be two heads of one size.
        if transaction.log_frontier().await?.size() < head::size_beside(&self.file, &keys) {
            return Err(SignError::Rewound);
        }
        // While the file can't be written the log must not grow: a file that is more than two heads
        // behind is taken for an old one at the next start.
        if let Some(newest) = transaction.newest_checkpoint().await? {
            self.keep_beside(&newest)?;
        }
        transaction.append_log(&[entry]).await?;
        let head = head::sign(&mut transaction, &self.vault, &self.municipality, false).await?;
        transaction.commit().await?;
        self.keep_beside(&head)
    }
}

/// Opens one leaf with its details.
pub(crate) fn open(
    vault: &Vault,
    index: u64,
    shape: &LeafShape,
    leaf: &Leaf,
    details: &atena_store::StoredDetails,
) -> Result<AdminRecord, StoreError> {
    const CORRUPT: StoreError = StoreError::Corrupt { table: "admin_log_details" };
    let details = Details::open(vault, &HashMap::new(), leaf, details).map_err(|_| CORRUPT)?.unwrap_or_default();
    let at = i64::try_from(leaf.provided_us).ok().and_then(|at| Timestamp::from_microsecond(at).ok());
    Ok(AdminRecord {
        index,
        id: Uuid::from_bytes(leaf.id),
        at: at.ok_or(CORRUPT)?,
        action: shape.method.clone(),
        outcome: leaf.outcome.as_str().to_owned(),
        fields: shape.fields.clone(),
        records: leaf.records,
        proof: match details.operator_proof() {
            OperatorProof::Told => "told",
            OperatorProof::Certificate => "certificate",
            OperatorProof::SignIn => "sign-in",
        },
        actor: details.operator_id.unwrap_or_default(),
        note: details.note.unwrap_or_default(),
        policy_hash: shape.policy,
    })
}
