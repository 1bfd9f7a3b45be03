//! Registrations that a person has to decide about (名寄せの確認).

use atena_domain::UnifiedAddressNumber;
use atena_proto::v1;
use atena_store::{NewReviewCase, ReviewKind, WriteTransaction};
use atena_vault::SealContext;

use super::candidate::Success;
use crate::call::Call;
use crate::convert::person::Registration;
use crate::error::CallError;

/// Opens a case for a person to decide. The registration is kept sealed under the municipality's own key: it belongs to nobody yet.
pub(super) async fn open_case(
    call: &Call,
    transaction: &mut WriteTransaction,
    kind: ReviewKind,
    registration: &Registration,
    unified_address_number: UnifiedAddressNumber,
    other_unified_address_number: Option<UnifiedAddressNumber>,
) -> Result<Success, CallError> {
    let local = &registration.local_address_number;
    let row = [call.caller.system_id.as_str(), local.as_str()].join("/");
    let context = SealContext { table: "review_case", column: "sealed", row: row.as_bytes() };
    let identity = [
        row.as_str(),
        unified_address_number.as_str(),
        other_unified_address_number.as_ref().map_or("", UnifiedAddressNumber::as_str),
    ]
    .join("/");
    // As the row said it, absent fields absent: it is for a person to decide what becomes of it.
    let mut content = identity.into_bytes();
    content.extend_from_slice(&registration.given);
    let case = transaction
        .open_review_case(NewReviewCase {
            kind,
            system_id: call.caller.system_id.clone(),
            local_address_number: local.clone(),
            unified_address_number,
            other_unified_address_number,
            sealed: call.hall.vault.municipal_key().seal(&context, &registration.given)?,
            content_mac: call.hall.vault.content_mac("review_case", &content),
            created_at: call.requested_at,
        })
        .await?;
    Ok(Success { outcome: v1::RegistrationOutcome::ReviewRequired, unified: None, review_case: Some(case) })
}
