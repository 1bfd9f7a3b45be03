//! The hall: what every call needs, put together once at start.

use std::sync::Arc;

use arc_swap::ArcSwap;
use atena_domain::{Dataset, MunicipalityCode};
use atena_policy::{FieldCatalog, Policy};
use atena_store::{KeyState, Store, WriteTransaction};
use atena_vault::Vault;
use tonic::metadata::AsciiMetadataValue;

use crate::admin::AdminLog;
use crate::catalog::field_catalog;
use crate::clock;
use crate::clock_guard::ClockGuard;
use crate::config::Limits;
use crate::convert::hexadecimal;
use crate::error::CallError;
use crate::health::Health;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::people::People;
use crate::together::Together;

/// Rules, database, keys, limits and counters of one municipality.
pub(crate) struct Hall {
    /// The rules in force; see [`Self::policy`].
    rules: ArcSwap<Rules>,
    municipality: MunicipalityCode,
    pub(crate) catalog: FieldCatalog,
    pub(crate) store: Store,
    pub(crate) together: Together,
    pub(crate) vault: Arc<Vault>,
    pub(crate) log: Arc<Log>,
    pub(crate) people: People,
    pub(crate) admin: Arc<AdminLog>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Arc<ClockGuard>,
}

/// What shows from outside how a gateway is.
pub(crate) struct Watched {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Arc<ClockGuard>,
}

/// Rules, and their hash as every answer carries it.
struct Rules {
    policy: Arc<Policy>,
    stamp: AsciiMetadataValue,
}

/// Rules that were read anew are of another municipality.
#[derive(Debug, thiserror::Error)]
#[error("they are rules of another municipality, {}", .0.as_str())]
pub struct OtherMunicipality(pub(crate) MunicipalityCode);

// === impl Rules ===

impl Rules {
    fn of(policy: Policy) -> Self {
        // 64 hexadecimal digits are always a value.
        let stamp = hexadecimal(&policy.hash()).parse().unwrap_or_else(|_| AsciiMetadataValue::from_static(""));
        Self { policy: Arc::new(policy), stamp }
    }
}

// === impl Hall ===

impl Hall {
    /// The hall of the municipality whose rules these are.
    pub(crate) fn of(
        policy: Policy,
        people: People,
        store: Store,
        vault: Arc<Vault>,
        (log, admin): (Arc<Log>, Arc<AdminLog>),
        limits: Limits,
        watched: Watched,
    ) -> Self {
        let Watched { metrics, health, clock } = watched;
        Self {
            municipality: policy.municipality_code().clone(),
            metrics,
            rules: ArcSwap::from_pointee(Rules::of(policy)),
            catalog: field_catalog(),
            store,
            together: Together::default(),
            vault,
            log,
            people,
            admin,
            limits,
            health,
            clock,
        }
    }

    /// The rules in force now. They may change while a call is under way, so what has to fit together is decided by one of them.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.rules.load().policy)
    }

    /// SHA-256 of the rules in force now.
    pub(crate) fn policy_hash(&self) -> [u8; 32] {
        self.rules.load().policy.hash()
    }

    /// The same, as an answer carries it.
    pub(crate) fn stamp(&self) -> AsciiMetadataValue {
        self.rules.load().stamp.clone()
    }

    /// Puts other rules in force, for the next decision on.
    pub(crate) fn change_policy(&self, policy: Policy) -> Result<(), OtherMunicipality> {
        if *policy.municipality_code() != self.municipality {
            return Err(OtherMunicipality(policy.municipality_code().clone()));
        }
        self.admin.set_policy_hash(policy.hash());
        self.rules.store(Arc::new(Rules::of(policy)));
        Ok(())
    }

    /// The municipality (全国地方公共団体コード) that is served here.
    pub(crate) fn municipality_code(&self) -> &MunicipalityCode {
        &self.municipality
    }

    /// Today in Japan, for the validity of rules and legal bases.
    pub(crate) fn today(&self) -> jiff::civil::Date {
        clock::japanese_day(clock::now())
    }

    /// The keys in use, as the transaction sees them; until it ends nobody changes them. Where they are newer than those of this gateway, it
    /// reads its own again.
    pub(crate) async fn key_state(&self, transaction: &mut WriteTransaction) -> Result<KeyState, CallError> {
        let state = transaction.key_state().await?;
        let state = state.unwrap_or_else(|| first_keys(&self.vault));
        if !has(&self.vault, &state) {
            self.vault.read_again()?;
        }
        if has(&self.vault, &state) { Ok(state) } else { Err(CallError::keys_missing()) }
    }

    /// The keys as they are in use now, if they are here: those of the next transaction, unless a rotation comes between.
    pub(crate) async fn key_state_ahead(&self) -> Result<Option<KeyState>, CallError> {
        let state = self.store.key_state().await?;
        Ok(state.filter(|state| has(&self.vault, state)))
    }

    /// The paths of every field of a dataset: what a push replaces.
    pub(crate) fn fields_of(&self, dataset: Dataset) -> Arc<[String]> {
        self.catalog.fields(dataset).iter().map(|field| field.path.clone()).collect()
    }
}

/// The keys in use where none was ever rotated: the first of each, though there may be newer ones already.
pub(crate) fn first_keys(vault: &Vault) -> KeyState {
    KeyState {
        wrapping_id: vault.wrapping_ids().into_iter().next().unwrap_or_default(),
        index_versions: vault.index_versions().into_iter().take(1).collect(),
    }
}

fn has(vault: &Vault, state: &KeyState) -> bool {
    let versions = vault.index_versions();
    vault.wrapping_ids().contains(&state.wrapping_id)
        && state.index_versions.iter().all(|version| versions.contains(version))
}
