//! Opening feeds, and noting in them what their readers can see.

use std::collections::{BTreeSet, HashMap, HashSet};

use atena_domain::{Dataset, SystemId, UnifiedAddressNumber};
use atena_policy::ReleasePermit;

use crate::engine::{BatchSql, Insert, Kind, List, Spacing, Sql, Statement, signed};
use crate::error::StoreError;
use crate::feed::{Feed, FeedNumber, Notes, TABLE};
use crate::feed_read::{LAST, OF_SYSTEM};
#[cfg(test)]
use crate::listed::Listed;
use crate::people::person_of;
use crate::write::WriteTransaction;

/// Feeds of one system and dataset at most: one for each set of fields that it pulled with. The
/// oldest one makes room for a new one.
const FEEDS_MAX: usize = 8;

const OF_DATASETS: Sql = Sql::per_engine(
    "SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed
    WHERE municipality_code = $1 AND dataset IN (SELECT value FROM json_each($2))
    ORDER BY feed_number",
    "SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed
    WHERE municipality_code = $1 AND dataset = ANY($2) ORDER BY feed_number",
);

// The people are looked up, on PostgreSQL too: the expression keeps it from using an index of
// systems.
static LINKED: BatchSql = BatchSql::of_list(
    &[("unified_address_number", Kind::Text), ("system_id", Kind::Text)],
    Sql::per_engine(
        "FROM link
        WHERE municipality_code = $1 AND system_id = ANY($2) AND unified_address_number = ANY($3)",
        "FROM link
        WHERE municipality_code = $1 AND (system_id || '') = ANY($2)
            AND unified_address_number = ANY($3)",
    ),
    List::range_read(Spacing::CheckDigit, "$3"),
);

const NEXT_NUMBER: Sql = Sql::same("SELECT coalesce(max(feed_number), 0) + 1 FROM feed WHERE municipality_code = $1");

const INSERT_FEED: Sql = Sql::same(
    "INSERT INTO feed (municipality_code, system_id, feed_number, dataset, field_names,
        since_sequence)
    VALUES ($1, $2, $3, $4, $5, $6)",
);

const DELETE_CHANGES: Sql = Sql::same("DELETE FROM feed_change WHERE municipality_code = $1 AND feed_number = $2");

const DELETE_FEED: Sql = Sql::same(
    "DELETE FROM feed
    WHERE municipality_code = $1 AND feed_number = $2 AND system_id = $3",
);

const OF_SYSTEMS: Sql = Sql::per_engine(
    "SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed
    WHERE municipality_code = $1 AND system_id IN (SELECT value FROM json_each($2))
    ORDER BY feed_number",
    "SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed
    WHERE municipality_code = $1 AND system_id = ANY($2) ORDER BY feed_number",
);

#[cfg(test)]
static NO_NOTES: Notes = Notes(std::collections::BTreeMap::new());

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.feed.of_datasets", Listed::Sql(OF_DATASETS)),
    ("db.link.in_systems", Listed::Batch(&LINKED)),
    ("db.feed.open: next number", Listed::Sql(NEXT_NUMBER)),
    ("db.feed.open", Listed::Sql(INSERT_FEED)),
    ("db.feed.open: changes of the oldest", Listed::Sql(DELETE_CHANGES)),
    ("db.feed.open: the oldest", Listed::Sql(DELETE_FEED)),
    ("db.link.insert: feeds", Listed::Sql(OF_SYSTEMS)),
    ("db.feed.note", Listed::Insert(|| note_rows("", 0, &NO_NOTES))),
];

// === impl WriteTransaction ===

impl WriteTransaction {
    /// All feeds of these datasets.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.feed.of_datasets")]
    pub async fn feeds(&mut self, datasets: &BTreeSet<Dataset>) -> Result<Vec<Feed>, StoreError> {
        let all =
            Statement::about(self.municipality.as_str(), OF_DATASETS).texts(datasets.iter().map(|one| one.as_str()));
        self.transaction.fetch_all(&all).await?.iter().map(Feed::read).collect()
    }

