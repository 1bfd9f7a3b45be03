//! Cases that a person has to decide (名寄せ候補).

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use jiff::Timestamp;
use uuid::Uuid;

use crate::engine::{Sql, Statement};
use crate::error::StoreError;
#[cfg(test)]
use crate::listed::Listed;
use crate::write::WriteTransaction;

/// Why a machine must not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewKind {
    /// One system, two local numbers for one person.
    SecondLocalNumber,
    /// Two people who may be one.
    MaybeOnePerson,
}

/// A case to open.
pub struct NewReviewCase {
    /// Why.
    pub kind: ReviewKind,
    /// The registering system.
    pub system_id: SystemId,
    /// The local number in question.
    pub local_address_number: LocalAddressNumber,
    /// The person it seems to be.
    pub unified_address_number: UnifiedAddressNumber,
    /// The other person, if there are two.
    pub other_unified_address_number: Option<UnifiedAddressNumber>,
    /// The registration, sealed.
    pub sealed: Vec<u8>,
    /// Keyed digest of the registration and its numbers: the same case is not opened twice.
    pub content_mac: [u8; 32],
    /// When.
    pub created_at: Timestamp,
}

const INSERT: Sql = Sql::same(
    "INSERT INTO review_case (municipality_code, case_id, kind, system_id, local_address_number,
        unified_address_number, other_unified_address_number, sealed, content_mac, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (municipality_code, content_mac) DO NOTHING",
);

const FIND: Sql = Sql::same(
    "SELECT case_id FROM review_case
    WHERE municipality_code = $1 AND content_mac = $2",
);

#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, Listed)] =
    &[("db.review_case.open", Listed::Sql(INSERT)), ("db.review_case.open: find", Listed::Sql(FIND))];

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Opens a case, or finds the one that is the same.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.review_case.open")]
    pub async fn open_review_case(&mut self, case: NewReviewCase) -> Result<Uuid, StoreError> {
        let kind = match case.kind {
            ReviewKind::SecondLocalNumber => "SECOND_LOCAL_NUMBER",
            ReviewKind::MaybeOnePerson => "MAYBE_ONE_PERSON",
        };
        let (code, id) = (self.municipality.as_str(), Uuid::new_v4().to_string());
        let insert = Statement::about(code, INSERT)
            .text(&id)
            .text(kind)
            .text(case.system_id.as_str())
            .text(case.local_address_number.as_str())
            .text(case.unified_address_number.as_str())
            .maybe_text(case.other_unified_address_number.as_ref().map(UnifiedAddressNumber::as_str))
            .bytes(&case.sealed)
            .bytes(&case.content_mac)
            .integer(case.created_at.as_microsecond());
        self.transaction.execute(&insert).await?;
        let find = Statement::about(code, FIND).bytes(&case.content_mac);
        let row = self.transaction.fetch_one(&find).await?;
        Uuid::parse_str(row.text(0)?).map_err(|_| StoreError::Corrupt { table: "review_case" })
    }
}
