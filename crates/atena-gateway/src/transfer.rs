//! What the transfer log is told: one record for one person, one dataset, one call.

use std::sync::Arc;

use atena_domain::{Dataset, LocalAddressNumber, OperatorId, RecordKey, UnifiedAddressNumber};
use atena_ledger::{Direction, Outcome};
use atena_vault::PersonKey;
use compact_str::CompactString;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::clock;
use crate::error::Reason;
use crate::id::new_id;

/// A text of a transfer record: most are short and are kept without an allocation.
pub(crate) type Text = CompactString;

/// Rows of a transfer record, with their revisions: most have one, which is kept without an allocation.
pub(crate) type Rows = SmallVec<[(RecordKey, u64); 1]>;

/// What a method is called in the transfer log, and which way data goes in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) direction: Direction,
}

/// A caller as far as it is known, for the record of a refusal.
pub(crate) struct PartialCaller {
    pub(crate) system: Text,
    pub(crate) division: Option<Text>,
    pub(crate) operator: Option<(OperatorId, OperatorProof)>,
}

/// What the records of one call about one dataset have in common. Written once and shared: a pull has one for hundreds of thousands of records.
#[derive(Clone)]
pub(crate) struct Heading {
    /// 求め日時.
    pub(crate) requested_at: Timestamp,
    /// Which way.
    pub(crate) direction: Direction,
    /// The calling system.
    pub(crate) system_id: Text,
    /// 部署.
    pub(crate) division: Option<Text>,
    /// 操作者ID.
    pub(crate) operator_id: Option<Text>,
    /// What the operator id stands on.
    pub(crate) operator_proof: OperatorProof,
    /// 事務.
    pub(crate) affair: Option<Text>,
    /// The rule that allowed it.
    pub(crate) rule_id: Option<Text>,
    /// Its version.
    pub(crate) rule_version: u32,
    /// 法令上の根拠 in force.
    pub(crate) legal_basis: Option<Text>,
    /// The dataset.
    pub(crate) dataset: Option<Dataset>,
    /// Paths of the fields.
    pub(crate) fields: Arc<[String]>,
    /// The RPC.
    pub(crate) method: &'static str,
    /// The caller's request id.
    pub(crate) request_id: Option<Text>,
    /// SHA-256 of the rules in force.
    pub(crate) policy_hash: [u8; 32],
}

/// One record of the log: one person, one dataset, one call.
#[derive(Clone)]
pub(crate) struct TransferRecord {
    /// What it shares with others of its call.
    pub(crate) heading: Arc<Heading>,
    /// Its id.
    pub(crate) transfer_id: Uuid,
    /// 提供日時.
    pub(crate) provided_at: Timestamp,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Reason of a refusal.
    pub(crate) reason: Option<&'static str>,
    /// The calling system's number of the person.
    pub(crate) local_address_number: Option<LocalAddressNumber>,
    /// The person.
    pub(crate) unified_address_number: Option<UnifiedAddressNumber>,
    /// The person's key where it is at hand: the details are sealed with it.
    pub(crate) person_key: Option<Arc<PersonKey>>,
    /// Rows sent or received, with their revisions.
    pub(crate) records: Rows,
    /// SHA-256 of what was sent or stored.
    pub(crate) content_sha256: Option<[u8; 32]>,
}

/// What an operator id stands on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OperatorProof {
    /// A system told it; nothing proves it.
    #[default]
    Told,
    /// The person's own certificate.
    Certificate,
    /// A sign-in at the provider.
    SignIn,
}

/// Whom a transfer is about, as far as the gateway knows.
#[derive(Clone, Default)]
pub(crate) struct Subject {
    pub(crate) local_address_number: Option<LocalAddressNumber>,
    pub(crate) unified_address_number: Option<UnifiedAddressNumber>,
}

/// SHA-256 of bytes as sent or stored.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Turns the record of a release into the record of an answer that nobody waited for.
pub(crate) fn not_sent(record: &mut TransferRecord, reason: Reason) {
    record.outcome = match reason {
        Reason::CallTimedOut => Outcome::TimedOut,
        _ => Outcome::Cancelled,
    };
    record.reason = Some(reason.as_str());
    record.records.clear();
    record.content_sha256 = None;
}

/// Turns a record into that of a refusal.
pub(crate) fn refuse(record: &mut TransferRecord, reason: Reason) {
    record.outcome = Outcome::Refused;
    record.reason = Some(reason.as_str());
}

/// The record of a call that no handler has heard, of its caller as far as they are known.
pub(crate) fn refused_unheard(
    policy_hash: [u8; 32],
    method: Method,
    known: PartialCaller,
    requested_at: Timestamp,
    reason: Reason,
) -> TransferRecord {
    let mut record = without_call(policy_hash, method, known, requested_at, Arc::from([]));
    refuse(&mut record, reason);
    record
}

/// The record of something that a caller asked for without a call of the contract, an outcome still to be set.
pub(crate) fn without_call(
    policy_hash: [u8; 32],
    method: Method,
    known: PartialCaller,
    requested_at: Timestamp,
    fields: Arc<[String]>,
) -> TransferRecord {
    let mut heading = Heading::blank(policy_hash, method, requested_at);
    (heading.system_id, heading.division, heading.fields) = (known.system, known.division, fields);
    if let Some((operator, proof)) = known.operator {
        (heading.operator_id, heading.operator_proof) = (Some(operator.as_str().into()), proof);
    }
    TransferRecord::under(&Arc::new(heading), Subject::default())
}

/// The record of something that the gateway does by itself, an outcome still to be set.
pub(crate) fn of_gateway(policy_hash: [u8; 32], method: Method, name: &str) -> TransferRecord {
    let mut heading = Heading::blank(policy_hash, method, clock::now());
    heading.system_id = name.into();
    TransferRecord::under(&Arc::new(heading), Subject::default())
}

// === impl Heading ===

impl Heading {
    pub(crate) fn blank(policy_hash: [u8; 32], method: Method, requested_at: Timestamp) -> Self {
        Self {
            requested_at,
            direction: method.direction,
            system_id: Text::default(),
            division: None,
            operator_id: None,
            operator_proof: OperatorProof::Told,
            affair: None,
            rule_id: None,
            rule_version: 0,
            legal_basis: None,
            dataset: None,
            fields: Arc::from([]),
            method: method.name,
            request_id: None,
            policy_hash,
        }
    }
}

// === impl TransferRecord ===

impl TransferRecord {
    /// A record under this heading, a refusal until something else is said.
    pub(crate) fn under(heading: &Arc<Heading>, subject: Subject) -> Self {
        Self {
            heading: Arc::clone(heading),
            transfer_id: new_id(),
            provided_at: clock::now(),
            outcome: Outcome::Refused,
            reason: None,
            local_address_number: subject.local_address_number,
            unified_address_number: subject.unified_address_number,
            person_key: None,
            records: Rows::new(),
            content_sha256: None,
        }
    }

    /// The heading, to be changed for this record alone.
    pub(crate) fn heading_mut(&mut self) -> &mut Heading {
        Arc::make_mut(&mut self.heading)
    }
}
