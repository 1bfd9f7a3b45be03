//! Opening feeds, and noting in them what their readers can see.

use std::collections::{BTreeSet, HashMap, HashSet};

use atena_domain::{Dataset, SystemId, UnifiedAddressNumber};
use atena_policy::ReleasePermit;

use crate::engine::{BatchSql, Insert, Sql, Statement, batch, signed, sql};
use crate::error::StoreError;
use crate::feed::{Feed, FeedNumber, Notes, TABLE};
use crate::feed_read::{LAST, OF_SYSTEM};
use crate::people::person_of;
use crate::write::WriteTransaction;

/// Feeds of one system and dataset at most: one for each set of fields that it pulled with. The
/// oldest one makes room for a new one.
const FEEDS_MAX: usize = 8;

// === impl WriteTransaction ===

impl WriteTransaction {
    /// All feeds of these datasets.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.feed.of_datasets")]
    pub async fn feeds(&mut self, datasets: &BTreeSet<Dataset>) -> Result<Vec<Feed>, StoreError> {
        const ALL: Sql = sql!(all "SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed \
            WHERE municipality_code = $1 AND dataset" texts "$2" all " ORDER BY feed_number");
        let all = Statement::about(self.municipality.as_str(), ALL).texts(datasets.iter().map(|one| one.as_str()));
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
        // On PostgreSQL no index of systems may offer itself: the people are what is looked for.
        const LINKED: BatchSql = batch!(near_unified "$3::text[]" select text "unified_address_number", text "system_id";
            all " FROM link WHERE municipality_code = $1 AND " sqlite "system_id" postgres "(system_id || '')" texts "$2"
            all " AND unified_address_number" wanted "$3" done "");
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
        const NEXT: Sql = sql!(all "SELECT coalesce(max(feed_number), 0) + 1 FROM feed WHERE municipality_code = $1");
        const INSERT: Sql = sql!(all "INSERT INTO feed (municipality_code, system_id, feed_number, dataset, field_names, \
            since_sequence) VALUES ($1, $2, $3, $4, $5, $6)");
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
        let number = self.transaction.fetch_one(&Statement::about(code, NEXT)).await?.integer(0)?;
        let since = self.transaction.fetch_optional(&Statement::about(code, LAST)).await?;
        let since = since.map_or(Ok(0), |row| row.count(0, "change_sequence"))?;
        let field_names = permit.field_names().to_vec();
        let names = field_names.join(" ");
        let insert = Statement::about(code, INSERT)
            .text(system.as_str())
            .integer(number)
            .text(permit.dataset().as_str())
            .text(&names)
            .integer(signed(since));
        self.transaction.execute(&insert).await?;
        let (number, system_id, dataset) = (FeedNumber(number), system.clone(), permit.dataset());
        Ok(Feed { number, system_id, dataset, field_names, since })
    }

    async fn close_feed(&mut self, feed: &Feed) -> Result<(), StoreError> {
        const CHANGES: Sql = sql!(all "DELETE FROM feed_change WHERE municipality_code = $1 AND feed_number = $2");
        const FEED: Sql =
            sql!(all "DELETE FROM feed WHERE municipality_code = $1 AND feed_number = $2 AND system_id = $3");
        let code = self.municipality.as_str();
        let changes = Statement::about(code, CHANGES).integer(feed.number.0);
        self.transaction.execute(&changes).await?;
        let closed = Statement::about(code, FEED).integer(feed.number.0).text(feed.system_id.as_str());
        self.transaction.execute(&closed).await
    }

    /// Notes in the feeds of its system that each of these people was linked in it.
    pub(crate) async fn note_links(
        &mut self,
        last_sequence: i64,
        links: &[(&SystemId, &UnifiedAddressNumber)],
    ) -> Result<(), StoreError> {
        const OF_SYSTEMS: Sql = sql!(all "SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed \
                WHERE municipality_code = $1 AND system_id" texts "$2" all " ORDER BY feed_number");
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

    /// Keeps the notes of a commit whose last change this is.
    pub(crate) async fn note(&mut self, last_sequence: i64, notes: &Notes) -> Result<(), StoreError> {
        if notes.0.is_empty() {
            return Ok(());
        }
        let rows = Insert::into(TABLE, self.municipality.as_str(), notes.0.len())
            .differing_integers("feed_number", notes.0.keys().map(|feed| feed.0))
            .integers("last_sequence", notes.0.keys().map(|_| last_sequence))
            .texts("entries", notes.0.values().map(String::as_str));
        self.transaction.insert(&rows).await
    }
}
