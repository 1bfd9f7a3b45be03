//! The transfer records of a call.

use std::sync::Arc;

use atena_domain::Dataset;
use atena_ledger::Outcome;
use atena_policy::ReleasePermit;

use super::Call;
use crate::error::{CallError, Reason};
use crate::transfer::{Heading, Subject, Text, TransferRecord};

// === impl Call ===

impl Call {
    /// What records of this call about a dataset have in common.
    pub(crate) fn heading(&self, dataset: Option<Dataset>) -> Heading {
        Heading {
            system_id: self.caller.system_id.as_str().into(),
            division: Some(self.caller.division.as_str().into()),
            operator_id: self.operator.as_ref().map(|operator| operator.as_str().into()),
            operator_proof: self.caller.person.as_ref().map(|person| person.proof).unwrap_or_default(),
            dataset,
            request_id: self.request_id().map(Text::from),
            ..Heading::blank(self.hall.policy_hash(), self.method, self.requested_at)
        }
    }

    /// What records of what `permit` releases have in common.
    pub(crate) fn release_heading(&self, permit: &ReleasePermit) -> Heading {
        Heading {
            affair: Some(permit.affair().as_str().into()),
            rule_id: Some(permit.rule_id().into()),
            rule_version: permit.rule_version(),
            legal_basis: Some(permit.basis().into()),
            fields: permit.field_names(),
            policy_hash: permit.policy_hash(),
            ..self.heading(Some(permit.dataset()))
        }
    }

    /// A record of this call about `subject`, an outcome still to be set.
    pub(crate) fn transfer(&self, dataset: Option<Dataset>, subject: Subject) -> TransferRecord {
        TransferRecord::under(&Arc::new(self.heading(dataset)), subject)
    }

    /// A record of what `permit` released.
    pub(crate) fn release(&self, permit: &ReleasePermit, subject: Subject) -> TransferRecord {
        let record = TransferRecord::under(&Arc::new(self.release_heading(permit)), subject);
        TransferRecord { outcome: Outcome::Released, ..record }
    }

    /// The record of a call that failed as a whole.
    pub(crate) fn failure(&self, error: &CallError) -> TransferRecord {
        let mut record = self.transfer(None, Subject::default());
        record.outcome = match error.reason {
            Reason::CallCancelled => Outcome::Cancelled,
            Reason::CallTimedOut => Outcome::TimedOut,
            Reason::Internal | Reason::StoreUnavailable | Reason::LogUnavailable => Outcome::Failed,
            _ => Outcome::Refused,
        };
        record.reason = Some(error.reason.as_str());
        record
    }
}
