//! From an action to a leaf and its sealed details, in the form of the transfer log.

use std::sync::Arc;

use atena_ledger::{Direction, Leaf, LeafShape, Outcome, Salts, commit_content, commit_details, commit_subject};
use atena_store::{LogEntry, StoreError};
use atena_vault::Vault;
use jiff::Timestamp;
use prost::Message as _;
use uuid::Uuid;

use crate::clock;
use crate::log::retention::GATEWAY;
use crate::log::{Details, microseconds, place, proof_number};
use crate::transfer::OperatorProof;

/// How the leaf of an end names the leaf of its beginning.
const BEGUN: &str = "begun:";

/// What one leaf says.
pub(crate) struct Record {
    pub(super) id: Uuid,
    /// The leaf of the beginning, where this one is the end.
    pub(super) begun: Option<Uuid>,
    pub(super) requested_at: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) method: &'static str,
    pub(super) fields: Vec<String>,
    pub(super) records: u64,
    pub(super) actor: String,
    pub(super) proof: OperatorProof,
    pub(super) note: Option<String>,
    pub(super) policy_hash: [u8; 32],
}

// === impl Record ===

impl Record {
    /// The entry; its details are sealed with the municipality's key, because they belong to no person of whom data is kept.
    pub(super) fn seal(self, vault: &Vault) -> Result<LogEntry, StoreError> {
        let refused = |_| StoreError::LeafRefused;
        let mut seed = [0; 32];
        vault.fill_random(&mut seed).map_err(refused)?;
        let salts = Salts::from_seed(&seed);
        let details = Details {
            seed: seed.to_vec(),
            operator_id: Some(self.actor),
            operator_proof: proof_number(self.proof),
            note: self.note,
            ..Details::default()
        };
        let encoded = details.encode_to_vec();
        let mut fields = self.fields;
        fields.extend(self.begun.map(|id| format!("{BEGUN}{id}")));
        let shape = LeafShape {
            direction: Direction::Inbound,
            method: self.method.to_owned(),
            system: GATEWAY.to_owned(),
            division: None,
            affair: None,
            rule: None,
            basis: None,
            dataset: None,
            fields,
            policy: self.policy_hash,
        };
        let leaf = Leaf {
            id: *self.id.as_bytes(),
            requested_us: microseconds(self.requested_at),
            provided_us: microseconds(clock::now()),
            outcome: self.outcome,
            reason: None,
            records: self.records,
            subject: commit_subject(&salts.subject, ""),
            content: commit_content(&salts.content, &[]),
            details: commit_details(&salts.details, &encoded),
        };
        let sealed = vault.municipal_key().seal(&place(&leaf.id), &encoded).map_err(refused)?;
        let shape = Arc::new(shape.render().map_err(|_| StoreError::LeafRefused)?);
        LogEntry::new(shape, leaf, None, sealed.into(), &mut Vec::new())
    }
}
