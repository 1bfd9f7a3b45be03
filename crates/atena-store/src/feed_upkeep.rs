//! Keeping feeds small: entries are kept for some days, feeds that no rule asks for are closed, and
//! entries about erased people are removed.

use std::collections::HashMap;

use atena_domain::{SystemId, UnifiedAddressNumber};

use crate::engine::{BatchSql, Kind, List, Spacing, Sql, Statement, signed};
use crate::error::StoreError;
use crate::feed::{Feed, TABLE, without};
use crate::feed_read::LAST;
#[cfg(test)]
use crate::listed::Listed;
use crate::people::person_of;
use crate::store::Store;
use crate::write::WriteTransaction;

static LINK_CHANGES: BatchSql = BatchSql::of_list(
    &[("unified_address_number", Kind::Text), ("change_sequence", Kind::Integer)],
    Sql::same(
        "FROM link
        WHERE municipality_code = $1 AND system_id = $2 AND unified_address_number = ANY($3)",
    ),
    List::range_read(Spacing::CheckDigit, "$3"),
);

const MARK_DAY: Sql = Sql::same(
    "INSERT INTO feed_day (municipality_code, day, last_sequence) VALUES ($1, $2, $3)
    ON CONFLICT (municipality_code, day) DO NOTHING",
);

const LAST_DAY: Sql = Sql::same(
    "SELECT day, last_sequence FROM feed_day
    WHERE municipality_code = $1 AND day <= $2 ORDER BY day DESC LIMIT 1",
);

const DELETE_OLD_CHANGES: Sql = Sql::same(
    "DELETE FROM feed_change
    WHERE municipality_code = $1 AND feed_number = $2 AND last_sequence <= $3",
);

const RAISE_SINCE: Sql = Sql::same(
    "UPDATE feed SET since_sequence = $4
    WHERE municipality_code = $1 AND system_id = $2 AND feed_number = $3",
);

const DELETE_OLD_DAYS: Sql = Sql::same("DELETE FROM feed_day WHERE municipality_code = $1 AND day <= $2");

// Reads all changes of the municipality: people are erased seldom, and no index knows whom entries
// are about.
const ABOUT_PERSON: Sql = Sql::same(
    "SELECT feed_number, last_sequence, entries FROM feed_change
    WHERE municipality_code = $1 AND entries LIKE '%' || $2 || '%'",
);

const REPLACE_ENTRIES: Sql = Sql::same(
    "UPDATE feed_change SET entries = $4
    WHERE municipality_code = $1 AND feed_number = $2 AND last_sequence = $3",
);

const DELETE_ENTRIES: Sql = Sql::same(
    "DELETE FROM feed_change
    WHERE municipality_code = $1 AND feed_number = $2 AND last_sequence = $3",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.link.changes", Listed::Batch(&LINK_CHANGES)),
    ("db.feed.mark_day", Listed::Sql(MARK_DAY)),
    ("db.feed.prune: day", Listed::Sql(LAST_DAY)),
    ("db.feed.prune: changes", Listed::Sql(DELETE_OLD_CHANGES)),
    ("db.feed.prune: since", Listed::Sql(RAISE_SINCE)),
    ("db.feed.prune: days", Listed::Sql(DELETE_OLD_DAYS)),
    ("db.person.erase: feeds", Listed::Sql(ABOUT_PERSON)),
    ("db.person.erase: entries of feeds", Listed::Sql(REPLACE_ENTRIES)),
    ("db.person.erase: last entries of feeds", Listed::Sql(DELETE_ENTRIES)),
];

// === impl Store ===

impl Store {
    /// The changes in which these people were linked in a system.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.changes")]
    pub async fn link_changes(
        &self,
        system: &SystemId,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, u64>, StoreError> {
        let linked = LINK_CHANGES.about(self.code()).text(system.as_str());
        let linked = linked.texts(people.iter().map(UnifiedAddressNumber::as_str));
        let found = self.engine.fetch_batch(&LINK_CHANGES, &linked).await?;
        found.rows().map(|row| Ok((person_of(row.text(0)?, "link")?, row.count(1, "link")?))).collect()
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Notes the last change until now as one of this day, unless the day has one.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.feed.mark_day")]
    pub async fn mark_feed_day(&mut self, day: i64) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        let last = self.transaction.fetch_optional(&Statement::about(code, LAST)).await?;
        let last = last.map_or(Ok(0), |row| row.count(0, "change_sequence"))?;
        self.transaction.execute(&Statement::about(code, MARK_DAY).integer(day).integer(signed(last))).await
    }

    /// Removes the entries of all feeds that were noted until this day. A cursor that is older gets
    /// everything once more.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.feed.prune")]
    pub async fn prune_feeds(&mut self, feeds: &[Feed], until_day: i64) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        let Some(row) = self.transaction.fetch_optional(&Statement::about(code, LAST_DAY).integer(until_day)).await?
        else {
            return Ok(());
        };
        let (day, until) = (row.integer(0)?, row.count(1, "feed_day")?);
        for feed in feeds.iter().filter(|feed| feed.since < until) {
            let entries = Statement::about(code, DELETE_OLD_CHANGES).integer(feed.number.0).integer(signed(until));
            self.transaction.execute(&entries).await?;
            let since = Statement::about(code, RAISE_SINCE).text(feed.system_id.as_str());
            self.transaction.execute(&since.integer(feed.number.0).integer(signed(until))).await?;
        }
        self.transaction.execute(&Statement::about(code, DELETE_OLD_DAYS).integer(day)).await
    }

    /// Removes what feeds say about a person.
    pub(crate) async fn forget_in_feeds(&mut self, person: &UnifiedAddressNumber) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        for row in self.transaction.fetch_all(&Statement::about(code, ABOUT_PERSON).text(person.as_str())).await? {
            let left = without(row.text(2)?, person).ok_or(StoreError::Corrupt { table: TABLE })?;
            let sql = if left.is_empty() { DELETE_ENTRIES } else { REPLACE_ENTRIES };
            let mut change = Statement::about(code, sql).integer(row.integer(0)?).integer(row.integer(1)?);
            if !left.is_empty() {
                change = change.text(&left);
            }
            self.transaction.execute(&change).await?;
        }
        Ok(())
    }
}
