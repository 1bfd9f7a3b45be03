//! What a pull reads of feeds, and of the people and records that they name.

use std::collections::BTreeMap;

use atena_domain::{SystemId, UnifiedAddressNumber};
use atena_policy::ReleasePermit;

use crate::engine::{BatchRow, BatchSql, Kind, List, Spacing, Sql, Statement, signed};
use crate::error::StoreError;
use crate::feed::{Feed, FeedChanges, FeedNumber, NumberedRecord, TABLE};
#[cfg(test)]
use crate::listed::Listed;
use crate::people::person_of;
use crate::records::{current_record, datasets};
use crate::store::Store;

/// Commits read in one query.
const COMMITS_PER_QUERY: i64 = 256;

/// The feeds of a system, as [`Feed::read`] reads them.
pub(crate) const OF_SYSTEM: Sql = Sql::same(
    "SELECT feed_number, system_id, dataset, field_names, since_sequence FROM feed
    WHERE municipality_code = $1 AND system_id = $2 ORDER BY feed_number",
);

/// The last change sequence.
pub(crate) const LAST: Sql = Sql::same("SELECT last FROM change_sequence WHERE municipality_code = $1");

/// Commits of one feed: the last sequence of each and its entries.
struct Commits {
    entries: Vec<(u64, String)>,
    /// Every commit up to this sequence is in it.
    end: u64,
}

const NEXT_CHANGES: Sql = Sql::same(
    "SELECT last_sequence, entries FROM feed_change
    WHERE municipality_code = $1 AND feed_number = $2 AND last_sequence > $3
        AND last_sequence <= $4
    ORDER BY last_sequence LIMIT $5",
);

static NUMBERED: BatchSql = BatchSql::of_list(
    &[
        ("unified_address_number", Kind::Text),
        ("dataset", Kind::Text),
        ("record_key", Kind::Text),
        ("revision", Kind::Integer),
        ("sealed", Kind::Bytes),
        ("deleted", Kind::Integer),
        ("record_number", Kind::Integer),
        ("change_sequence", Kind::Integer),
    ],
    Sql::same(
        "FROM record
        WHERE municipality_code = $1 AND dataset = ANY($2) AND unified_address_number = ANY($3)",
    ),
    List::range_read(Spacing::CheckDigit, "$3"),
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.feed.of_system", Listed::Sql(OF_SYSTEM)),
    ("db.change_sequence.last", Listed::Sql(LAST)),
    ("db.feed.changes", Listed::Sql(NEXT_CHANGES)),
    ("db.record.numbered", Listed::Batch(&NUMBERED)),
];

// === impl Store ===

impl Store {
    /// The feeds of a system.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.feed.of_system")]
    pub async fn feeds_of(&self, system: &SystemId) -> Result<Vec<Feed>, StoreError> {
        let of_system = Statement::about(self.code(), OF_SYSTEM).text(system.as_str());
        self.engine.fetch_all(&of_system).await?.iter().map(Feed::read).collect()
    }

    /// The last change sequence of the municipality; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.change_sequence.last")]
    pub async fn last_change_sequence(&self) -> Result<u64, StoreError> {
        let row = self.engine.fetch_optional(&Statement::about(self.code(), LAST)).await?;
        row.map_or(Ok(0), |row| row.count(0, "change_sequence"))
    }

    /// What changed in these feeds after `since` and up to `until`, the ends of two commits. Where
    /// that is more than about `limit` changes, the answer ends with an earlier commit.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.feed.changes")]
    pub async fn feed_changes(
        &self,
        feeds: &[Feed],
        since: u64,
        until: u64,
        limit: usize,
    ) -> Result<FeedChanges, StoreError> {
        let mut of_feeds = Vec::with_capacity(feeds.len());
        let mut end = until;
        for feed in feeds {
            let commits = self.commits(feed.number, since, until, limit).await?;
            end = end.min(commits.end);
            of_feeds.push(commits);
        }
        let mut changes = FeedChanges { until: end, people: BTreeMap::new() };
        for commits in of_feeds {
            for (_, entries) in commits.entries.iter().filter(|(last, _)| *last <= end) {
                for line in entries.lines() {
                    changes.add(line).ok_or(StoreError::Corrupt { table: TABLE })?;
                }
            }
        }
        Ok(changes)
    }

    /// The commits of one feed from the first after `since`.
    async fn commits(&self, feed: FeedNumber, since: u64, until: u64, limit: usize) -> Result<Commits, StoreError> {
        let mut commits = Commits { entries: Vec::new(), end: until };
        let (mut after, mut count) = (since, 0);
        loop {
            let next = Statement::about(self.code(), NEXT_CHANGES)
                .integer(feed.0)
                .integer(signed(after))
                .integer(signed(until))
                .integer(COMMITS_PER_QUERY);
            let rows = self.engine.fetch_all(&next).await?;
            for row in &rows {
                after = row.count(0, TABLE)?;
                let entries = row.text(1)?;
                count += entries.lines().count();
                commits.entries.push((after, entries.to_owned()));
                if count >= limit {
                    commits.end = after;
                    return Ok(commits);
                }
            }
            if i64::try_from(rows.len()).unwrap_or(i64::MAX) < COMMITS_PER_QUERY {
                return Ok(commits);
            }
        }
    }

    /// The newest revisions of people's records in the permitted datasets, deletions included, in
    /// the order of people, datasets and record keys.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.record.numbered")]
    pub async fn numbered_records(
        &self,
        permits: &[ReleasePermit],
        people: &[UnifiedAddressNumber],
    ) -> Result<Vec<NumberedRecord>, StoreError> {
        let numbered =
            NUMBERED.about(self.code()).texts(datasets(permits)).texts(people.iter().map(UnifiedAddressNumber::as_str));
        let found = self.engine.fetch_batch(&NUMBERED, &numbered).await?;
        let record = |row: BatchRow<'_>| {
            let person = person_of(row.text(0)?, "record")?;
            let mut stored = current_record(row, person, 1)?;
            stored.deleted = row.integer(5)? != 0;
            Ok(NumberedRecord { record_number: row.count(6, "record")?, change: row.count(7, "record")?, stored })
        };
        let mut records = found.rows().map(record).collect::<Result<Vec<_>, StoreError>>()?;
        records.sort_by(|one, other| one.stored.place().cmp(&other.stored.place()));
        Ok(records)
    }
}
