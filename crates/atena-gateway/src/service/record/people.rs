//! The people whom a push is about, looked up before its turn.

use std::collections::HashMap;
use std::sync::Arc;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_store::WriteTransaction;
use atena_vault::PersonKey;

use crate::call::Call;
use crate::error::CallError;

/// Somebody who is linked in the caller's system. A link never changes: whoever was there before the turn is there in it, unless they were erased.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) unified_address_number: UnifiedAddressNumber,
    /// What seals records about them; none for somebody who is erased at this moment.
    pub(super) key: Option<Arc<PersonKey>>,
}

/// People by the caller's own number.
pub(super) type People = HashMap<LocalAddressNumber, Person>;

/// The people behind local numbers of the caller, and how many people had been erased when they were looked up; `None` where nobody was.
pub(super) async fn of(call: &Call, locals: Vec<LocalAddressNumber>) -> Result<(Option<u64>, People), CallError> {
    let locals = once_each(locals);
    if locals.is_empty() {
        return Ok((None, People::new()));
    }
    let store = &call.hall.store;
    // First: whoever is erased after this is found out in the turn.
    let erasures = store.erasures().await?;
    let linked = store.links_by_local(&call.caller.system_id, &locals).await?;
    let keys = call.hall.vault.unwrap_person_keys(&store.person_keys(&numbers(&linked)).await?)?;
    Ok((Some(erasures), with_keys(linked, &keys)))
}

/// As [`of`], in the turn: nobody is erased until it ends.
pub(super) async fn in_turn(
    call: &Call,
    transaction: &mut WriteTransaction,
    locals: Vec<LocalAddressNumber>,
) -> Result<People, CallError> {
    let linked = transaction.links_by_local(&call.caller.system_id, &once_each(locals)).await?;
    let keys = call.hall.vault.unwrap_person_keys(&transaction.person_keys(&numbers(&linked)).await?)?;
    Ok(with_keys(linked, &keys))
}

fn once_each<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    if !values.is_sorted() {
        values.sort_unstable();
    }
    values.dedup();
    values
}

fn numbers(linked: &HashMap<LocalAddressNumber, UnifiedAddressNumber>) -> Vec<UnifiedAddressNumber> {
    once_each(linked.values().cloned().collect())
}

fn with_keys(
    linked: HashMap<LocalAddressNumber, UnifiedAddressNumber>,
    keys: &HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
) -> People {
    let person = |(local, number): (_, UnifiedAddressNumber)| {
        let key = keys.get(&number).cloned();
        (local, Person { unified_address_number: number, key })
    };
    linked.into_iter().map(person).collect()
}
