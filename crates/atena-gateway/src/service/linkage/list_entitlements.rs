//! ListEntitlements: what the caller may have, for which affair, and on which legal basis. Who answers for the rules is told those of every
//! system.

use std::sync::Arc;

use atena_domain::SystemId;
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
    let today = call.hall.today();
    let of_caller = |system: &SystemId| -> Vec<_> {
        policy.entitlements(system, today).into_iter().map(|entitlement| (system.clone(), entitlement)).collect()
    };
    let entitlements = match call.caller.authorize_rules(&call.hall) {
        None => of_caller(&call.caller.system_id),
        Some(permit) => policy.rules_in_force(&permit?, today),
    };
    Ok(v1::ListEntitlementsResponse {
        entitlements: entitlements
            .into_iter()
            .map(|(system, entitlement)| v1::Entitlement {
                system_id: system.as_str().to_owned(),
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
