//! Erasing details whose retention period has ended. The leaves stay, and with them every proof.

use crate::engine::{Sql, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::log_append::index;
use crate::log_details::{StoredDetails, pack_stored};
use crate::store::Store;
use crate::write::WriteTransaction;

const PLACE: Sql = Sql::same("SELECT first_index FROM log_retention WHERE municipality_code = $1 AND kind = $2");

const REPLACE_DETAILS: Sql = Sql::same(
    "UPDATE log_details SET details = $3
    WHERE municipality_code = $1 AND first_index = $2",
);

const FORGET_LEAF: Sql = Sql::same(
    "DELETE FROM log_person
    WHERE municipality_code = $1 AND unified_address_number = $2 AND leaf_index = $3",
);

const SET_PLACE: Sql = Sql::same(
    "INSERT INTO log_retention (municipality_code, kind, first_index)
    VALUES ($1, $2, $3)
    ON CONFLICT (municipality_code, kind) DO UPDATE SET first_index = excluded.first_index",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.log_retention.place", Listed::Sql(PLACE)),
    ("db.log_details.erase", Listed::Sql(REPLACE_DETAILS)),
    ("db.log_details.erase: search index", Listed::Sql(FORGET_LEAF)),
    ("db.log_retention.set", Listed::Sql(SET_PLACE)),
];

// === impl Store ===

impl Store {
    /// The first chunk whose details of this kind may not be erased yet.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_retention.place")]
    pub async fn retention_place(&self, kind: &str) -> Result<u64, StoreError> {
        let row = self.engine.fetch_optional(&Statement::about(self.code(), PLACE).text(kind)).await?;
        row.map_or(Ok(0), |row| row.count(0, "log_retention"))
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Replaces the details of a chunk by what is left of them, and removes erased leaves from the
    /// search index.
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
        let left = pack_stored(left);
        let code = self.municipality.as_str();
        let replace = Statement::about(code, REPLACE_DETAILS).integer(index(first_index)?).bytes(&left);
        self.transaction.execute(&replace).await?;
        for (person, leaf) in erased {
            let forget = Statement::about(code, FORGET_LEAF).text(person.as_str()).integer(index(*leaf)?);
            self.transaction.execute(&forget).await?;
        }
        Ok(())
    }

    /// Records how far a kind of details has been erased.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log_retention.set")]
    pub async fn set_retention_place(&mut self, kind: &str, first_index: u64) -> Result<(), StoreError> {
        let set = Statement::about(self.municipality.as_str(), SET_PLACE).text(kind).integer(index(first_index)?);
        self.transaction.execute(&set).await
    }
}
