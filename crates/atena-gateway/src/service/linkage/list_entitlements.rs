//! ListEntitlements: what the caller may have, for which affair, and on which legal basis.

use std::sync::Arc;

use atena_proto::v1;

use crate::call::Call;
use crate::convert::dataset::wire_dataset;
use crate::convert::hexadecimal;
use crate::error::CallError;

pub(crate) async fn run(
    call: Arc<Call>,
    _: v1::ListEntitlementsRequest,
) -> Result<v1::ListEntitlementsResponse, CallError> {
    let policy = call.hall.policy();
    let entitlements = policy.entitlements(&call.caller.system_id, call.hall.today());
    Ok(v1::ListEntitlementsResponse {
        entitlements: entitlements
            .into_iter()
            .map(|entitlement| v1::Entitlement {
                rule_id: entitlement.rule_id,
                rule_name: entitlement.rule_name,
                rule_version: entitlement.rule_version,
                affair: entitlement.affair.as_str().to_owned(),
                dataset: wire_dataset(entitlement.dataset).into(),
                fields: entitlement.fields.to_vec(),
                bases: entitlement
                    .bases
                    .into_iter()
                    .map(|basis| v1::LegalBasis {
                        citation: basis.citation,
                        valid_from: basis.valid_from.to_string(),
                        valid_to: basis.valid_to.map(|day| day.to_string()).unwrap_or_default(),
                    })
                    .collect(),
                valid_from: entitlement.valid_from.to_string(),
                valid_to: entitlement.valid_to.map(|day| day.to_string()).unwrap_or_default(),
            })
            .collect(),
        policy_hash: hexadecimal(&policy.hash()),
    })
}
