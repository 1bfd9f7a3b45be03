//! What an auditor may ask of the log: a conjunction of typed conditions. Pure.

use atena_domain::{Dataset, UnifiedAddressNumber};
use atena_ledger::{Direction, Leaf, LeafShape, Outcome};
use atena_store::ChunkRange;
use jiff::Timestamp;

use super::details::Details;

/// Conditions that all have to hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransferQuery {
    pub(crate) conditions: Vec<Condition>,
}

/// How two times compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One condition. `equals: false` asks for everything else, transfers without a value included.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    /// 求め日時.
    RequestedTime(Comparison, Timestamp),
    /// The calling system.
    SystemId { equals: bool, value: String },
    /// Which way.
    Direction { equals: bool, value: Direction },
    /// How it ended.
    Outcome { equals: bool, value: Outcome },
    /// The dataset.
    Dataset { equals: bool, value: Dataset },
    /// 事務.
    Affair { equals: bool, value: String },
    /// The rule.
    RuleId { equals: bool, value: String },
    /// 操作者ID.
    OperatorId { equals: bool, value: String },
    /// Reason of a refusal.
    Reason { equals: bool, value: String },
    /// The RPC.
    Method { equals: bool, value: String },
    /// About this person.
    Person(UnifiedAddressNumber),
}

// === impl TransferQuery ===

impl TransferQuery {
    /// The person asked for.
    pub(crate) fn person(&self) -> Option<&UnifiedAddressNumber> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition::Person(person) => Some(person),
            _ => None,
        })
    }

    /// Whether the leaf alone can't tell, and the details have to be opened.
    pub(crate) fn needs_details(&self) -> bool {
        self.conditions.iter().any(|condition| matches!(condition, Condition::Person(_) | Condition::OperatorId { .. }))
    }

    /// The stretch of time outside of which nothing matches.
    pub(crate) fn range(&self) -> ChunkRange {
        let mut range = ChunkRange::default();
        for condition in &self.conditions {
            if let Condition::RequestedTime(comparison, at) = condition {
                let at = at.as_microsecond();
                match comparison {
                    Comparison::Less | Comparison::LessOrEqual => {
                        range.requested_to = Some(range.requested_to.map_or(at, |to| to.min(at)));
                    }
                    Comparison::Greater | Comparison::GreaterOrEqual => {
                        range.requested_from = Some(range.requested_from.map_or(at, |from| from.max(at)));
                    }
                }
            }
        }
        range
    }

    /// Whether every condition on what all leaves of a shape share holds.
    pub(crate) fn matches_shape(&self, shape: &LeafShape) -> bool {
        let text = |value: Option<&str>, equals: bool, wanted: &str| (value == Some(wanted)) == equals;
        self.conditions.iter().all(|condition| match condition {
            Condition::SystemId { equals, value } => (shape.system == *value) == *equals,
            Condition::Direction { equals, value } => (shape.direction == *value) == *equals,
            Condition::Dataset { equals, value } => text(shape.dataset.as_deref(), *equals, value.as_str()),
            Condition::Affair { equals, value } => text(shape.affair.as_deref(), *equals, value),
            Condition::RuleId { equals, value } => text(shape.rule.as_ref().map(|(id, _)| id.as_str()), *equals, value),
            Condition::Method { equals, value } => (shape.method == *value) == *equals,
            _ => true,
        })
    }

    /// Whether every condition on the leaf itself holds.
    pub(crate) fn matches_leaf(&self, leaf: &Leaf) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::RequestedTime(comparison, at) => {
                let (requested, at) = (i128::from(leaf.requested_us), i128::from(at.as_microsecond()));
                match comparison {
                    Comparison::Less => requested < at,
                    Comparison::LessOrEqual => requested <= at,
                    Comparison::Greater => requested > at,
                    Comparison::GreaterOrEqual => requested >= at,
                }
            }
            Condition::Outcome { equals, value } => (leaf.outcome == *value) == *equals,
            Condition::Reason { equals, value } => (leaf.reason.as_deref() == Some(value)) == *equals,
            _ => true,
        })
    }

    /// Whether every condition on the details holds. Erased details match nothing that is asked of them.
    pub(crate) fn matches_details(&self, details: Option<&Details>) -> bool {
        self.conditions.iter().all(|condition| match (condition, details) {
            (Condition::OperatorId { equals, value }, Some(details)) => {
                (details.operator_id.as_deref() == Some(value)) == *equals
            }
            (Condition::Person(person), Some(details)) => {
                details.unified_address_number.as_deref() == Some(person.as_str())
            }
            (Condition::OperatorId { .. } | Condition::Person(_), None) => false,
            _ => true,
        })
    }
}
