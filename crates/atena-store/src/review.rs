//! Cases that a person has to decide (名寄せ候補).

use atena_domain::{LocalAddressNumber, SystemId, UnifiedAddressNumber};
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::StoreError;
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

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Opens a case, or finds the one that is the same.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.review_case.open")]
    pub async fn open_review_case(&mut self, case: NewReviewCase) -> Result<Uuid, StoreError> {
        const INSERT: &str = "INSERT INTO review_case (municipality_code, case_id, kind, system_id, \
                local_address_number, unified_address_number, other_unified_address_number, sealed, content_mac, created_at) \
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (municipality_code, content_mac) DO NOTHING";
        const FIND: &str = "SELECT case_id FROM review_case WHERE municipality_code = ? AND content_mac = ?";
        let kind = match case.kind {
            ReviewKind::SecondLocalNumber => "SECOND_LOCAL_NUMBER",
            ReviewKind::MaybeOnePerson => "MAYBE_ONE_PERSON",
        };
        sqlx::query(INSERT)
            .bind(self.municipality.as_str())
            .bind(Uuid::now_v7().to_string())
            .bind(kind)
            .bind(case.system_id.as_str())
            .bind(case.local_address_number.as_str())
            .bind(case.unified_address_number.as_str())
            .bind(case.other_unified_address_number.as_ref().map(UnifiedAddressNumber::as_str))
            .bind(&case.sealed)
            .bind(case.content_mac.as_slice())
            .bind(case.created_at.as_microsecond())
            .execute(&mut *self.transaction)
            .await?;
        let id: String = sqlx::query_scalar(FIND)
            .bind(self.municipality.as_str())
            .bind(case.content_mac.as_slice())
            .fetch_one(&mut *self.transaction)
            .await?;
        Uuid::parse_str(&id).map_err(|_| StoreError::Corrupt { table: "review_case" })
    }
}
