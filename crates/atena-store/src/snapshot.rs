//! A municipality as it was at one moment, and its copy in another database of either engine. This
//! is how a municipality is backed up, restored and moved.

use std::sync::Arc;

use atena_domain::MunicipalityCode;
use atena_ledger::{Frontier, Hash};

use crate::engine::{Column, EngineTransaction, Insert, Row, Value, signed};
use crate::error::StoreError;
use crate::log_append::{log_frontier, set_frontier};
use crate::logs::Log;
use crate::tables::{CONTENT, Kind, LOG_INDEX, LOG_TREE, PERSON_KEY, Table, log_hashes};
use crate::write::WriteTransaction;

/// Everything that a database held of a municipality at one moment. Gateways need not stop for it.
pub struct Snapshot {
    pub(crate) municipality: Arc<MunicipalityCode>,
    pub(crate) transaction: EngineTransaction,
}

/// Which tables are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    Everything,
    /// All but the keys of people and the search index of the log, which is derived.
    Content,
    /// The wrapped keys of people alone. A person who is erased must be erased from its copies too,
    /// so they are kept briefly.
    PersonKeys,
}

/// Why a copy was not made. Nothing of it is there.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is something in the target already.
    #[error("the target is not empty: its table {0} has rows of this municipality")]
    NotEmpty(&'static str),
    /// Not everything arrived.
    #[error("{arrived} rows of table {table} arrived, of {sent}")]
    Count {
        /// The table.
        table: &'static str,
        /// Rows in the source.
        sent: u64,
        /// Rows in the target.
        arrived: u64,
    },
    /// The leaves that arrived do not give the log's head.
    #[error("the leaves that arrived do not give the head of the log: run `atena log fsck` on the source")]
    RootDiffers,
}

// === impl Part ===

impl Part {
    fn tables(self) -> impl Iterator<Item = &'static Table> {
        const KEYS: &[Table] = &[PERSON_KEY];
        let (content, index): (&'static [Table], &'static [Table]) = (&CONTENT, &LOG_INDEX);
        let all = [
            (self != Self::Content, KEYS),
            (self != Self::PersonKeys, content),
            (self != Self::PersonKeys, &LOG_TREE),
            (self == Self::Everything, index),
        ];
        all.into_iter().filter(|(included, _)| *included).flat_map(|(_, tables)| tables)
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// Rows that a copy of this part has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn count(&mut self, part: Part) -> Result<u64, StoreError> {
        let mut all = 0;
        for table in part.tables() {
            all += count(&mut self.transaction, self.municipality.as_str(), table).await?;
        }
        Ok(all)
    }

    /// The head of a log at that moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn log_frontier(&mut self, log: Log) -> Result<Frontier, StoreError> {
        log_frontier(&mut self.transaction, self.municipality.as_str(), log).await
    }

    /// Copies a part into a database that has nothing of it yet. Then it compares: each table has
    /// as many rows, and the leaves of each log give the same root. The copy is there once the
    /// target's transaction commits. `progress` is called with the number of rows of each page.
    ///
    /// # Errors
    /// [`CopyError`]: then the target's transaction must be dropped.
    #[tracing::instrument(level = "debug", skip_all, name = "db.copy")]
    pub async fn copy(
        &mut self,
        part: Part,
        target: &mut WriteTransaction,
        mut progress: impl FnMut(u64),
    ) -> Result<(), CopyError> {
        let code = Arc::clone(&self.municipality);
        for table in part.tables() {
            if count(&mut target.transaction, code.as_str(), table).await? > 0 {
                return Err(CopyError::NotEmpty(table.name));
            }
        }
        let logs = if part == Part::PersonKeys { &[][..] } else { &Log::ALL };
        for log in logs {
            if log_frontier(&mut target.transaction, code.as_str(), *log).await?.size() > 0 {
                return Err(CopyError::NotEmpty(log.head_table()));
            }
        }
        for table in part.tables() {
            let sent = self.copy_table(table, target, &mut progress).await?;
            let arrived = count(&mut target.transaction, code.as_str(), table).await?;
            let counted = count(&mut self.transaction, code.as_str(), table).await?;
            if arrived != sent || counted != sent {
                return Err(CopyError::Count { table: table.name, sent: counted, arrived });
            }
        }
        for log in logs {
            let head = self.log_frontier(*log).await?;
            if frontier_of_leaves(target, code.as_str(), *log).await? != head {
                return Err(CopyError::RootDiffers);
            }
            set_frontier(&mut target.transaction, code.as_str(), *log, &head).await?;
        }
        Ok(())
    }

    async fn copy_table(
        &mut self,
        table: &Table,
        target: &mut WriteTransaction,
        progress: &mut impl FnMut(u64),
    ) -> Result<u64, StoreError> {
        let code = Arc::clone(&self.municipality);
        let mut pages = Pages::new(table, code.as_str());
        let mut copied = 0;
        while let Some(rows) = pages.next(&mut self.transaction).await? {
            target.transaction.insert(&table_rows(table, code.as_str(), rows)?).await?;
            let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            progress(count);
            copied += count;
        }
        Ok(copied)
    }
}

