//! Reading the transfer log: chunks of leaves, for searches and checks, and nodes of the tree, for
//! proofs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use atena_domain::UnifiedAddressNumber;
use atena_ledger::{Chunk, Hash, Node, TILE_WIDTH, perfect_root};
use atena_policy::AuditPermit;
use uuid::Uuid;

use crate::engine::{Row, Sql, Statement, signed};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::log_append::index;
use crate::log_details::{StoredDetails, unpack_details, unpack_people};
use crate::logs::LogSql;
use crate::store::Store;

/// Leaves of one commit as they are stored, bytes not yet read.
pub struct StoredChunk {
    /// Index of the first leaf.
    pub first_index: u64,
    /// Leaves in it, as the row says.
    pub leaf_count: u64,
    /// The newest time at which one of its transfers was requested, microseconds since 1970, as the
    /// row says.
    pub requested_max: i64,
    /// The leaf hashes, as the row says.
    pub hashes: Vec<u8>,
    /// The packed leaves.
    leaves: Vec<u8>,
}

/// Which chunks to read, newest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChunkRange {
    /// Only chunks that begin before this leaf.
    pub before: Option<u64>,
    /// Only chunks with a transfer requested at or after this time (microseconds since 1970).
    pub requested_from: Option<i64>,
    /// Only chunks with a transfer requested at or before this time.
    pub requested_to: Option<i64>,
}

/// The first leaf of a chunk, and the person of each of its leaves, where known.
pub type PeopleOfChunk = (u64, Vec<Option<UnifiedAddressNumber>>);

const CORRUPT: StoreError = StoreError::Corrupt { table: "log_chunk" };

static SIZE: LogSql = LogSql::same("SELECT size FROM log_head WHERE municipality_code = $1");

static NEWEST_TIME: LogSql = LogSql::same(
    "SELECT first_index, requested_max FROM log_chunk
    WHERE municipality_code = $1 ORDER BY first_index DESC LIMIT 1",
);

const NEWEST: Sql = Sql::same(
    "SELECT first_index, leaf_count, requested_max, hashes, leaves FROM log_chunk
    WHERE municipality_code = $1 AND first_index < $2 AND requested_max >= $3
        AND requested_min <= $4
    ORDER BY first_index DESC LIMIT $5",
);

static OLDEST: LogSql = LogSql::same(
    "SELECT first_index, leaf_count, requested_max, hashes, leaves FROM log_chunk
    WHERE municipality_code = $1 AND first_index + leaf_count > $2
        AND first_index >= coalesce((
            SELECT max(first_index) FROM log_chunk
            WHERE municipality_code = $1 AND first_index <= $2), 0)
    ORDER BY first_index LIMIT $3",
);

static HASHES: LogSql = LogSql::same(
    "SELECT first_index, leaf_count, hashes FROM log_chunk
    WHERE municipality_code = $1 AND first_index >= $2 ORDER BY first_index LIMIT $3",
);

const BY_ID: Sql = Sql::same(
    "SELECT first_index, leaf_count, requested_max, hashes, leaves FROM log_chunk
    WHERE municipality_code = $1 AND transfer_id_max >= $2 AND transfer_id_min <= $2
    ORDER BY transfer_id_max",
);

const OF_PERSON: Sql = Sql::same(
    "SELECT leaf_index FROM log_person
    WHERE municipality_code = $1 AND unified_address_number = $2 AND leaf_index < $3
    ORDER BY leaf_index DESC LIMIT $4",
);

static DETAILS: LogSql = LogSql::same(
    "SELECT details FROM log_details
    WHERE municipality_code = $1 AND first_index = $2",
);

static PEOPLE: LogSql = LogSql::same(
    "SELECT first_index, details FROM log_details
    WHERE municipality_code = $1
        AND first_index >= coalesce((
            SELECT max(first_index) FROM log_details
            WHERE municipality_code = $1 AND first_index <= $2), 0)
    ORDER BY first_index LIMIT $3",
);

static TILE: LogSql = LogSql::same(
    "SELECT hashes FROM log_tile
    WHERE municipality_code = $1 AND level = $2 AND tile_index = $3",
);

