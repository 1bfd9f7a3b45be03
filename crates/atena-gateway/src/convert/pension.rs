//! Content of pension records: contract → checked content.

use atena_domain::pension::{
    Benefit, DatedReason, Exemption, Payment, PaymentMonth, Qualification, Suspension, WelfarePension,
};
use atena_domain::{Dataset, Violation};
use atena_proto::v1;
use bytes::Bytes;
use jiff::civil::Date;
use prost::Message;

use super::in_order::InOrder;

/// Reads a message that stands as we would write it, and tells everything that is wrong with it.
type Reader = fn(&[u8], Date) -> Option<Vec<Violation>>;

/// Checks content of a dataset, every violation at once. What is kept of it stands as we would write it, so that nothing but known fields
/// is in it; `None` for bytes that are no message of the dataset.
pub(super) fn check(dataset: Dataset, content: Bytes, today: Date) -> Option<(Bytes, Vec<Violation>)> {
    match dataset {
        Dataset::Qualification => check_as::<v1::Qualification>(content, qualification, today),
        Dataset::Payment => check_as::<v1::Payment>(content, payment, today),
        Dataset::Exemption => check_as::<v1::Exemption>(content, exemption, today),
        Dataset::Benefit => check_as::<v1::Benefit>(content, benefit, today),
        Dataset::WelfarePension => check_as::<v1::WelfarePension>(content, welfare_pension, today),
        Dataset::Person => None,
    }
}

fn check_as<M: Message + Default>(content: Bytes, read: Reader, today: Date) -> Option<(Bytes, Vec<Violation>)> {
    if let Some(violations) = read(&content, today) {
        return Some((content, violations));
    }
    let content = Bytes::from(M::decode(content).ok()?.encode_to_vec());
    let violations = read(&content, today)?;
    Some((content, violations))
}

fn qualification(content: &[u8], today: Date) -> Option<Vec<Violation>> {
    let mut fields = InOrder::of(content);
    let read = Qualification {
        basic_pension_number: fields.text(1)?,
        insured_type: fields.int32(2)?,
        acquisition: dated_reason(&mut fields, 3)?,
        type_change: dated_reason(&mut fields, 4)?,
        loss: dated_reason(&mut fields, 5)?,
        notification_date: fields.text(6)?,
        pension_fund_joined_date: fields.text(7)?,
        remarks: fields.text(8)?,
    };
    Some(fields.end(read)?.violations(today))
}

/// An acquisition, change or loss: they are written alike.
fn dated_reason<'a>(of: &mut InOrder<'a>, field: u32) -> Option<Option<DatedReason<'a>>> {
    let Some(event) = of.message(field)? else { return Some(None) };
    let mut fields = InOrder::of(event);
    let read = DatedReason { date: fields.text(1)?, reason: fields.int32(2)? };
    fields.end(Some(read))
}

fn payment(content: &[u8], today: Date) -> Option<Vec<Violation>> {
    let mut fields = InOrder::of(content);
    let mut read = Payment {
        basic_pension_number: fields.text(1)?,
        fiscal_year: fields.int32(2)?,
        months: Vec::with_capacity(Payment::MONTHS_MAX),
        ..Payment::default()
    };
    while let Some(month) = fields.message(3)? {
        let mut fields = InOrder::of(month);
        let month = PaymentMonth { month: fields.text(1)?, status: fields.text(2)?, amount_yen: fields.int64(3)? };
        let month = fields.end(month)?;
        // One too many is as wrong as a million.
        if read.months.len() <= Payment::MONTHS_MAX {
            read.months.push(month);
        }
    }
    read.additional_premium_start_date = fields.text(4)?;
    read.additional_premium_end_date = fields.text(5)?;
    read.remarks = fields.text(6)?;
    Some(fields.end(read)?.violations(today))
}

fn exemption(content: &[u8], today: Date) -> Option<Vec<Violation>> {
    let mut fields = InOrder::of(content);
    let read = Exemption {
        basic_pension_number: fields.text(1)?,
        kind: fields.int32(2)?,
        application_date: fields.text(3)?,
        decision: fields.int32(4)?,
        decision_date: fields.text(5)?,
        approved_from: fields.text(6)?,
        approved_to: fields.text(7)?,
        multiple_birth: fields.boolean(8)?,
        birth_or_due_date: fields.text(9)?,
        remarks: fields.text(10)?,
    };
    Some(fields.end(read)?.violations(today))
}

fn benefit(content: &[u8], today: Date) -> Option<Vec<Violation>> {
    let mut fields = InOrder::of(content);
    let mut read = Benefit {
        basic_pension_number: fields.text(1)?,
        pension_code: fields.text(2)?,
        certificate_number: fields.text(3)?,
        kind: fields.int32(4)?,
        disability_grade: fields.int32(5)?,
        award_date: fields.text(6)?,
        payment_start_month: fields.text(7)?,
        annual_amount_yen: fields.int64(8)?,
        suspension: suspension(&mut fields, 9)?,
        ..Benefit::default()
    };
    let _unpaid_benefit_claimed = fields.boolean(10)?;
    read.remarks = fields.text(11)?;
    Some(fields.end(read)?.violations(today))
}

fn welfare_pension(content: &[u8], today: Date) -> Option<Vec<Violation>> {
    let mut fields = InOrder::of(content);
    let read = WelfarePension {
        certificate_number: fields.text(1)?,
        status: fields.int32(2)?,
        award_date: fields.text(3)?,
        payment_start_month: fields.text(4)?,
        annual_amount_yen: fields.int64(5)?,
        suspension: suspension(&mut fields, 6)?,
        income_report_date: fields.text(7)?,
        remarks: fields.text(8)?,
    };
    Some(fields.end(read)?.violations(today))
}

fn suspension<'a>(of: &mut InOrder<'a>, field: u32) -> Option<Option<Suspension<'a>>> {
    let Some(suspension) = of.message(field)? else { return Some(None) };
    let mut fields = InOrder::of(suspension);
    let read = Suspension { reason: fields.int32(1)?, from: fields.text(2)?, to: fields.text(3)? };
    fields.end(Some(read))
}

#[cfg(test)]
mod tests;