/// The rows of a table in the order of its key, a page at a time.
struct Pages<'t> {
    table: &'t Table,
    code: &'t str,
    last: Option<Vec<Row>>,
}

// === impl Pages ===

impl<'t> Pages<'t> {
    fn new(table: &'t Table, code: &'t str) -> Self {
        Self { table, code, last: None }
    }

    /// The next page; `None` after the last one.
    async fn next(&mut self, from: &mut EngineTransaction) -> Result<Option<&[Row]>, StoreError> {
        let mut values = vec![Value::Text(self.code)];
        let before = self.last.take();
        if let Some(rows) = &before {
            let Some(last) = rows.last().filter(|_| rows.len() == usize::try_from(self.table.page_rows).unwrap_or(0))
            else {
                return Ok(None);
            };
            for (index, (_, kind)) in self.table.key.iter().enumerate() {
                values.push(match kind {
                    Kind::Text | Kind::MaybeText => Value::Text(last.text(index)?),
                    Kind::Integer => Value::Integer(last.integer(index)?),
                    Kind::Bytes => Value::Bytes(last.bytes(index)?),
                });
            }
        }
        let rows = from.fetch_page(self.table.page(before.is_some()), &values).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.last.insert(rows)))
    }
}

async fn count(of: &mut EngineTransaction, code: &str, table: &Table) -> Result<u64, StoreError> {
    let rows = of.fetch_page(table.count(), &[Value::Text(code)]).await?;
    rows.first().map_or(Ok(0), |row| row.count(0, table.name))
}

/// Rows of a table, to be inserted as they are.
pub(crate) fn table_rows<'q>(table: &Table, code: &'q str, rows: &'q [Row]) -> Result<Insert<'q>, StoreError> {
    let mut insert = Insert::into(table.name, code, rows.len());
    for (index, (name, kind)) in table.columns().enumerate() {
        insert = insert.column(name, column(rows, index, kind)?);
    }
    Ok(insert)
}

fn column(rows: &[Row], index: usize, kind: Kind) -> Result<Column<'_>, StoreError> {
    Ok(match kind {
        Kind::Text => Column::Text(rows.iter().map(|row| row.text(index)).collect::<Result<_, _>>()?),
        Kind::MaybeText => {
            let texts = rows.iter().map(|row| Ok::<_, StoreError>(row.maybe_text(index)?.map(str::to_owned)));
            Column::MaybeText(texts.collect::<Result<_, _>>()?)
        }
        Kind::Integer => Column::Integer(rows.iter().map(|row| row.integer(index)).collect::<Result<_, _>>()?),
        Kind::Bytes => Column::Bytes(rows.iter().map(|row| row.bytes(index)).collect::<Result<_, _>>()?),
    })
}

/// The frontier that the leaves give, as a transaction sees them.
async fn frontier_of_leaves(target: &mut WriteTransaction, code: &str, log: Log) -> Result<Frontier, StoreError> {
    let table = log_hashes(log);
    let mut tree = Frontier::empty();
    let mut pages = Pages::new(&table, code);
    while let Some(rows) = pages.next(&mut target.transaction).await? {
        for row in rows {
            let (hashes, rest) = row.bytes(1)?.as_chunks::<32>();
            if row.integer(0)? != signed(tree.size()) || !rest.is_empty() {
                return Err(StoreError::Corrupt { table: table.name });
            }
            for hash in hashes {
                tree.push(Hash(*hash), |_, _, _| {});
            }
        }
    }
    Ok(tree)
}