static TILE_OF_LEAVES: LogSql = LogSql::same(
    "SELECT first_index, hashes FROM log_chunk
    WHERE municipality_code = $1 AND first_index < $3
        AND first_index >= coalesce((
            SELECT max(first_index) FROM log_chunk
            WHERE municipality_code = $1 AND first_index <= $2), 0)
    ORDER BY first_index",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.log.size", Listed::Log(&SIZE)),
    ("db.log.newest_time", Listed::Log(&NEWEST_TIME)),
    ("db.log.newest", Listed::Sql(NEWEST)),
    ("db.log.oldest", Listed::Log(&OLDEST)),
    ("db.log.hashes", Listed::Log(&HASHES)),
    ("db.log.by_id", Listed::Sql(BY_ID)),
    ("db.log.of_person", Listed::Sql(OF_PERSON)),
    ("db.log.details", Listed::Log(&DETAILS)),
    ("db.log.people", Listed::Log(&PEOPLE)),
    ("db.log.tile", Listed::Log(&TILE)),
    ("db.log.tile: leaves", Listed::Log(&TILE_OF_LEAVES)),
];

// === impl Store ===

impl Store {
    /// Leaves in the log.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.size")]
    pub async fn log_size(&self) -> Result<u64, StoreError> {
        let row = self.engine.fetch_optional(&Statement::about(self.code(), SIZE.about(self.log))).await?;
        row.map_or(Ok(0), |row| row.count(0, "log_head"))
    }

    /// The first leaf of the newest chunk, and the newest time at which one of its transfers was
    /// requested (microseconds since 1970).
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.newest_time")]
    pub async fn newest_leaf_time(&self) -> Result<Option<(u64, i64)>, StoreError> {
        let row = self.engine.fetch_optional(&Statement::about(self.code(), NEWEST_TIME.about(self.log))).await?;
        row.map(|row| Ok((row.count(0, "log_chunk")?, row.integer(1)?))).transpose()
    }

    /// Chunks of leaves, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.newest")]
    pub async fn log_chunks_newest_first(
        &self,
        _permit: &AuditPermit,
        range: ChunkRange,
        limit: u32,
    ) -> Result<Vec<StoredChunk>, StoreError> {
        let newest = Statement::about(self.code(), NEWEST)
            .integer(range.before.map_or(i64::MAX, signed))
            .integer(range.requested_from.unwrap_or(i64::MIN))
            .integer(range.requested_to.unwrap_or(i64::MAX))
            .integer(limit.into());
        self.engine.fetch_all(&newest).await?.iter().map(chunk).collect()
    }

    /// Chunks of leaves from the one that holds leaf `from` on, oldest first: for checking and
    /// copying the log.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.oldest")]
    pub async fn log_chunks_from(&self, from: u64, limit: u32) -> Result<Vec<StoredChunk>, StoreError> {
        let from = Statement::about(self.code(), OLDEST.about(self.log)).integer(index(from)?).integer(limit.into());
        self.engine.fetch_all(&from).await?.iter().map(chunk).collect()
    }

    /// The leaf hashes alone of chunks from leaf `from` on, oldest first, each with its first leaf:
    /// for checking a large log quickly. They end before a chunk that does not have as many hashes
    /// as leaves.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.hashes")]
    pub async fn log_hashes_from(&self, from: u64, limit: u32) -> Result<Vec<(u64, Vec<Hash>)>, StoreError> {
        let from = Statement::about(self.code(), HASHES.about(self.log)).integer(index(from)?).integer(limit.into());
        let rows = self.engine.fetch_all(&from).await?;
        let mut chunks = Vec::with_capacity(rows.len());
        for row in &rows {
            let hashes = hashes(row.bytes(2)?)?;
            if u64::try_from(hashes.len()).ok() != Some(row.count(1, "log_chunk")?) {
                break;
            }
            chunks.push((row.count(0, "log_chunk")?, hashes));
        }
        Ok(chunks)
    }

    /// The chunk that holds the leaf of this transfer, if any.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.by_id")]
    pub async fn log_chunk_of(&self, id: Uuid) -> Result<Option<(StoredChunk, usize)>, StoreError> {
        let of_id = Statement::about(self.code(), BY_ID).bytes(id.as_bytes());
        for row in self.engine.fetch_all(&of_id).await? {
            let chunk = chunk(&row)?;
            let place = chunk.leaves()?.leaves().position(|(_, leaf)| leaf.id == *id.as_bytes());
            if let Some(place) = place {
                return Ok(Some((chunk, place)));
            }
        }
        Ok(None)
    }

