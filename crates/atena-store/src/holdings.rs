//! People of a consumer with all that is released about them: what a pull reads.

use std::collections::HashMap;

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use atena_vault::WrappedKey;
use smallvec::SmallVec;

use crate::engine::{BatchSql, Kind, List, ListOf, Sql};
use crate::error::StoreError;
use crate::links::link;
#[cfg(test)]
use crate::listed::Listed;
use crate::people::keyed;
use crate::records::{StoredRecord, current_record, datasets};
use crate::store::Store;

/// A person, as the permits' caller knows them, with their key and the newest revisions of their
/// records.
pub struct Holding {
    /// The caller's number.
    pub local_address_number: LocalAddressNumber,
    /// The person.
    pub unified_address_number: UnifiedAddressNumber,
    /// What opens the records; `None` for a person who was erased.
    pub wrapped_key: Option<WrappedKey>,
    /// Records of the permitted datasets without those deleted, ordered by dataset and record key;
    /// most people have one.
    pub records: SmallVec<[StoredRecord; 1]>,
}

// Empty where there is nothing: a batch has no NULL. PostgreSQL looks up each table by itself: for
// a join it may choose an index of which it binds the municipality alone.
static OF_LOCALS: BatchSql = BatchSql::of_list(
    &[
        ("link.local_address_number", Kind::Text),
        ("link.unified_address_number", Kind::Text),
        ("coalesce(person_key.kek_id, '')", Kind::Text),
        ("coalesce(person_key.wrapped_key, '')", Kind::Bytes),
        ("coalesce(record.dataset, '')", Kind::Text),
        ("coalesce(record.record_key, '')", Kind::Text),
        ("coalesce(record.revision, 0)", Kind::Integer),
        ("coalesce(record.sealed, '')", Kind::Bytes),
    ],
    Sql::per_engine(
        "FROM link
        LEFT JOIN person_key ON person_key.municipality_code = $1
            AND person_key.unified_address_number = link.unified_address_number
        LEFT JOIN record ON record.municipality_code = $1
            AND record.unified_address_number = link.unified_address_number
            AND record.deleted = 0 AND record.dataset = ANY($3)
        WHERE link.municipality_code = $1 AND link.system_id = $2
            AND link.local_address_number = ANY($4)",
        "FROM link
        LEFT JOIN LATERAL (
            SELECT kek_id, wrapped_key FROM person_key
            WHERE person_key.municipality_code = $1
                AND person_key.unified_address_number = link.unified_address_number
            OFFSET 0) AS person_key ON true
        LEFT JOIN LATERAL (
            SELECT dataset, record_key, revision, sealed FROM record
            WHERE record.municipality_code = $1
                AND record.unified_address_number = link.unified_address_number
                AND record.deleted = 0 AND record.dataset = ANY($3)
            OFFSET 0) AS record ON true
        WHERE link.municipality_code = $1 AND link.system_id = $2
            AND link.local_address_number = ANY($4)",
    ),
    List::new(ListOf::Texts, "$4"),
);

static LINKS_AFTER: BatchSql = BatchSql::all(
    &[("page.local_address_number", Kind::Text), ("page.unified_address_number", Kind::Text)],
    Sql::same(
        "FROM (
            SELECT local_address_number, unified_address_number FROM link
            WHERE municipality_code = $1 AND system_id = $2 AND local_address_number > $3
            ORDER BY local_address_number LIMIT $4) AS page",
    ),
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] =
    &[("db.holding.of", Listed::Batch(&OF_LOCALS)), ("db.link.after", Listed::Batch(&LINKS_AFTER))];

// === impl Store ===

impl Store {
    /// The people behind some of the caller's local numbers; those not linked are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.holding.of")]
    pub async fn holdings_of(
        &self,
        permits: &[ReleasePermit],
        locals: &[LocalAddressNumber],
    ) -> Result<Vec<Holding>, StoreError> {
        let Some(permit) = permits.first() else { return Ok(Vec::new()) };
        let holdings = OF_LOCALS
            .about(self.code())
            .text(permit.caller().as_str())
            .texts(datasets(permits))
            .texts(locals.iter().map(LocalAddressNumber::as_str));
        let found = self.engine.fetch_batch(&OF_LOCALS, &holdings).await?;
        let mut people: HashMap<LocalAddressNumber, Holding> = HashMap::with_capacity(locals.len());
        for row in found.rows() {
            let (local, unified) = link(row)?;
            let person = people.entry(local.clone()).or_insert_with(|| Holding::new(local, unified.clone()));
            if !row.text(2)?.is_empty() {
                person.wrapped_key = Some(WrappedKey { kek_id: row.text(2)?.into(), bytes: row.bytes(3)? });
            }
            if !row.text(4)?.is_empty() {
                person.records.push(current_record(row, unified, 4)?);
            }
        }
        let mut people: Vec<_> = people.into_values().collect();
        people.iter_mut().for_each(Holding::order);
        Ok(people)
    }

