//! A pushed record: contract → checked content.

use atena_domain::pension::{
    Benefit, DatedReason, Exemption, Payment, PaymentMonth, Qualification, Suspension, WelfarePension,
};
use atena_domain::{Dataset, LocalAddressNumber, RecordKey, Violation};
use atena_proto::v1;
use atena_proto::v1::pushed_record::Body;
use prost::Message;

use super::dataset::parse_pension_dataset;
use super::problems;
use crate::error::{CallError, FieldProblem};

/// A record that has passed every check of its own.
pub(crate) struct ParsedRecord {
    pub(crate) local_address_number: LocalAddressNumber,
    pub(crate) record_key: RecordKey,
    pub(crate) revision: u64,
    pub(crate) dataset: Dataset,
    /// The record's message in wire form, re-encoded by us, so that nothing but known fields is in it; `None` for a deletion.
    pub(crate) content: Option<Vec<u8>>,
}

/// The dataset that a pushed record belongs to.
pub(crate) fn dataset_of(record: &v1::PushedRecord) -> Result<Dataset, CallError> {
    Ok(match &record.body {
        Some(Body::Qualification(_)) => Dataset::Qualification,
        Some(Body::Payment(_)) => Dataset::Payment,
        Some(Body::Exemption(_)) => Dataset::Exemption,
        Some(Body::Benefit(_)) => Dataset::Benefit,
        Some(Body::WelfarePension(_)) => Dataset::WelfarePension,
        Some(Body::Deletion(deletion)) => parse_pension_dataset(deletion.dataset)?,
        None => return Err(CallError::field("body", "is required: a record or a deletion")),
    })
}

/// Checks a record, every violation at once.
pub(crate) fn parse_record(record: v1::PushedRecord) -> Result<ParsedRecord, CallError> {
    let dataset = dataset_of(&record)?;
    let mut found = Vec::new();
    let local = LocalAddressNumber::parse(&record.local_address_number);
    if let Err(error) = &local {
        found.push(FieldProblem { field: "local_address_number".to_owned(), description: error.to_string().into() });
    }
    let key = RecordKey::parse(&record.record_key);
    if let Err(error) = &key {
        found.push(FieldProblem { field: "record_key".to_owned(), description: error.to_string().into() });
    }
    if !(1..=REVISION_MAX).contains(&record.revision) {
        found.push(FieldProblem {
            field: "revision".to_owned(),
            description: "must be 1 or more, and below 2^63".into(),
        });
    }
    let content = match record.body {
        Some(Body::Qualification(body)) => {
            found.extend(problems("qualification", qualification(&body)));
            Some(body.encode_to_vec())
        }
        Some(Body::Payment(body)) => {
            found.extend(problems("payment", payment(&body)));
            Some(body.encode_to_vec())
        }
        Some(Body::Exemption(body)) => {
            found.extend(problems("exemption", exemption(&body)));
            Some(body.encode_to_vec())
        }
        Some(Body::Benefit(body)) => {
            found.extend(problems("benefit", benefit(&body)));
            Some(body.encode_to_vec())
        }
        Some(Body::WelfarePension(body)) => {
            found.extend(problems("welfare_pension", welfare_pension(&body)));
            Some(body.encode_to_vec())
        }
        Some(Body::Deletion(_)) | None => None,
    };
    match (local, key) {
        (Ok(local_address_number), Ok(record_key)) if found.is_empty() => {
            Ok(ParsedRecord { local_address_number, record_key, revision: record.revision, dataset, content })
        }
        _ => Err(CallError::fields(found)),
    }
}

/// Revisions are kept as signed 64-bit integers.
const REVISION_MAX: u64 = i64::MAX as u64;

fn qualification(body: &v1::Qualification) -> Vec<Violation> {
    Qualification {
        basic_pension_number: &body.basic_pension_number,
        insured_type: body.insured_type,
        acquisition: body.acquisition.as_ref().map(|event| DatedReason { date: &event.date, reason: event.reason }),
        type_change: body.type_change.as_ref().map(|event| DatedReason { date: &event.date, reason: event.reason }),
        loss: body.loss.as_ref().map(|event| DatedReason { date: &event.date, reason: event.reason }),
        notification_date: &body.notification_date,
        pension_fund_joined_date: &body.pension_fund_joined_date,
        remarks: &body.remarks,
    }
    .violations()
}

fn payment(body: &v1::Payment) -> Vec<Violation> {
    Payment {
        basic_pension_number: &body.basic_pension_number,
        fiscal_year: body.fiscal_year,
        months: body
            .months
            .iter()
            .map(|month| PaymentMonth { month: &month.month, status: &month.status, amount_yen: month.amount_yen })
            .collect(),
        additional_premium_start_date: &body.additional_premium_start_date,
        additional_premium_end_date: &body.additional_premium_end_date,
        remarks: &body.remarks,
    }
    .violations()
}

fn exemption(body: &v1::Exemption) -> Vec<Violation> {
    Exemption {
        basic_pension_number: &body.basic_pension_number,
        kind: body.kind,
        application_date: &body.application_date,
        decision: body.decision,
        decision_date: &body.decision_date,
        approved_from: &body.approved_from,
        approved_to: &body.approved_to,
        multiple_birth: body.multiple_birth,
        birth_or_due_date: &body.birth_or_due_date,
        remarks: &body.remarks,
    }
    .violations()
}

fn benefit(body: &v1::Benefit) -> Vec<Violation> {
    Benefit {
        basic_pension_number: &body.basic_pension_number,
        pension_code: &body.pension_code,
        certificate_number: &body.certificate_number,
        kind: body.kind,
        disability_grade: body.disability_grade,
        award_date: &body.award_date,
        payment_start_month: &body.payment_start_month,
        annual_amount_yen: body.annual_amount_yen,
        suspension: body.suspension.as_ref().map(suspension),
        remarks: &body.remarks,
    }
    .violations()
}

fn welfare_pension(body: &v1::WelfarePension) -> Vec<Violation> {
    WelfarePension {
        certificate_number: &body.certificate_number,
        status: body.status,
        award_date: &body.award_date,
        payment_start_month: &body.payment_start_month,
        annual_amount_yen: body.annual_amount_yen,
        suspension: body.suspension.as_ref().map(suspension),
        income_report_date: &body.income_report_date,
        remarks: &body.remarks,
    }
    .violations()
}

fn suspension(body: &v1::Suspension) -> Suspension<'_> {
    Suspension { reason: body.reason, from: &body.from, to: &body.to }
}
