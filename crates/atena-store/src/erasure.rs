//! Erasing people: the key that everything about them is sealed with, and every row that could link
//! the rest to them.

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};

use crate::engine::{Engine, Row, Sql, Statement, signed};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::store::Store;
use crate::write::WriteTransaction;

const ERASURES: Sql = Sql::same("SELECT erasures FROM change_sequence WHERE municipality_code = $1");

const LINKS_OF_PERSON: Sql = Sql::same(
    "SELECT system_id, local_address_number FROM link
    WHERE municipality_code = $1 AND unified_address_number = $2",
);
const NEWEST_VIEW: Sql = Sql::same(
    "SELECT revision, sealed, stored_at FROM person_view
    WHERE municipality_code = $1 AND system_id = $2 AND local_address_number = $3
    ORDER BY revision DESC LIMIT 1",
);

/// What one system registered about a person, for deciding on erasure.
pub struct RegisteredView {
    /// The system.
    pub system_id: SystemId,
    /// Its number of the person.
    pub local_address_number: LocalAddressNumber,
    /// The newest revision.
    pub revision: u64,
    /// Its content, sealed.
    pub sealed: Vec<u8>,
    /// When it was stored, microseconds since 1970.
    pub stored_at: i64,
}

const ERASE_VIEWS: Sql = Sql::same(
    "DELETE FROM person_view
    WHERE municipality_code = $1 AND system_id = $2 AND local_address_number = $3",
);

const ERASE_LINKS: Sql = Sql::same("DELETE FROM link WHERE municipality_code = $1 AND unified_address_number = $2");

const ERASE_NUMBERS: Sql = Sql::same(
    "DELETE FROM personal_number
    WHERE municipality_code = $1 AND unified_address_number = $2",
);

const ERASE_RECORDS: Sql = Sql::same("DELETE FROM record WHERE municipality_code = $1 AND unified_address_number = $2");

const ERASE_CASES: Sql = Sql::same(
    "DELETE FROM review_case
    WHERE municipality_code = $1
        AND (unified_address_number = $2 OR other_unified_address_number = $2)",
);

const ERASE_LOG_INDEX: Sql = Sql::same(
    "DELETE FROM log_person
    WHERE municipality_code = $1 AND unified_address_number = $2",
);

const COUNT_ERASURE: Sql = Sql::same(
    "INSERT INTO change_sequence (municipality_code, last, erasures)
    VALUES ($1, 0, 1)
    ON CONFLICT (municipality_code) DO UPDATE SET erasures = change_sequence.erasures + 1",
);

const ERASE_KEY: Sql = Sql::same(
    "DELETE FROM person_key
    WHERE municipality_code = $1 AND unified_address_number = $2",
);

const LAST_RECORD: Sql = Sql::same(
    "SELECT coalesce(max(stored_at), 0) FROM record
    WHERE municipality_code = $1 AND unified_address_number = $2",
);

const LAST_LEAF: Sql = Sql::same(
    "SELECT leaf_index FROM log_person
    WHERE municipality_code = $1 AND unified_address_number = $2
    ORDER BY leaf_index DESC LIMIT 1",
);

const TIME_OF_LEAF: Sql = Sql::same(
    "SELECT requested_max FROM log_chunk
    WHERE municipality_code = $1 AND first_index <= $2 ORDER BY first_index DESC LIMIT 1",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.erasures", Listed::Sql(ERASURES)),
    ("db.person_view.of_person: links", Listed::Sql(LINKS_OF_PERSON)),
    ("db.person_view.of_person", Listed::Sql(NEWEST_VIEW)),
    ("db.person.erase: views", Listed::Sql(ERASE_VIEWS)),
    ("db.person.erase: links", Listed::Sql(ERASE_LINKS)),
    ("db.person.erase: personal numbers", Listed::Sql(ERASE_NUMBERS)),
    ("db.person.erase: records", Listed::Sql(ERASE_RECORDS)),
    ("db.person.erase: review cases", Listed::Sql(ERASE_CASES)),
    ("db.person.erase: search index of the log", Listed::Sql(ERASE_LOG_INDEX)),
    ("db.person.erase: count", Listed::Sql(COUNT_ERASURE)),
    ("db.person.erase: key", Listed::Sql(ERASE_KEY)),
    ("db.person.last_use: records", Listed::Sql(LAST_RECORD)),
    ("db.person.last_use: leaf", Listed::Sql(LAST_LEAF)),
    ("db.person.last_use: time of the leaf", Listed::Sql(TIME_OF_LEAF)),
];

// === impl RegisteredView ===

