//! Reading the admin log at the machine: every leaf, verified against the signed head above it, with its details.

use atena_ledger::{Frontier, open_checkpoint};
use atena_store::{Log, StoreError};

use super::Keeper;
use crate::admin::{self, AdminRecord};
use crate::gateway::GatewayError;
use crate::log::LogKeys;

/// Chunks read at once.
const CHUNKS_AT_ONCE: u32 = 64;

/// Why the admin log can't be believed.
#[derive(Debug, thiserror::Error)]
pub enum AdminLogError {
    /// The database, or the keys.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// It can't be read.
    #[error("the admin log can't be read: {0}. Run `atena log fsck`")]
    Store(#[from] StoreError),
    /// It is not what was signed.
    #[error("the admin log is not what was signed. Run `atena log fsck`")]
    NotSigned,
}

// === impl Keeper ===

impl Keeper {
    /// Every record of the admin log, oldest first, whose leaves give its newest signed head.
    ///
    /// # Errors
    /// [`AdminLogError`].
    pub async fn admin_records(&self) -> Result<Vec<AdminRecord>, AdminLogError> {
        let store = self.store.about_log(Log::Administration);
        let keys = LogKeys::of(Log::Administration, &self.municipality, &self.vault).map_err(GatewayError::from)?;
        let Some(head) = store.newest_checkpoint().await? else { return Ok(Vec::new()) };
        let head = open_checkpoint(&head.note, &keys).map_err(|_| AdminLogError::NotSigned)?;
        let (mut tree, mut records) = (Frontier::empty(), Vec::new());
        while tree.size() < head.size {
            let chunks = store.log_chunks_from(tree.size(), CHUNKS_AT_ONCE).await?;
            if chunks.first().is_none_or(|chunk| chunk.first_index != tree.size()) {
                return Err(AdminLogError::NotSigned);
            }
            for chunk in chunks {
                let details = store.log_details(chunk.first_index).await?;
                let leaves = chunk.leaves()?;
                for ((shape, leaf), details) in leaves.leaves().zip(&details) {
                    // A running gateway may have added some since.
                    if tree.size() == head.size {
                        break;
                    }
                    let hash = leaf.hash(shape, &mut Vec::new()).map_err(|_| AdminLogError::NotSigned)?;
                    let shape = shape.shape().map_err(|_| AdminLogError::NotSigned)?;
                    records.push(admin::open(&self.vault, tree.size(), &shape, leaf, details)?);
                    tree.push(hash, |_, _, _| {});
                }
            }
        }
        if tree.root() == head.root { Ok(records) } else { Err(AdminLogError::NotSigned) }
    }
}
