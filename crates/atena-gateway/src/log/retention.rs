//! What the details of a leaf are kept for (保存期間), and what the leaf of an erasure says.

use atena_ledger::{Leaf, LeafShape, Outcome};

use super::is_audit;
use crate::config::RetentionConfig;

/// Under which name the gateway records what it does by itself.
pub(crate) const GATEWAY: &str = "atena";

/// What is kept for one length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Transfers,
    Refusals,
    Audits,
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Transfers, Self::Refusals, Self::Audits];

    /// The kind of a leaf; `None` for the records of erasures and of what those did who run the system, whose details are kept for ever (they
    /// name nobody of whom data is kept).
    pub(crate) fn of(shape: &LeafShape, leaf: &Leaf) -> Option<Self> {
        match leaf.outcome {
            Outcome::Erased | Outcome::Begun | Outcome::Done => None,
            _ if is_audit(&shape.method) => Some(Self::Audits),
            Outcome::Released | Outcome::Received => Some(Self::Transfers),
            Outcome::Refused | Outcome::Cancelled | Outcome::TimedOut | Outcome::Failed => Some(Self::Refusals),
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Transfers => "transfers",
            Self::Refusals => "refusals",
            Self::Audits => "audits",
        }
    }

    pub(crate) fn days(self, config: &RetentionConfig) -> u32 {
        match self {
            Self::Transfers => config.transfers_days,
            Self::Refusals => config.refusals_days,
            Self::Audits => config.audits_days,
        }
    }
}

/// What the leaf of an erasure says was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Erasure {
    /// Details of calls before this time, microseconds since 1970.
    pub(crate) before: u64,
    /// Of calls that a wrong clock dated later than now: details of the leaves before this one. A
    /// leaf after them has come of age, so they have too.
    pub(crate) ahead_until: u64,
}

// === impl Erasure ===

impl Erasure {
    /// Reads the leaf of an erasure.
    pub(crate) fn read(shape: &LeafShape, leaf: &Leaf) -> Option<(Kind, Self)> {
        let (kind, before, ahead) = match shape.fields.as_slice() {
            [kind, before] => (kind, before, None),
            [kind, before, ahead] => (kind, before, Some(ahead)),
            _ => return None,
        };
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        let before = before.strip_prefix("before:")?.parse().ok()?;
        let ahead_until = ahead.map_or(Some(0), |ahead| ahead.strip_prefix("ahead_until:")?.parse().ok())?;
        let is_erasure = leaf.outcome == Outcome::Erased && shape.system == GATEWAY;
        is_erasure.then_some((kind, Self { before, ahead_until }))
    }

    /// As the leaf says it.
    pub(crate) fn fields(self, kind: Kind) -> Vec<String> {
        let mut fields = vec![kind.as_str().to_owned(), format!("before:{}", self.before)];
        if self.ahead_until > 0 {
            fields.push(format!("ahead_until:{}", self.ahead_until));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_town::{day, leaf, shape};

    #[test]
    fn copies_of_the_log_are_kept_as_long_as_other_questions_about_it() {
        for (method, outcome, kind) in [
            ("TransferLogService/ListTransfers", Outcome::Released, Some(Kind::Audits)),
            ("Log/Fetch", Outcome::Released, Some(Kind::Audits)),
            ("Log/Fetch", Outcome::Refused, Some(Kind::Audits)),
            ("LinkageService/PullRecords", Outcome::Released, Some(Kind::Transfers)),
            ("LinkageService/PullRecords", Outcome::Refused, Some(Kind::Refusals)),
            ("Log/EraseDetails", Outcome::Erased, None),
        ] {
            let shape = shape(method, "auditor", Vec::new());
            assert_eq!(Kind::of(&shape, &leaf(1, day(0), outcome)), kind, "{method} {outcome:?}");
        }
    }

    #[test]
    fn the_leaf_of_an_erasure_is_read_back() {
        let erased = leaf(1, day(0), Outcome::Erased);
        for erasure in [Erasure { before: 7, ahead_until: 0 }, Erasure { before: 7, ahead_until: 9 }] {
            let shape = shape("Log/EraseDetails", GATEWAY, erasure.fields(Kind::Audits));
            assert_eq!(Erasure::read(&shape, &erased), Some((Kind::Audits, erasure)));
        }
        for wrong in [&["audits"][..], &["audits", "before:x"], &["audits", "before:1", "before:2"]] {
            let fields = wrong.iter().map(|&field| field.to_owned()).collect();
            assert_eq!(Erasure::read(&shape("Log/EraseDetails", GATEWAY, fields), &erased), None, "{wrong:?}");
        }
    }
}