    /// The caller's people in the order of its local numbers, after `after`. Records may be newer
    /// than their people, never older.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.holding.after")]
    pub async fn holdings_after(
        &self,
        permits: &[ReleasePermit],
        after: Option<&LocalAddressNumber>,
        limit: u32,
    ) -> Result<Vec<Holding>, StoreError> {
        let mut people: Vec<_> = self
            .links_after(permits, after, limit)
            .await?
            .into_iter()
            .map(|(local, unified)| Holding::new(local, unified))
            .collect();
        // Keys are read before records: a person who is erased in between has no record without a
        // key.
        let numbers: Vec<_> = people.iter().map(|person| person.unified_address_number.clone()).collect();
        let (keys, records) = (self.person_key_rows(&numbers).await?, self.current_records(permits, &numbers).await?);
        let mut places = Places::new(numbers);
        for row in keys.rows() {
            let (person, key) = keyed(row)?;
            if let Some(person) = places.find(&person).and_then(|place| people.get_mut(place)) {
                person.wrapped_key = Some(key);
            }
        }
        for record in records {
            if let Some(person) = places.find(&record.unified_address_number).and_then(|place| people.get_mut(place)) {
                person.records.push(record);
            }
        }
        Ok(people)
    }
}

// === impl Store ===

impl Store {
    /// The caller's people in the order of its local numbers, after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.link.after")]
    pub async fn links_after(
        &self,
        permits: &[ReleasePermit],
        after: Option<&LocalAddressNumber>,
        limit: u32,
    ) -> Result<Vec<(LocalAddressNumber, UnifiedAddressNumber)>, StoreError> {
        let Some(permit) = permits.first() else { return Ok(Vec::new()) };
        let after = LINKS_AFTER
            .about(self.code())
            .text(permit.caller().as_str())
            .text(after.map_or("", LocalAddressNumber::as_str))
            .integer(limit.into());
        let links = self.engine.fetch_batch(&LINKS_AFTER, &after).await?;
        let mut people = links.rows().map(link).collect::<Result<Vec<_>, _>>()?;
        // A page comes in order from the index, but an engine need not.
        if !people.is_sorted_by(|(one, _), (next, _)| one < next) {
            people.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        Ok(people)
    }
}

// === impl Holding ===

impl Holding {
    fn new(local: LocalAddressNumber, unified: UnifiedAddressNumber) -> Self {
        Self {
            local_address_number: local,
            unified_address_number: unified,
            wrapped_key: None,
            records: SmallVec::new(),
        }
    }

    /// Records by dataset and key; the database reads them so, but need not.
    fn order(&mut self) {
        if !self.records.is_sorted_by(|one, next| one.place() < next.place()) {
            self.records.sort_by(|one, other| one.place().cmp(&other.place()));
        }
    }
}

/// Finds where a person stands in a page. People are mostly looked for in the order of their
/// numbers: then each is the one found before, or the next.
struct Places {
    in_order: Vec<(UnifiedAddressNumber, usize)>,
    near: usize,
}

// === impl Places ===

impl Places {
    /// Of people in the order of the page.
    fn new(numbers: Vec<UnifiedAddressNumber>) -> Self {
        let mut in_order: Vec<_> = numbers.into_iter().zip(0..).collect();
        in_order.sort_unstable();
        Self { in_order, near: 0 }
    }

    /// The place of a person, if they are one of the page's.
    fn find(&mut self, person: &UnifiedAddressNumber) -> Option<usize> {
        let number = |at: usize| self.in_order.get(at).map(|(number, _)| number);
        let near = [self.near, self.near + 1].into_iter().find(|at| number(*at) == Some(person));
        self.near = match near {
            Some(at) => at,
            None => self.in_order.binary_search_by(|(number, _)| number.cmp(person)).ok()?,
        };
        self.in_order.get(self.near).map(|(_, place)| *place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_found_in_any_order_and_others_are_not() {
        let number = |body: u64| UnifiedAddressNumber::from_body(body).unwrap();
        let mut places = Places::new([30, 10, 20].map(number).to_vec());
        for (body, place) in [(10, 1), (10, 1), (20, 2), (30, 0), (10, 1), (30, 0), (20, 2)] {
            assert_eq!(places.find(&number(body)), Some(place));
        }
        for body in [9, 15, 31] {
            assert_eq!(places.find(&number(body)), None);
        }
        assert_eq!(places.find(&number(20)), Some(2), "one that is not there does not mislead");
        assert_eq!(Places::new(Vec::new()).find(&number(1)), None);
    }
}
