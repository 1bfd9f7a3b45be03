//! Appending to the transfer log: leaves, tree and head in one transaction.

use std::sync::Arc;

use atena_domain::UnifiedAddressNumber;
use atena_ledger::{Frontier, Hash, Leaf, LeafError, RenderedShape, TILE_WIDTH, encode_chunk};
use bytes::Bytes;

use crate::engine::{EngineTransaction, Insert, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::log_details::pack_details;
use crate::logs::{Log, LogSql};
use crate::write::WriteTransaction;

/// Leaves in one row, at most.
const CHUNK_LEAVES_MAX: usize = 512;

/// One transfer, ready to be kept.
pub struct LogEntry {
    shape: Arc<RenderedShape>,
    leaf: Leaf,
    hash: Hash,
    person: Option<UnifiedAddressNumber>,
    details: Bytes,
}

/// Roots of perfect subtrees that are added to one stored tile, one after the other. It takes one
/// round trip to the database for the tile, and not one for each root.
struct Completed {
    level: u8,
    tile: u64,
    /// Roots that the tile has already.
    known: u64,
    roots: Vec<u8>,
}

/// Leaves that follow each other, as they are stored: a row of each of two tables.
struct PackedChunk {
    first_index: i64,
    leaf_count: i64,
    /// The first and the last time of a request.
    requested: (i64, i64),
    /// The smallest and the largest id.
    transfer_id: ([u8; 16], [u8; 16]),
    hashes: Vec<u8>,
    leaves: Vec<u8>,
    details: Vec<u8>,
}

// SQLite's `||` makes text of blobs, byte by byte.
static APPEND_TO_TILE: LogSql = LogSql::per_engine(
    "INSERT INTO log_tile AS tile (municipality_code, level, tile_index, hashes)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (municipality_code, level, tile_index)
        DO UPDATE SET hashes = CAST(tile.hashes || excluded.hashes AS BLOB)
    RETURNING CAST(length(hashes) AS bigint)",
    "INSERT INTO log_tile AS tile (municipality_code, level, tile_index, hashes)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (municipality_code, level, tile_index)
        DO UPDATE SET hashes = tile.hashes || excluded.hashes
    RETURNING CAST(length(hashes) AS bigint)",
);

static SET_FRONTIER: LogSql = LogSql::same(
    "INSERT INTO log_head (municipality_code, size, frontier)
    VALUES ($1, $2, $3)
    ON CONFLICT (municipality_code)
        DO UPDATE SET size = excluded.size, frontier = excluded.frontier",
);

static FRONTIER: LogSql = LogSql::same("SELECT frontier FROM log_head WHERE municipality_code = $1");

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.log.append: leaves", Listed::Insert(|| chunk_rows(Log::Transfers, "", &[]))),
    ("db.log.append: leaves of the admin log", Listed::Insert(|| chunk_rows(Log::Administration, "", &[]))),
    ("db.log.append: details", Listed::Insert(|| details_rows(Log::Transfers, "", &[]))),
    ("db.log.append: details of the admin log", Listed::Insert(|| details_rows(Log::Administration, "", &[]))),
    ("db.log.append: tile", Listed::Log(&APPEND_TO_TILE)),
    ("db.log.append: frontier", Listed::Log(&SET_FRONTIER)),
    ("db.log.frontier", Listed::Log(&FRONTIER)),
];

// === impl LogEntry ===

impl LogEntry {
    /// An entry of what it shares with others, its own part of the leaf, the person, where known,
    /// and the sealed details. Its hash is computed here, and not while the log is locked.
    /// `scratch` is overwritten.
    ///
    /// # Errors
    /// [`StoreError::LeafRefused`]: a value may not stand in a leaf.
    pub fn new(
        shape: Arc<RenderedShape>,
        leaf: Leaf,
        person: Option<UnifiedAddressNumber>,
        details: Bytes,
        scratch: &mut Vec<u8>,
    ) -> Result<Self, StoreError> {
        let hash = leaf.hash(&shape, scratch).map_err(|_: LeafError| StoreError::LeafRefused)?;
        Ok(Self { shape, leaf, hash, person, details })
    }

    /// Its own part of the leaf.
    #[must_use]
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The person, where known.
    #[must_use]
    pub fn person(&self) -> Option<&UnifiedAddressNumber> {
        self.person.as_ref()
    }

    /// The details, sealed.
    #[must_use]
    pub fn details(&self) -> &[u8] {
        &self.details
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Appends entries in order, with the tree above them. Returns the index of the first.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing may be released (log-before-release).
    #[tracing::instrument(level = "debug", skip_all, name = "db.log.append")]
    pub async fn append_log(&mut self, entries: &[LogEntry]) -> Result<u64, StoreError> {
        let mut frontier = self.log_frontier().await?;
        let first = frontier.size();
        let mut completed = Vec::new();
        let mut chunks = Vec::with_capacity(entries.len().div_ceil(CHUNK_LEAVES_MAX));
        for entries in entries.chunks(CHUNK_LEAVES_MAX) {
            chunks.push(PackedChunk::new(entries, &mut frontier, &mut completed)?);
        }
        self.insert_chunks(&chunks).await?;
        for completed in completed {
            self.append_to_tile(&completed).await?;
        }
        set_frontier(&mut self.transaction, self.municipality.as_str(), self.log, &frontier).await?;
        Ok(first)
    }

    /// The frontier of the log's tree, as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_frontier(&mut self) -> Result<Frontier, StoreError> {
        log_frontier(&mut self.transaction, self.municipality.as_str(), self.log).await
    }

