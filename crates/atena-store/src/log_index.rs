//! The search index of the log: derived from it afterwards, and made anew from it at any time.

use atena_domain::UnifiedAddressNumber;
use sqlx::QueryBuilder;

use crate::error::StoreError;
use crate::log_append::index;
use crate::rows::{BINDS_MAX, count};
use crate::store::Store;
use crate::write::WriteTransaction;

// === impl Store ===

impl Store {
    /// How far the search index reaches: leaves before this are in it.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_index.size")]
    pub async fn log_index_size(&self) -> Result<u64, StoreError> {
        const SIZE: &str = "SELECT size FROM log_index_head WHERE municipality_code = ?";
        match sqlx::query(SIZE).bind(self.code()).fetch_optional(&self.readers).await? {
            Some(row) => count(&row, 0, "log_index_head"),
            None => Ok(0),
        }
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Adds leaves to the search index, which then reaches up to `size`. Sorted by person, so that neighbours are written together.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_index.extend")]
    pub async fn extend_log_index(
        &mut self,
        mut leaves: Vec<(UnifiedAddressNumber, u64)>,
        size: u64,
    ) -> Result<(), StoreError> {
        const REACH: &str = "INSERT INTO log_index_head (municipality_code, size) VALUES (?, ?) \
            ON CONFLICT (municipality_code) DO UPDATE SET size = max(size, excluded.size)";
        leaves.sort_unstable_by(|one, other| (one.0.as_str(), one.1).cmp(&(other.0.as_str(), other.1)));
        for leaves in leaves.chunks(BINDS_MAX / 3) {
            let mut query = QueryBuilder::new(
                "INSERT OR IGNORE INTO log_person (municipality_code, unified_address_number, leaf_index) ",
            );
            let code = self.municipality.as_str();
            query.push_values(leaves, |mut row, (person, leaf)| {
                row.push_bind(code).push_bind(person.as_str()).push_bind(i64::try_from(*leaf).unwrap_or(i64::MAX));
            });
            query.build().execute(&mut *self.transaction).await?;
        }
        sqlx::query(REACH).bind(self.municipality.as_str()).bind(index(size)?).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Empties the search index, to be made anew.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_index.clear")]
    pub async fn clear_log_index(&mut self) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM log_person WHERE municipality_code = ?",
            "DELETE FROM log_index_head WHERE municipality_code = ?",
        ] {
            sqlx::query(statement).bind(self.municipality.as_str()).execute(&mut *self.transaction).await?;
        }
        Ok(())
    }
}
