//! Who is calling: step 1 of every call.

use atena_domain::{OperatorId, SystemId};
use atena_policy::{Policy, Refusal};
use tonic::metadata::MetadataMap;

use crate::door::Peer;
use crate::error::CallError;

/// Request metadata that carries the operator id (操作者ID).
pub(crate) const OPERATOR_METADATA: &str = "x-atena-operator-id";

/// A caller found in the registry.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) system_id: SystemId,
    pub(crate) division: String,
}

/// Looks the connection's identity up in the registry of systems, by exact match.
pub(crate) fn identify(policy: &Policy, peer: Option<&Peer>) -> Result<Caller, CallError> {
    let system = peer
        .and_then(|peer| peer.system_id(policy.municipality_code().as_str()))
        .and_then(|id| SystemId::parse(id).ok())
        .and_then(|id| policy.system(&id))
        .ok_or(Refusal::CallerUnknown)?;
    if system.revoked() {
        return Err(Refusal::CallerRevoked.into());
    }
    Ok(Caller { system_id: system.id().clone(), division: system.division().to_owned() })
}

/// The operator id that a person's call carries; recorded, not trusted.
pub(crate) fn operator(metadata: &MetadataMap) -> Result<Option<OperatorId>, CallError> {
    let Some(value) = metadata.get(OPERATOR_METADATA) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| OperatorId::parse(text).ok())
        .map(Some)
        .ok_or_else(|| CallError::field(OPERATOR_METADATA, "must be 1 to 10 of 0-9 A-Z a-z . _ -"))
}
