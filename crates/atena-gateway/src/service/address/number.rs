//! A person's number: what it is found by, and how it is kept.

use atena_domain::UnifiedAddressNumber;
use atena_policy::PersonalNumberPermit;
use atena_store::{KeyState, NewPersonalNumber};
use atena_vault::{PersonKey, PersonalNumber, SealContext};

use super::plan::Index;
use crate::call::Call;
use crate::convert::personal_number_row;
use crate::error::CallError;

/// What a number may be found by: an index under every version of the key in use, the newest last.
pub(super) fn indexes(
    call: &Call,
    keys: &KeyState,
    number: &PersonalNumber,
    permit: &PersonalNumberPermit,
) -> Result<Vec<Index>, CallError> {
    let index = |version: &u32| Ok(*call.hall.vault.blind_index(number, *version, permit)?.as_bytes());
    keys.index_versions.iter().map(index).collect()
}

/// Seals a personal number as the `sequence`-th of a person.
pub(super) fn seal_number(
    key: &PersonKey,
    unified: &UnifiedAddressNumber,
    sequence: u32,
    number: &PersonalNumber,
    (blind_index, index_version): (Index, u32),
) -> Result<NewPersonalNumber, CallError> {
    let row = personal_number_row(unified, sequence);
    let context = SealContext { table: "personal_number", column: "sealed", row: &row };
    Ok(NewPersonalNumber {
        unified_address_number: unified.clone(),
        blind_index,
        index_version,
        sequence,
        sealed: key.seal_personal_number(number, &context)?,
        effective_date: None,
    })
}