    /// One statement for all chunks of a table. All other writers wait while the log is written,
    /// and each statement is a round trip to the database.
    async fn insert_chunks(&mut self, chunks: &[PackedChunk]) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        self.transaction.insert(&chunk_rows(self.log, code, chunks)).await?;
        self.transaction.insert(&details_rows(self.log, code, chunks)).await
    }

    async fn append_to_tile(&mut self, completed: &Completed) -> Result<(), StoreError> {
        let append = Statement::about(self.municipality.as_str(), APPEND_TO_TILE.about(self.log))
            .integer(completed.level.into())
            .integer(index(completed.tile)?)
            .bytes(&completed.roots);
        let length = self.transaction.fetch_one(&append).await?.count(0, "log_tile")?;
        // The tile must have had as many hashes as the log's size says. Otherwise the transaction
        // fails.
        if length == 32 * completed.known + completed.roots.len() as u64 {
            Ok(())
        } else {
            Err(StoreError::Corrupt { table: "log_tile" })
        }
    }
}

// === impl PackedChunk ===

impl PackedChunk {
    /// Packs entries that follow the leaves of the log, and adds them to its frontier.
    fn new(entries: &[LogEntry], frontier: &mut Frontier, completed: &mut Vec<Completed>) -> Result<Self, StoreError> {
        let first_index = index(frontier.size())?;
        let mut hashes = Vec::with_capacity(32 * entries.len());
        for entry in entries {
            hashes.extend_from_slice(&entry.hash.0);
            frontier.push(entry.hash, |level, index, root| {
                // Every eighth level is a level of tiles; level 0 is kept with the leaves.
                if level >= 8 && level % 8 == 0 {
                    complete(completed, level / 8, index, &root);
                }
            });
        }
        let requested = || entries.iter().map(|entry| i64::try_from(entry.leaf.requested_us).unwrap_or(i64::MAX));
        let id = || entries.iter().map(|entry| entry.leaf.id);
        Ok(Self {
            first_index,
            leaf_count: i64::try_from(entries.len()).unwrap_or(i64::MAX),
            requested: (requested().min().unwrap_or_default(), requested().max().unwrap_or_default()),
            transfer_id: (id().min().unwrap_or_default(), id().max().unwrap_or_default()),
            hashes,
            leaves: encode_chunk(entries.iter().map(|entry| (&*entry.shape, &entry.leaf))),
            details: pack_details(entries),
        })
    }
}

fn chunk_rows<'q>(log: Log, code: &'q str, chunks: &'q [PackedChunk]) -> Insert<'q> {
    Insert::into(log.chunk_table(), code, chunks.len())
        .differing_integers("first_index", chunks.iter().map(|chunk| chunk.first_index))
        .differing_integers("leaf_count", chunks.iter().map(|chunk| chunk.leaf_count))
        .differing_integers("requested_min", chunks.iter().map(|chunk| chunk.requested.0))
        .differing_integers("requested_max", chunks.iter().map(|chunk| chunk.requested.1))
        .bytes("transfer_id_min", chunks.iter().map(|chunk| chunk.transfer_id.0.as_slice()))
        .bytes("transfer_id_max", chunks.iter().map(|chunk| chunk.transfer_id.1.as_slice()))
        .bytes("hashes", chunks.iter().map(|chunk| chunk.hashes.as_slice()))
        .bytes("leaves", chunks.iter().map(|chunk| chunk.leaves.as_slice()))
}

fn details_rows<'q>(log: Log, code: &'q str, chunks: &'q [PackedChunk]) -> Insert<'q> {
    Insert::into(log.details_table(), code, chunks.len())
        .differing_integers("first_index", chunks.iter().map(|chunk| chunk.first_index))
        .bytes("details", chunks.iter().map(|chunk| chunk.details.as_slice()))
}

/// Adds the root of a perfect subtree, the `index`th of its level.
fn complete(completed: &mut Vec<Completed>, level: u8, index: u64, root: &Hash) {
    let (tile, known) = (index / TILE_WIDTH, index % TILE_WIDTH);
    match completed.iter_mut().find(|other| (other.level, other.tile) == (level, tile)) {
        Some(same) => same.roots.extend_from_slice(&root.0),
        None => completed.push(Completed { level, tile, known, roots: root.0.to_vec() }),
    }
}

/// Stores the frontier of a log.
pub(crate) async fn set_frontier(
    transaction: &mut EngineTransaction,
    code: &str,
    log: Log,
    frontier: &Frontier,
) -> Result<(), StoreError> {
    let bytes = frontier.to_bytes();
    let set = Statement::about(code, SET_FRONTIER.about(log)).integer(index(frontier.size())?).bytes(&bytes);
    transaction.execute(&set).await
}

/// The frontier of a municipality's log, as a transaction sees it.
pub(crate) async fn log_frontier(
    transaction: &mut EngineTransaction,
    code: &str,
    log: Log,
) -> Result<Frontier, StoreError> {
    match transaction.fetch_optional(&Statement::about(code, FRONTIER.about(log))).await? {
        Some(row) => Frontier::from_bytes(row.bytes(0)?).map_err(|_| StoreError::Corrupt { table: "log_head" }),
        None => Ok(Frontier::empty()),
    }
}

/// As the database keeps an index.
pub(crate) fn index(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Corrupt { table: "log_head" })
}
