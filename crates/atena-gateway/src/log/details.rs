//! What the log keeps of a transfer beside its leaf: sealed, and bound to the leaf by a commitment.

use std::collections::HashMap;

use atena_domain::UnifiedAddressNumber;
use atena_ledger::{Leaf, Salts, commit_content, commit_details, commit_subject};
use atena_store::StoredDetails;
use atena_vault::{PersonKey, SealContext, Vault};
use prost::Message;

use crate::error::{CallError, Reason};

/// The details of one transfer, in the form that is sealed and committed to.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Details {
    /// 32 random bytes from which the commitments' salts come.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) seed: Vec<u8>,
    /// 操作者ID.
    #[prost(string, optional, tag = "2")]
    pub(crate) operator_id: Option<String>,
    /// The calling system's number of the person.
    #[prost(string, optional, tag = "3")]
    pub(crate) local_address_number: Option<String>,
    /// The person.
    #[prost(string, optional, tag = "4")]
    pub(crate) unified_address_number: Option<String>,
    /// Rows sent or received.
    #[prost(message, repeated, tag = "5")]
    pub(crate) records: Vec<Row>,
    /// SHA-256 of what was sent or stored; empty where nothing was.
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) content_sha256: Vec<u8>,
    /// The caller's request id.
    #[prost(string, optional, tag = "7")]
    pub(crate) request_id: Option<String>,
    /// In the admin log: places, and why something failed.
    #[prost(string, optional, tag = "8")]
    pub(crate) note: Option<String>,
}

/// One row and its revision.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Row {
    /// The owner's key.
    #[prost(string, tag = "1")]
    pub(crate) record_key: String,
    /// Its revision.
    #[prost(uint64, tag = "2")]
    pub(crate) revision: u64,
}

// === impl Details ===

impl Details {
    /// The salts of this transfer's commitments.
    pub(crate) fn salts(&self) -> Option<Salts> {
        self.seed.as_slice().try_into().ok().map(|seed| Salts::from_seed(&seed))
    }

    /// Opens details and checks them against the leaf; `None` where they were erased.
    ///
    /// # Errors
    /// The log is damaged: what is kept is not what the leaf commits to.
    pub(crate) fn open(
        vault: &Vault,
        keys: &HashMap<UnifiedAddressNumber, PersonKey>,
        leaf: &Leaf,
        stored: &StoredDetails,
    ) -> Result<Option<Self>, CallError> {
        if stored.sealed.is_empty() {
            return Ok(None);
        }
        let place = place(&leaf.id);
        let opened = match &stored.person {
            None => vault.municipal_key().open(&place, &stored.sealed)?,
            Some(person) => match keys.get(person) {
                Some(key) => key.open(&place, &stored.sealed)?,
                // The person was erased, and with the key everything sealed with it.
                None => return Ok(None),
            },
        };
        let details = Self::decode(opened.as_slice()).map_err(|_| damaged())?;
        let salts = details.salts().ok_or_else(damaged)?;
        let subject = details.unified_address_number.as_deref().unwrap_or_default();
        let kept = commit_details(&salts.details, &opened) == leaf.details
            && commit_subject(&salts.subject, subject) == leaf.subject
            && commit_content(&salts.content, &details.content_sha256) == leaf.content;
        if kept { Ok(Some(details)) } else { Err(damaged()) }
    }
}

/// Where the details of a transfer are sealed for.
pub(crate) fn place(id: &[u8; 16]) -> SealContext<'_> {
    SealContext { table: "log_details", column: "sealed", row: id }
}

/// The log holds what it never wrote.
pub(crate) fn damaged() -> CallError {
    tracing::error!("the transfer log is damaged: run `atena log fsck`");
    CallError::new(Reason::Internal, "the transfer log is damaged; the operator has to run `atena log fsck`")
}