    /// Indexes of the leaves about a person, newest first. Leaves after [`Store::log_index_size`]
    /// are not in the search index yet.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.of_person")]
    pub async fn log_leaves_of_person(
        &self,
        _permit: &AuditPermit,
        person: &UnifiedAddressNumber,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<u64>, StoreError> {
        let leaves = Statement::about(self.code(), OF_PERSON)
            .text(person.as_str())
            .integer(before.map_or(i64::MAX, signed))
            .integer(limit.into());
        self.engine.fetch_all(&leaves).await?.iter().map(|row| row.count(0, "log_person")).collect()
    }

    /// The details of a chunk's leaves, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.details")]
    pub async fn log_details(&self, first_index: u64) -> Result<Vec<StoredDetails>, StoreError> {
        let details = Statement::about(self.code(), DETAILS.about(self.log)).integer(index(first_index)?);
        let row = self.engine.fetch_optional(&details).await?;
        row.map_or(Err(StoreError::Corrupt { table: "log_details" }), |row| unpack_details(row.bytes(0)?))
    }

    /// The people of chunks' leaves, from the chunk that holds leaf `from` on, oldest first, each
    /// with its first leaf: all that the search index needs.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.people")]
    pub async fn log_people_from(&self, from: u64, limit: u32) -> Result<Vec<PeopleOfChunk>, StoreError> {
        let from = Statement::about(self.code(), PEOPLE.about(self.log)).integer(index(from)?).integer(limit.into());
        let rows = self.engine.fetch_all(&from).await?;
        rows.iter().map(|row| Ok((row.count(0, "log_details")?, unpack_people(row.bytes(1)?)?))).collect()
    }

    /// Roots of perfect subtrees, for proofs: level k covers 2^k leaves.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the tree does not hold them.
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.nodes")]
    pub async fn log_nodes(&self, nodes: &[Node]) -> Result<HashMap<Node, Hash>, StoreError> {
        let mut tiles: HashMap<(u8, u64), Vec<Hash>> = HashMap::new();
        let mut found = HashMap::with_capacity(nodes.len());
        for &(level, place) in nodes {
            // The node is the root over `width` hashes of one stored tile.
            let (tile_level, within) = (level / 8, level % 8);
            let width = 1_u64 << within;
            let start = place.checked_mul(width).ok_or(StoreError::Corrupt { table: "log_tile" })?;
            let tile = start / TILE_WIDTH;
            let hashes = match tiles.entry((tile_level, tile)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.log_tile(tile_level, tile).await?),
            };
            let from = usize::try_from(start % TILE_WIDTH).unwrap_or(usize::MAX);
            let to = from.saturating_add(usize::try_from(width).unwrap_or(usize::MAX));
            let root = hashes.get(from..to).and_then(perfect_root);
            found.insert((level, place), root.ok_or(StoreError::Corrupt { table: "log_tile" })?);
        }
        Ok(found)
    }

    /// The hashes of one tile (c2sp.org/tlog-tiles), as many as there are.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.tile")]
    pub async fn log_tile(&self, level: u8, tile: u64) -> Result<Vec<Hash>, StoreError> {
        if level > 0 {
            let stored =
                Statement::about(self.code(), TILE.about(self.log)).integer(level.into()).integer(index(tile)?);
            let row = self.engine.fetch_optional(&stored).await?;
            return row.map_or(Ok(Vec::new()), |row| hashes(row.bytes(0)?));
        }
        let (start, end) = (tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH);
        let leaves =
            Statement::about(self.code(), TILE_OF_LEAVES.about(self.log)).integer(index(start)?).integer(index(end)?);
        let rows = self.engine.fetch_all(&leaves).await?;
        let mut leaves = Vec::with_capacity(256);
        let mut expected = None;
        for row in &rows {
            let first = row.count(0, "log_chunk")?;
            if expected.is_some_and(|expected| expected != first) || (expected.is_none() && first > start) {
                return Err(CORRUPT);
            }
            let hashes = hashes(row.bytes(1)?)?;
            expected = Some(first + u64::try_from(hashes.len()).unwrap_or(u64::MAX));
            let within = (first..).zip(hashes).filter(|(index, _)| (start..end).contains(index));
            leaves.extend(within.map(|(_, hash)| hash));
        }
        Ok(leaves)
    }
}

// === impl StoredChunk ===

impl StoredChunk {
    /// The leaves.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn leaves(&self) -> Result<Chunk, StoreError> {
        Chunk::from_bytes(&self.leaves).map_err(|_| CORRUPT)
    }
}

fn chunk(row: &Row) -> Result<StoredChunk, StoreError> {
    Ok(StoredChunk {
        first_index: row.count(0, "log_chunk")?,
        leaf_count: row.count(1, "log_chunk")?,
        requested_max: row.integer(2)?,
        hashes: row.bytes(3)?.to_vec(),
        leaves: row.bytes(4)?.to_vec(),
    })
}

fn hashes(bytes: &[u8]) -> Result<Vec<Hash>, StoreError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() { Ok(hashes.iter().copied().map(Hash).collect()) } else { Err(CORRUPT) }
}
