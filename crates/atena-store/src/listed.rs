//! What a module lists of the statements that it sends, for the catalogue.

use crate::engine::{BatchSql, Insert, Sql};
use crate::logs::LogSql;

/// What stands behind one name.
pub(crate) enum Listed {
    Sql(Sql),
    /// A statement about either log.
    Log(&'static LogSql),
    Batch(&'static BatchSql),
    /// An insert of no rows, which has the columns of all others.
    Insert(fn() -> Insert<'static>),
}
