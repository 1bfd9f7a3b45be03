//! The people whom a push is about, looked up before its turn.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_store::WriteTransaction;
use atena_vault::PersonKey;

use crate::call::Call;
use crate::error::CallError;

/// People whom a chunk is about, with their keys. A link never changes: whoever was there before the turn is there in it, unless they were erased.
#[derive(Default)]
pub(super) struct People {
    /// How many people had been erased when the first of these were looked up; `None` in the turn, and where there are none.
    pub(super) erasures: Option<u64>,
    pub(super) linked: HashMap<LocalAddressNumber, UnifiedAddressNumber>,
    pub(super) keys: HashMap<UnifiedAddressNumber, Arc<PersonKey>>,
}

// === impl People ===

impl People {
    /// Those behind local numbers of the caller, with their keys.
    pub(super) async fn of(call: &Call, locals: &[LocalAddressNumber]) -> Result<Self, CallError> {
        if locals.is_empty() {
            return Ok(Self::default());
        }
        // First: whoever is erased after this is found out in the turn.
        let erasures = Some(call.hall.store.erasures().await?);
        let linked = call.hall.store.links_by_local(&call.caller.system_id, locals).await?;
        let keys = call.hall.open_keys(&call.hall.store.person_keys(&once_each(&linked)).await?)?;
        Ok(Self { erasures, linked, keys })
    }

    /// As [`People::of`], in the turn: nobody is erased until it ends.
    pub(super) async fn in_turn(
        call: &Call,
        transaction: &mut WriteTransaction,
        locals: &[LocalAddressNumber],
    ) -> Result<Self, CallError> {
        let linked = transaction.links_by_local(&call.caller.system_id, locals).await?;
        let keys = call.hall.open_keys(&transaction.person_keys(&once_each(&linked)).await?)?;
        Ok(Self { erasures: None, linked, keys })
    }

    pub(super) fn add(&mut self, more: Self) {
        self.erasures = self.erasures.into_iter().chain(more.erasures).min();
        self.linked.extend(more.linked);
        self.keys.extend(more.keys);
    }

    /// The person behind a local number, with their key.
    pub(super) fn find(&self, local: &LocalAddressNumber) -> Option<(&UnifiedAddressNumber, &Arc<PersonKey>)> {
        let person = self.linked.get(local)?;
        Some((person, self.keys.get(person)?))
    }
}

fn once_each(linked: &HashMap<LocalAddressNumber, UnifiedAddressNumber>) -> Vec<UnifiedAddressNumber> {
    let people: HashSet<_> = linked.values().collect();
    people.into_iter().cloned().collect()
}