impl RegisteredView {
    fn new(link: &Row, view: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            system_id: SystemId::parse(link.text(0)?).map_err(StoreError::corrupt("link"))?,
            local_address_number: LocalAddressNumber::parse(link.text(1)?).map_err(StoreError::corrupt("link"))?,
            revision: view.count(0, "person_view")?,
            sealed: view.bytes(1)?.to_vec(),
            stored_at: view.integer(2)?,
        })
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// As [`Store::registered_views`], as this transaction sees them.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.of_person")]
    pub async fn registered_views(&mut self, person: &UnifiedAddressNumber) -> Result<Vec<RegisteredView>, StoreError> {
        let code = self.municipality.as_str();
        let mut views = Vec::new();
        for link in self.transaction.fetch_all(&Statement::about(code, LINKS_OF_PERSON).text(person.as_str())).await? {
            let newest = Statement::about(code, NEWEST_VIEW).text(link.text(0)?).text(link.text(1)?);
            if let Some(view) = self.transaction.fetch_optional(&newest).await? {
                views.push(RegisteredView::new(&link, &view)?);
            }
        }
        Ok(views)
    }

    /// As [`Store::erasures`]. No person is erased by another transaction until this one ends.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.erasures")]
    pub async fn erasures(&mut self) -> Result<u64, StoreError> {
        erasures(self.transaction.fetch_optional(&Statement::about(self.municipality.as_str(), ERASURES)).await?)
    }

    /// Erases a person: key, personal numbers, links, views, records with their history, entries of
    /// feeds, review cases, entries of the search index of the log. The unified number stays taken,
    /// so that it is never issued again. The leaves of the log stay, and their details can't be read
    /// any more.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person.erase")]
    pub async fn erase_person(&mut self, person: &UnifiedAddressNumber) -> Result<(), StoreError> {
        self.erase_history(person).await?;
        self.forget_in_feeds(person).await?;
        let code = self.municipality.as_str();
        for link in self.transaction.fetch_all(&Statement::about(code, LINKS_OF_PERSON).text(person.as_str())).await? {
            self.transaction
                .execute(&Statement::about(code, ERASE_VIEWS).text(link.text(0)?).text(link.text(1)?))
                .await?;
        }
        for erase in [ERASE_LINKS, ERASE_NUMBERS, ERASE_RECORDS, ERASE_CASES, ERASE_LOG_INDEX, ERASE_KEY] {
            self.transaction.execute(&Statement::about(code, erase).text(person.as_str())).await?;
        }
        self.transaction.execute(&Statement::about(code, COUNT_ERASURE)).await
    }
}

// === impl Store ===

impl Store {
    /// How many people were erased until now. Read it before people are looked up, and again inside
    /// the transaction: if it is the same, none of them was erased in between.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.erasures")]
    pub async fn erasures(&self) -> Result<u64, StoreError> {
        erasures(self.engine.fetch_optional(&Statement::about(self.code(), ERASURES)).await?)
    }

    /// The newest view of every system that knows a person: for deciding whether the person may be
    /// erased.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.of_person")]
    pub async fn registered_views(&self, person: &UnifiedAddressNumber) -> Result<Vec<RegisteredView>, StoreError> {
        let mut views = Vec::new();
        for link in self.engine.fetch_all(&Statement::about(self.code(), LINKS_OF_PERSON).text(person.as_str())).await?
        {
            let newest = Statement::about(self.code(), NEWEST_VIEW).text(link.text(0)?).text(link.text(1)?);
            if let Some(view) = self.engine.fetch_optional(&newest).await? {
                views.push(RegisteredView::new(&link, &view)?);
            }
        }
        Ok(views)
    }

    /// When a record of a person was last stored, or a transfer about them last logged;
    /// microseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person.last_use")]
    pub async fn last_use(&self, person: &UnifiedAddressNumber) -> Result<Option<i64>, StoreError> {
        let about = |sql| Statement::about(self.code(), sql).text(person.as_str());
        let stored = self.engine.fetch_optional(&about(LAST_RECORD)).await?;
        let mut last = stored.map(|row| row.integer(0)).transpose()?.filter(|at| *at > 0);
        if let Some(leaf) = self.engine.fetch_optional(&about(LAST_LEAF)).await? {
            let leaf = signed(leaf.count(0, "log_person")?);
            let logged = self.engine.fetch_optional(&Statement::about(self.code(), TIME_OF_LEAF).integer(leaf)).await?;
            last = last.max(logged.map(|row| row.integer(0)).transpose()?);
        }
        Ok(last)
    }

    /// Makes sure that nothing erased is left in the files of the database. SQLite overwrites what
    /// it deletes, and its write-ahead log is emptied; PostgreSQL rewrites the tables of keys and
    /// personal numbers. Its own write-ahead log keeps them until it is overwritten or its archive
    /// ends.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the write-ahead log is being read all the time; try again.
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
