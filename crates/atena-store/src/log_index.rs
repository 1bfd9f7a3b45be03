//! The search index of the log: derived from it afterwards, and made anew from it at any time.

use atena_domain::UnifiedAddressNumber;

use crate::engine::{Insert, Sql, Statement, signed};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::log_append::index;
use crate::store::Store;
use crate::write::WriteTransaction;

const SIZE: Sql = Sql::same("SELECT size FROM log_index_head WHERE municipality_code = $1");

// Another gateway may have been faster: then the index reaches further already.
const EXTEND: Sql = Sql::same(
    "INSERT INTO log_index_head (municipality_code, size)
    VALUES ($1, $2)
    ON CONFLICT (municipality_code) DO UPDATE SET size = excluded.size
    WHERE log_index_head.size < excluded.size",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.log_index.size", Listed::Sql(SIZE)),
    ("db.log_index.extend", Listed::Insert(|| leaf_rows("", &[]))),
    ("db.log_index.extend: size", Listed::Sql(EXTEND)),
];

// === impl Store ===

impl Store {
    /// How far the search index reaches: leaves before this are in it.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_index.size")]
    pub async fn log_index_size(&self) -> Result<u64, StoreError> {
        let row = self.engine.fetch_optional(&Statement::about(self.code(), SIZE)).await?;
        row.map_or(Ok(0), |row| row.count(0, "log_index_head"))
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Adds leaves to the search index, which then reaches up to `size`.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_index.extend")]
    pub async fn extend_log_index(
        &mut self,
        leaves: &[(UnifiedAddressNumber, u64)],
        size: u64,
    ) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        self.transaction.insert(&leaf_rows(code, leaves)).await?;
        self.transaction.execute(&Statement::about(code, EXTEND).integer(index(size)?)).await
    }
}

fn leaf_rows<'q>(code: &'q str, leaves: &'q [(UnifiedAddressNumber, u64)]) -> Insert<'q> {
    Insert::into("log_person", code, leaves.len())
        .texts("unified_address_number", leaves.iter().map(|(person, _)| person.as_str()))
        .integers("leaf_index", leaves.iter().map(|(_, leaf)| signed(*leaf)))
        .on_conflict(" ON CONFLICT DO NOTHING")
}
