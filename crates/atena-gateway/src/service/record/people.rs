//! The people whom a push is about, looked up before its turn.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_vault::PersonKey;

use crate::call::Call;
use crate::error::CallError;

/// People whom a chunk is about, with their keys. A link never changes: whoever was there before the turn is there in it, unless they were erased.
#[derive(Default)]
pub(super) struct People {
    /// How many people had been erased when the first of these were looked up.
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
        let people: HashSet<_> = linked.values().cloned().collect();
        let people: Vec<_> = people.into_iter().collect();
        let keys = call.hall.open_keys(&call.hall.store.person_keys(&people).await?)?;
        Ok(Self { erasures, linked, keys })
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
