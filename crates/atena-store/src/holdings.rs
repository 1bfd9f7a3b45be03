//! People of a consumer with all that is released about them, in one statement: what a pull reads.

use atena_domain::{LocalAddressNumber, UnifiedAddressNumber};
use atena_policy::ReleasePermit;
use atena_vault::WrappedKey;

use crate::engine::{Row, Sql, Statement, sql};
use crate::error::StoreError;
use crate::people::person_in;
use crate::records::{StoredRecord, datasets, stored_record};
use crate::store::Store;

/// A person, as the permits' caller knows them, with their key and the newest revisions of their records.
pub struct Holding {
    /// The caller's number.
    pub local_address_number: LocalAddressNumber,
    /// The person.
    pub unified_address_number: UnifiedAddressNumber,
    /// What opens the records; `None` for a person who was erased.
    pub wrapped_key: Option<WrappedKey>,
    /// Records of the permitted datasets without those deleted, ordered by dataset and record key.
    pub records: Vec<StoredRecord>,
}

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
        const OF: Sql = sql!(each "$4::text[]"
            all "SELECT link.local_address_number, person_key.kek_id, person_key.wrapped_key, link.unified_address_number AS person, "
            stored "record"
            all " FROM link LEFT JOIN person_key ON person_key.municipality_code = $1 \
                AND person_key.unified_address_number = link.unified_address_number \
            LEFT JOIN record ON record.municipality_code = $1 \
                AND record.unified_address_number = link.unified_address_number AND record.deleted = 0 AND record.dataset"
            texts "$3"
            all " WHERE link.municipality_code = $1 AND link.system_id = $2 AND link.local_address_number" wanted "$4"
            done "");
        let Some(permit) = permits.first() else { return Ok(Vec::new()) };
        let of = Statement::about(self.code(), OF)
            .text(permit.caller().as_str())
            .texts(datasets(permits))
            .texts(locals.iter().map(LocalAddressNumber::as_str));
        holdings(&self.engine.fetch_all(&of).await?)
    }

    /// The caller's people in the order of its local numbers, after `after`.
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
        const AFTER: Sql = sql!(all
            "SELECT link.local_address_number, person_key.kek_id, person_key.wrapped_key, link.unified_address_number AS person, "
            stored "record"
            all " FROM (SELECT local_address_number, unified_address_number FROM link \
                WHERE municipality_code = $1 AND system_id = $2 AND local_address_number > $4 \
                ORDER BY local_address_number LIMIT $5) AS link \
            LEFT JOIN person_key ON person_key.municipality_code = $1 \
                AND person_key.unified_address_number = link.unified_address_number \
            LEFT JOIN record ON record.municipality_code = $1 \
                AND record.unified_address_number = link.unified_address_number AND record.deleted = 0 AND record.dataset"
            texts "$3");
        let Some(permit) = permits.first() else { return Ok(Vec::new()) };
        let after = Statement::about(self.code(), AFTER)
            .text(permit.caller().as_str())
            .texts(datasets(permits))
            .text(after.map_or("", LocalAddressNumber::as_str))
            .integer(limit.into());
        holdings(&self.engine.fetch_all(&after).await?)
    }
}

/// Rows of the statements above, in any order.
fn holdings(rows: &[Row]) -> Result<Vec<Holding>, StoreError> {
    let mut people: Vec<Holding> = Vec::new();
    for row in rows {
        let local = row.text(0)?;
        if people.last().is_none_or(|last| last.local_address_number.as_str() != local) {
            let key = match row.maybe_text(1)? {
                Some(kek_id) => Some(WrappedKey { kek_id: kek_id.to_owned(), bytes: row.bytes(2)?.to_vec() }),
                None => None,
            };
            people.push(Holding {
                local_address_number: LocalAddressNumber::parse(local).map_err(StoreError::corrupt("link"))?,
                unified_address_number: person_in(row, 3, "link")?,
                wrapped_key: key,
                records: Vec::new(),
            });
        }
        if let (Some(person), Some(_)) = (people.last_mut(), row.maybe_text(4)?) {
            person.records.push(stored_record(row, 4)?);
        }
    }
    // The database reads people and records in the order of their keys, but need not.
    if !people.is_sorted_by(|one, other| one.local_address_number < other.local_address_number) {
        people.sort_by(|one, other| one.local_address_number.cmp(&other.local_address_number));
        people.dedup_by(|later, first| {
            let same = later.local_address_number == first.local_address_number;
            if same {
                first.records.append(&mut later.records);
            }
            same
        });
    }
    for person in &mut people {
        let place = |record: &StoredRecord| (record.dataset.as_str(), record.record_key.clone());
        if !person.records.is_sorted_by(|one, other| {
            (one.dataset.as_str(), &one.record_key) < (other.dataset.as_str(), &other.record_key)
        }) {
            person.records.sort_by_cached_key(place);
        }
    }
    Ok(people)
}
