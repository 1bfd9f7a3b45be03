//! Erasing people: the key that everything about them is sealed with, and whatever could link what is left to them.

use atena_domain::UnifiedAddressNumber;

use crate::engine::{Engine, Row, Sql, Statement, sql};
use crate::error::StoreError;
use crate::store::Store;
use crate::write::WriteTransaction;

const ERASURES: Sql = sql!(all "SELECT erasures FROM change_sequence WHERE municipality_code = $1");

// === impl WriteTransaction ===

impl WriteTransaction {
    /// As [`Store::erasures`]; nobody is erased until this transaction ends.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.erasures")]
    pub async fn erasures(&mut self) -> Result<u64, StoreError> {
        erasures(self.transaction.fetch_optional(&Statement::about(self.municipality.as_str(), ERASURES)).await?)
    }

    /// Erases a person: key, personal numbers, links, views, records with their history, review cases, places in the log. The number
    /// itself stays taken, so that it is never issued again; the leaves of the log stay, and their details can't be read any more.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person.erase")]
    pub async fn erase_person(&mut self, person: &UnifiedAddressNumber) -> Result<(), StoreError> {
        const OWN: Sql = sql!(all "SELECT system_id, local_address_number FROM link \
            WHERE municipality_code = $1 AND unified_address_number = $2");
        const VIEWS: Sql = sql!(all "DELETE FROM person_view \
            WHERE municipality_code = $1 AND system_id = $2 AND local_address_number = $3");
        const LINKS: Sql = sql!(all "DELETE FROM link WHERE municipality_code = $1 AND unified_address_number = $2");
        const NUMBERS: Sql =
            sql!(all "DELETE FROM personal_number WHERE municipality_code = $1 AND unified_address_number = $2");
        const RECORDS: Sql =
            sql!(all "DELETE FROM record WHERE municipality_code = $1 AND unified_address_number = $2");
        const CASES: Sql = sql!(all "DELETE FROM review_case \
            WHERE municipality_code = $1 AND (unified_address_number = $2 OR other_unified_address_number = $2)");
        const LOG: Sql =
            sql!(all "DELETE FROM log_person WHERE municipality_code = $1 AND unified_address_number = $2");
        const COUNT: Sql = sql!(all "INSERT INTO change_sequence (municipality_code, last, erasures) VALUES ($1, 0, 1) \
            ON CONFLICT (municipality_code) DO UPDATE SET erasures = change_sequence.erasures + 1");
        const KEY: Sql =
            sql!(all "DELETE FROM person_key WHERE municipality_code = $1 AND unified_address_number = $2");
        self.erase_history(person).await?;
        let code = self.municipality.as_str();
        for link in self.transaction.fetch_all(&Statement::about(code, OWN).text(person.as_str())).await? {
            self.transaction.execute(&Statement::about(code, VIEWS).text(link.text(0)?).text(link.text(1)?)).await?;
        }
        for erase in [LINKS, NUMBERS, RECORDS, CASES, LOG, KEY] {
            self.transaction.execute(&Statement::about(code, erase).text(person.as_str())).await?;
        }
        self.transaction.execute(&Statement::about(code, COUNT)).await
    }
}

// === impl Store ===

impl Store {
    /// How many people were erased until now. Where it is the same in a turn as it was before people were looked up, all of them are still there.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.erasures")]
    pub async fn erasures(&self) -> Result<u64, StoreError> {
        erasures(self.engine.fetch_optional(&Statement::about(self.code(), ERASURES)).await?)
    }

    /// Makes sure that nothing erased is left in the files of the database. SQLite overwrites what it deletes, and its write-ahead log is
    /// emptied; PostgreSQL rewrites the tables of keys and personal numbers. Its own write-ahead log keeps them until it is overwritten or
    /// its archive ends.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: somebody reads all the time; try again.
    #[tracing::instrument(level = "debug", skip_all, name = "db.purge")]
    pub async fn purge(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Sqlite(engine) => engine.truncate_wal().await,
            Engine::Postgres(engine) => engine.rewrite(&["person_key", "personal_number"]).await,
        }
    }
}

fn erasures(row: Option<Row>) -> Result<u64, StoreError> {
    row.map_or(Ok(0), |row| row.count(0, "change_sequence"))
}
