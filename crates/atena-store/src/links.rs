//! Links: which local number each system uses for a person.

use std::collections::HashMap;

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};

use crate::engine::{BatchRow, BatchSql, Insert, Kind, List, Spacing, Sql, Statement, signed};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::people::person_of;
use crate::store::Store;
use crate::write::WriteTransaction;

/// A link to add.
pub struct NewLink {
    /// The system.
    pub system_id: SystemId,
    /// Its number of the person.
    pub local_address_number: LocalAddressNumber,
    /// The person.
    pub unified_address_number: UnifiedAddressNumber,
}

static LINKS_BY_LOCAL: BatchSql = BatchSql::of_list(
    &[("local_address_number", Kind::Text), ("unified_address_number", Kind::Text)],
    Sql::same(
        "FROM link
        WHERE municipality_code = $1 AND system_id = $2 AND local_address_number = ANY($3)",
    ),
    List::range_read(Spacing::Consecutive, "$3"),
);

static LINKS_BY_UNIFIED: BatchSql = BatchSql::of_list(
    &[("unified_address_number", Kind::Text), ("local_address_number", Kind::Text)],
    Sql::same(
        "FROM link
        WHERE municipality_code = $1 AND system_id = $2 AND unified_address_number = ANY($3)",
    ),
    List::range_read(Spacing::CheckDigit, "$3"),
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] = &[
    ("db.link.by_local", Listed::Batch(&LINKS_BY_LOCAL)),
    ("db.link.by_unified", Listed::Batch(&LINKS_BY_UNIFIED)),
    ("db.link.insert", Listed::Insert(|| link_rows("", &[], 0))),
];

// === impl Store ===

impl Store {
    /// The people of a system's own local numbers. Numbers that are not linked are not in the
    /// answer.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.by_local")]
    pub async fn links_by_local(
        &self,
        system: &SystemId,
        locals: &[LocalAddressNumber],
    ) -> Result<HashMap<LocalAddressNumber, UnifiedAddressNumber>, StoreError> {
        self.engine.fetch_batch(&LINKS_BY_LOCAL, &by_local(self.code(), system, locals)).await?.into_map(link)
    }

    /// A system's own local numbers of people.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.by_unified")]
    pub async fn links_by_unified(
        &self,
        system: &SystemId,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, LocalAddressNumber>, StoreError> {
        self.engine
            .fetch_batch(&LINKS_BY_UNIFIED, &by_unified(self.code(), system, people))
            .await?
            .into_map(turned_link)
    }
}

// === impl WriteTransaction ===

impl WriteTransaction {
    /// As [`Store::links_by_local`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn links_by_local(
        &mut self,
        system: &SystemId,
        locals: &[LocalAddressNumber],
    ) -> Result<HashMap<LocalAddressNumber, UnifiedAddressNumber>, StoreError> {
        let links = by_local(self.municipality.as_str(), system, locals);
        self.transaction.fetch_batch(&LINKS_BY_LOCAL, &links).await?.into_map(link)
    }

    /// As [`Store::links_by_unified`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn links_by_unified(
        &mut self,
        system: &SystemId,
        people: &[UnifiedAddressNumber],
    ) -> Result<HashMap<UnifiedAddressNumber, LocalAddressNumber>, StoreError> {
        let links = by_unified(self.municipality.as_str(), system, people);
        self.transaction.fetch_batch(&LINKS_BY_UNIFIED, &links).await?.into_map(turned_link)
    }

    /// Adds links; each takes a change sequence.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when the local number or the person is linked in that system
    /// already.
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.insert")]
    pub async fn insert_links(&mut self, links: &[NewLink]) -> Result<(), StoreError> {
        if links.is_empty() {
            return Ok(());
        }
        let first = self.take_change_sequences(links.len()).await?;
        self.transaction.insert(&link_rows(self.municipality.as_str(), links, first)).await?;
        let last = first - 1 + signed(links.len() as u64);
        let linked: Vec<_> = links.iter().map(|link| (&link.system_id, &link.unified_address_number)).collect();
        self.note_links(last, &linked).await
    }
}

fn link_rows<'q>(code: &'q str, links: &'q [NewLink], first_sequence: i64) -> Insert<'q> {
    Insert::into("link", code, links.len())
        .texts("system_id", links.iter().map(|link| link.system_id.as_str()))
        .texts("local_address_number", links.iter().map(|link| link.local_address_number.as_str()))
        .texts("unified_address_number", links.iter().map(|link| link.unified_address_number.as_str()))
        .integers("change_sequence", (first_sequence..).take(links.len()))
}

fn by_local<'q>(code: &'q str, system: &'q SystemId, locals: &'q [LocalAddressNumber]) -> Statement<'q> {
    LINKS_BY_LOCAL.about(code).text(system.as_str()).texts(locals.iter().map(LocalAddressNumber::as_str))
}

fn by_unified<'q>(code: &'q str, system: &'q SystemId, people: &'q [UnifiedAddressNumber]) -> Statement<'q> {
    LINKS_BY_UNIFIED.about(code).text(system.as_str()).texts(people.iter().map(UnifiedAddressNumber::as_str))
}

/// A person and their local number.
fn turned_link(row: BatchRow<'_>) -> Result<(UnifiedAddressNumber, LocalAddressNumber), StoreError> {
    let local = LocalAddressNumber::parse(row.text(1)?).map_err(StoreError::corrupt("link"))?;
    Ok((person_of(row.text(0)?, "link")?, local))
}

/// A local number and the person behind it.
pub(crate) fn link(row: BatchRow<'_>) -> Result<(LocalAddressNumber, UnifiedAddressNumber), StoreError> {
    let local = LocalAddressNumber::parse(row.text(0)?).map_err(StoreError::corrupt("link"))?;
    Ok((local, person_of(row.text(1)?, "link")?))
}
