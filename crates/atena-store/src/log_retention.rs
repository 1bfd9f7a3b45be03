//! Erasing details whose retention period has ended. The leaves stay, and with them every proof.

use crate::error::StoreError;
use crate::log_append::index;
use crate::log_details::{StoredDetails, pack_stored};
use crate::rows::count;
use crate::store::Store;
use crate::write::WriteTransaction;

// === impl Store ===

impl Store {
    /// The first chunk whose details of this kind may not be erased yet.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_retention.place")]
    pub async fn retention_place(&self, kind: &str) -> Result<u64, StoreError> {
        const PLACE: &str = "SELECT first_index FROM log_retention WHERE municipality_code = ? AND kind = ?";
        match sqlx::query(PLACE).bind(self.code()).bind(kind).fetch_optional(&self.readers).await? {
            Some(row) => count(&row, 0, "log_retention"),
            None => Ok(0),
        }
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Replaces the details of a chunk by what is left of them, and takes leaves whose details are gone out of the search index.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_details.erase")]
    pub async fn replace_log_details(
        &mut self,
        first_index: u64,
        left: &[StoredDetails],
        erased: &[(atena_domain::UnifiedAddressNumber, u64)],
    ) -> Result<(), StoreError> {
        const REPLACE: &str = "UPDATE log_details SET details = ? WHERE municipality_code = ? AND first_index = ?";
        const FORGET: &str =
            "DELETE FROM log_person WHERE municipality_code = ? AND unified_address_number = ? AND leaf_index = ?";
        sqlx::query(REPLACE)
            .bind(pack_stored(left))
            .bind(self.municipality.as_str())
            .bind(index(first_index)?)
            .execute(&mut *self.transaction)
            .await?;
        for (person, leaf) in erased {
            sqlx::query(FORGET)
                .bind(self.municipality.as_str())
                .bind(person.as_str())
                .bind(index(*leaf)?)
                .execute(&mut *self.transaction)
                .await?;
        }
        Ok(())
    }

    /// Keeps how far a kind of details has been erased.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_retention.set")]
    pub async fn set_retention_place(&mut self, kind: &str, first_index: u64) -> Result<(), StoreError> {
        const SET: &str = "INSERT INTO log_retention (municipality_code, kind, first_index) VALUES (?, ?, ?) \
            ON CONFLICT (municipality_code, kind) DO UPDATE SET first_index = excluded.first_index";
        sqlx::query(SET)
            .bind(self.municipality.as_str())
            .bind(kind)
            .bind(index(first_index)?)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }
}
