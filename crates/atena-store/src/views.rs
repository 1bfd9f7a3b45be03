//! What each system itself registered about a person.

use std::collections::HashMap;

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use jiff::Timestamp;

use crate::engine::{BatchRow, BatchSql, Insert, Kind, List, Spacing, Sql, Statement, signed};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::store::Store;
use crate::write::WriteTransaction;

/// A view to add.
pub struct NewView {
    /// The system.
    pub system_id: SystemId,
    /// Its number of the person.
    pub local_address_number: LocalAddressNumber,
    /// From 1.
    pub revision: u64,
    /// The content, sealed.
    pub sealed: Vec<u8>,
    /// Keyed digest of the content.
    pub content_mac: [u8; 32],
    /// 支援措置対象者.
    pub protected: bool,
    /// When.
    pub stored_at: Timestamp,
}

/// What is compared with a view that comes in.
pub struct ViewHead {
    /// The newest revision.
    pub revision: u64,
    /// Keyed digest of its content.
    pub content_mac: [u8; 32],
}

/// A stored view.
pub struct StoredView {
    /// The newest revision.
    pub revision: u64,
    /// The content, sealed.
    pub sealed: Vec<u8>,
}

const NEWEST: Sql = Sql::same(
    "SELECT revision, sealed FROM person_view
    WHERE municipality_code = $1 AND system_id = $2 AND local_address_number = $3
    ORDER BY revision DESC LIMIT 1",
);

// The view is not joined: PostgreSQL would read links in the order of their keys, and so all of a
// municipality.
const PROTECTED: Sql = Sql::same(
    "SELECT count(*) FROM link
    WHERE municipality_code = $1 AND unified_address_number = $2
        AND 1 = (
            SELECT protected FROM person_view AS view
            WHERE view.municipality_code = $1 AND view.system_id = link.system_id
                AND view.local_address_number = link.local_address_number
            ORDER BY view.revision DESC LIMIT 1)",
);

/// The newest views of a system, of the people in a list.
const NEWEST_OF_LIST: Sql = Sql::same(
    "FROM person_view AS view
    WHERE view.municipality_code = $1 AND view.system_id = $2
        AND view.local_address_number = ANY($3)
        AND view.revision = (
            SELECT max(newest.revision) FROM person_view AS newest
            WHERE newest.municipality_code = $1 AND newest.system_id = $2
                AND newest.local_address_number = view.local_address_number)",
);

static HEADS: BatchSql = BatchSql::of_list(
    &[("view.local_address_number", Kind::Text), ("view.revision", Kind::Integer), ("view.content_mac", Kind::Bytes)],
    NEWEST_OF_LIST,
    List::range_read(Spacing::Consecutive, "$3"),
);

static SEALED: BatchSql = BatchSql::of_list(
    &[("view.local_address_number", Kind::Text), ("view.revision", Kind::Integer), ("view.sealed", Kind::Bytes)],
    NEWEST_OF_LIST,
    List::range_read(Spacing::Consecutive, "$3"),
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.person_view.newest", Listed::Sql(NEWEST)),
    ("db.person_view.is_protected", Listed::Sql(PROTECTED)),
    ("db.person_view.heads", Listed::Batch(&HEADS)),
    ("db.person_view.sealed", Listed::Batch(&SEALED)),
    ("db.person_view.insert", Listed::Insert(|| view_rows("", &[]))),
];

// === impl Store ===

impl Store {
    /// The newest view of the permit's caller of one person.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.newest")]
    pub async fn person_view(
        &self,
        permit: &ReleasePermit,
        local: &LocalAddressNumber,
    ) -> Result<Option<StoredView>, StoreError> {
        let newest = Statement::about(self.code(), NEWEST).text(permit.caller().as_str()).text(local.as_str());
        let row = self.engine.fetch_optional(&newest).await?;
        row.map(|row| Ok(StoredView { revision: row.count(0, "person_view")?, sealed: row.bytes(1)?.to_vec() }))
            .transpose()
    }

    /// Whether the newest view of any system says that a person is under support measures (支援措置).
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.is_protected")]
    pub async fn is_protected(&self, person: &UnifiedAddressNumber) -> Result<bool, StoreError> {
        let protected = Statement::about(self.code(), PROTECTED).text(person.as_str());
        self.engine.fetch_optional(&protected).await?.map_or(Ok(false), |row| Ok(row.integer(0)? > 0))
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// The newest views of a system.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.heads")]
    pub async fn views(
        &mut self,
        system: &SystemId,
        locals: &[LocalAddressNumber],
    ) -> Result<HashMap<LocalAddressNumber, ViewHead>, StoreError> {
        let heads = newest_of(&HEADS, self.municipality.as_str(), system, locals);
        self.transaction.fetch_batch(&HEADS, &heads).await?.into_map(|row| {
            let revision = row.count(1, "person_view")?;
            Ok((local_number(row)?, ViewHead { revision, content_mac: row.bytes32(2, "person_view")? }))
        })
    }

    /// The newest views of a system, sealed; to be merged with what comes in.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.sealed")]
    pub async fn sealed_views(
        &mut self,
        system: &SystemId,
        locals: &[LocalAddressNumber],
    ) -> Result<HashMap<LocalAddressNumber, StoredView>, StoreError> {
        let sealed = newest_of(&SEALED, self.municipality.as_str(), system, locals);
        self.transaction.fetch_batch(&SEALED, &sealed).await?.into_map(|row| {
            let revision = row.count(1, "person_view")?;
            Ok((local_number(row)?, StoredView { revision, sealed: row.bytes(2)?.to_vec() }))
        })
    }

    /// Adds views.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] for a revision that exists already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.insert")]
    pub async fn insert_views(&mut self, views: &[NewView]) -> Result<(), StoreError> {
        self.transaction.insert(&view_rows(self.municipality.as_str(), views)).await
    }
}

/// A statement about the newest views of a system.
fn newest_of<'q>(
    sql: &BatchSql,
    code: &'q str,
    system: &'q SystemId,
    locals: &'q [LocalAddressNumber],
) -> Statement<'q> {
    sql.about(code).text(system.as_str()).texts(locals.iter().map(LocalAddressNumber::as_str))
}

fn local_number(row: BatchRow<'_>) -> Result<LocalAddressNumber, StoreError> {
    LocalAddressNumber::parse(row.text(0)?).map_err(StoreError::corrupt("person_view"))
}

fn view_rows<'q>(code: &'q str, views: &'q [NewView]) -> Insert<'q> {
    Insert::into("person_view", code, views.len())
        .texts("system_id", views.iter().map(|view| view.system_id.as_str()))
        .texts("local_address_number", views.iter().map(|view| view.local_address_number.as_str()))
        .integers("revision", views.iter().map(|view| signed(view.revision)))
        .bytes("sealed", views.iter().map(|view| view.sealed.as_slice()))
        .bytes("content_mac", views.iter().map(|view| view.content_mac.as_slice()))
        .integers("protected", views.iter().map(|view| view.protected.into()))
        .integers("stored_at", views.iter().map(|view| view.stored_at.as_microsecond()))
}