    /// Which of these people are linked in which of these systems.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.in_systems")]
    pub async fn linked_in(
        &mut self,
        systems: &BTreeSet<&SystemId>,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<SystemId, HashSet<UnifiedAddressNumber>>, StoreError> {
        let linked = LINKED
            .about(self.municipality.as_str())
            .texts(systems.iter().map(|system| system.as_str()))
            .texts(people.iter().map(UnifiedAddressNumber::as_str));
        let mut found: HashMap<SystemId, HashSet<UnifiedAddressNumber>> = HashMap::new();
        for row in self.transaction.fetch_batch(&LINKED, &linked).await?.rows() {
            let system = SystemId::parse(row.text(1)?).map_err(StoreError::corrupt("link"))?;
            found.entry(system).or_default().insert(person_of(row.text(0)?, "link")?);
        }
        Ok(found)
    }

    /// The feed of what a permit releases; it is opened if there is none yet.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.feed.open")]
    pub async fn open_feed(&mut self, permit: &ReleasePermit) -> Result<Feed, StoreError> {
        let system = permit.caller();
        let of_system = Statement::about(self.municipality.as_str(), OF_SYSTEM).text(system.as_str());
        let feeds = self.transaction.fetch_all(&of_system).await?;
        let feeds = feeds.iter().map(Feed::read).collect::<Result<Vec<_>, _>>()?;
        if let Some(found) = feeds.iter().find(|feed| feed.is_of(permit)) {
            return Ok(found.clone());
        }
        let others: Vec<_> = feeds.iter().filter(|feed| feed.dataset == permit.dataset()).collect();
        for oldest in others.iter().take((others.len() + 1).saturating_sub(FEEDS_MAX)) {
            self.close_feed(oldest).await?;
        }
        let code = self.municipality.as_str();
        let number = self.transaction.fetch_one(&Statement::about(code, NEXT_NUMBER)).await?.integer(0)?;
        let since = self.transaction.fetch_optional(&Statement::about(code, LAST)).await?;
        let since = since.map_or(Ok(0), |row| row.count(0, "change_sequence"))?;
        let field_names = permit.field_names().to_vec();
        let names = field_names.join(" ");
        let insert = Statement::about(code, INSERT_FEED)
            .text(system.as_str())
            .integer(number)
            .text(permit.dataset().as_str())
            .text(&names)
            .integer(signed(since));
        self.transaction.execute(&insert).await?;
        let (number, system_id, dataset) = (FeedNumber(number), system.clone(), permit.dataset());
        Ok(Feed { number, system_id, dataset, field_names, since })
    }

    /// Closes a feed: its reader's cursors get everything once more.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.feed.close")]
    pub async fn close_feed(&mut self, feed: &Feed) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        let changes = Statement::about(code, DELETE_CHANGES).integer(feed.number.0);
        self.transaction.execute(&changes).await?;
        let closed = Statement::about(code, DELETE_FEED).integer(feed.number.0).text(feed.system_id.as_str());
        self.transaction.execute(&closed).await
    }

    /// Notes in the feeds of its system that each of these people was linked in it.
    pub(crate) async fn note_links(
        &mut self,
        last_sequence: i64,
        links: &[(&SystemId, &UnifiedAddressNumber)],
    ) -> Result<(), StoreError> {
        let systems: BTreeSet<_> = links.iter().map(|(system, _)| system.as_str()).collect();
        let of_systems = Statement::about(self.municipality.as_str(), OF_SYSTEMS).texts(systems);
        let mut notes = Notes::default();
        for row in &self.transaction.fetch_all(&of_systems).await? {
            let feed = Feed::read(row)?;
            for (_, person) in links.iter().filter(|(system, _)| **system == feed.system_id) {
                notes.link(feed.number, person);
            }
        }
        self.note(last_sequence, &notes).await
    }

    /// Stores the notes of a commit, under the sequence of its last change.
    pub(crate) async fn note(&mut self, last_sequence: i64, notes: &Notes) -> Result<(), StoreError> {
        if notes.0.is_empty() {
            return Ok(());
        }
        self.transaction.insert(&note_rows(self.municipality.as_str(), last_sequence, notes)).await
    }
}

fn note_rows<'q>(code: &'q str, last_sequence: i64, notes: &'q Notes) -> Insert<'q> {
    Insert::into(TABLE, code, notes.0.len())
        .differing_integers("feed_number", notes.0.keys().map(|feed| feed.0))
        .integers("last_sequence", notes.0.keys().map(|_| last_sequence))
        .texts("entries", notes.0.values().map(String::as_str))
}
