//! What each system itself registered about a person.

use std::collections::HashMap;

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Row};

use crate::error::StoreError;
use crate::rows::{BINDS_MAX, LIST_MAX, bytes32, count, into_map, push_list, signed, text};
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
        const QUERY: &str = "SELECT revision, sealed FROM person_view \
            WHERE municipality_code = ? AND system_id = ? AND local_address_number = ? \
            ORDER BY revision DESC LIMIT 1";
        let row = sqlx::query(QUERY)
            .bind(self.code())
            .bind(permit.caller().as_str())
            .bind(local.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok(StoredView { revision: count(&row, 0, "person_view")?, sealed: row.try_get(1)? })).transpose()
    }

    /// Whether the newest view of any system says that a person is under support measures (支援措置).
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.is_protected")]
    pub async fn is_protected(&self, person: &UnifiedAddressNumber) -> Result<bool, StoreError> {
        const QUERY: &str = "SELECT EXISTS (SELECT 1 FROM link JOIN person_view AS view \
                ON view.municipality_code = link.municipality_code AND view.system_id = link.system_id \
                AND view.local_address_number = link.local_address_number \
            WHERE link.municipality_code = ? AND link.unified_address_number = ? AND view.protected = 1 \
                AND view.revision = (SELECT max(revision) FROM person_view AS newest \
                    WHERE newest.municipality_code = view.municipality_code AND newest.system_id = view.system_id \
                    AND newest.local_address_number = view.local_address_number))";
        Ok(sqlx::query_scalar(QUERY).bind(self.code()).bind(person.as_str()).fetch_one(&self.readers).await?)
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
        let mut found = HashMap::with_capacity(locals.len());
        for locals in locals.chunks(LIST_MAX) {
            // Of rows grouped with max(), SQLite takes the other columns from the row that has it.
            let mut query = QueryBuilder::new(
                "SELECT local_address_number, max(revision), content_mac FROM person_view WHERE municipality_code = ",
            );
            query
                .push_bind(self.municipality.as_str())
                .push(" AND system_id = ")
                .push_bind(system.as_str())
                .push(" AND local_address_number");
            push_list(&mut query, locals.iter().map(LocalAddressNumber::as_str));
            query.push(" GROUP BY local_address_number");
            into_map(query.build().fetch_all(&mut *self.transaction).await?, &mut found, |row| {
                let local = LocalAddressNumber::parse(text(row, 0)?).map_err(StoreError::corrupt("person_view"))?;
                let revision = count(row, 1, "person_view")?;
                Ok((local, ViewHead { revision, content_mac: bytes32(row, 2, "person_view")? }))
            })?;
        }
        Ok(found)
    }

    /// Adds views.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] for a revision that exists already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.person_view.insert")]
    pub async fn insert_views(&mut self, views: &[NewView]) -> Result<(), StoreError> {
        let code = self.municipality.as_str();
        for views in views.chunks(BINDS_MAX / 8) {
            let mut query = QueryBuilder::new(
                "INSERT INTO person_view (municipality_code, system_id, local_address_number, revision, sealed, \
                 content_mac, protected, stored_at) ",
            );
            query.push_values(views, |mut row, view| {
                row.push_bind(code)
                    .push_bind(view.system_id.as_str())
                    .push_bind(view.local_address_number.as_str())
                    .push_bind(signed(view.revision))
                    .push_bind(&view.sealed)
                    .push_bind(view.content_mac.as_slice())
                    .push_bind(view.protected)
                    .push_bind(view.stored_at.as_microsecond());
            });
            query.build().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }
}
