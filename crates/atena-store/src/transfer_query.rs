//! What an auditor may ask of the log: a conjunction of typed conditions, every value bound.

use atena_domain::{Dataset, UnifiedAddressNumber};
use jiff::Timestamp;
use sqlx::{QueryBuilder, Sqlite};

use crate::transfers::{Direction, Outcome};

/// Conditions that all have to hold.
#[derive(Debug, Clone, Default)]
pub struct TransferQuery {
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// How two times compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// One condition. `equals: false` asks for everything else, rows without a value included.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields of every variant are the column's value and whether it has to be equal")]
pub enum Condition {
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
    pub(crate) fn push(&self, query: &mut QueryBuilder<Sqlite>) {
        for condition in &self.conditions {
            let (column, equals, value) = match condition {
                Condition::RequestedTime(comparison, at) => {
                    query.push(comparison.sql()).push_bind(at.as_microsecond());
                    continue;
                }
                Condition::SystemId { equals, value } => ("system_id", *equals, value.as_str()),
                Condition::Direction { equals, value } => ("direction", *equals, value.as_str()),
                Condition::Outcome { equals, value } => ("outcome", *equals, value.as_str()),
                Condition::Dataset { equals, value } => ("dataset", *equals, value.as_str()),
                Condition::Affair { equals, value } => ("affair", *equals, value.as_str()),
                Condition::RuleId { equals, value } => ("rule_id", *equals, value.as_str()),
                Condition::OperatorId { equals, value } => ("operator_id", *equals, value.as_str()),
                Condition::Reason { equals, value } => ("reason", *equals, value.as_str()),
                Condition::Method { equals, value } => ("method", *equals, value.as_str()),
                Condition::Person(person) => ("unified_address_number", true, person.as_str()),
            };
            query.push(" AND ").push(column).push(if equals { " IS " } else { " IS NOT " }).push_bind(value.to_owned());
        }
    }
}

// === impl Comparison ===

impl Comparison {
    fn sql(self) -> &'static str {
        match self {
            Self::Less => " AND requested_at < ",
            Self::LessOrEqual => " AND requested_at <= ",
            Self::Greater => " AND requested_at > ",
            Self::GreaterOrEqual => " AND requested_at >= ",
        }
    }
}
