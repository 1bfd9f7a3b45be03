//! The transfer log: rows that are only ever added, and what auditors ask of them.

use std::borrow::Cow;
use std::sync::Arc;

use atena_domain::{Dataset, RecordKey, UnifiedAddressNumber};
use atena_policy::AuditPermit;
use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row};
use uuid::Uuid;

use crate::error::StoreError;
use crate::rows::{BINDS_MAX, bytes32, count, signed, text};
use crate::store::Store;
use crate::transfer_query::TransferQuery;
use crate::write::WriteTransaction;

/// One record of the log: one person, one dataset, one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferRecord {
    /// Its id.
    pub transfer_id: Uuid,
    /// 求め日時.
    pub requested_at: Timestamp,
    /// 提供日時.
    pub provided_at: Timestamp,
    /// Which way.
    pub direction: Direction,
    /// How it ended.
    pub outcome: Outcome,
    /// Reason of a refusal.
    pub reason: Option<String>,
    /// The calling system.
    pub system_id: String,
    /// 部署.
    pub division: Option<String>,
    /// 操作者ID.
    pub operator_id: Option<String>,
    /// 事務.
    pub affair: Option<String>,
    /// The rule that allowed it.
    pub rule_id: Option<String>,
    /// Its version.
    pub rule_version: u32,
    /// 法令上の根拠 in force.
    pub legal_basis: Option<String>,
    /// The dataset.
    pub dataset: Option<Dataset>,
    /// Paths of the fields.
    pub fields: Arc<[String]>,
    /// The calling system's number of the person.
    pub local_address_number: Option<String>,
    /// The person.
    pub unified_address_number: Option<UnifiedAddressNumber>,
    /// Rows sent or received, with their revisions.
    pub records: Vec<(RecordKey, u64)>,
    /// SHA-256 of what was sent or stored.
    pub content_sha256: Option<[u8; 32]>,
    /// The RPC.
    pub method: Cow<'static, str>,
    /// The caller's request id.
    pub request_id: Option<String>,
    /// SHA-256 of the rules in force.
    pub policy_hash: [u8; 32],
}

/// Which way, seen from the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// 入手.
    Inbound,
    /// 移転.
    Outbound,
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Sent.
    Released,
    /// Stored.
    Received,
    /// Nothing was sent or stored.
    Refused,
    /// The caller went away before.
    Cancelled,
    /// The deadline passed before.
    TimedOut,
    /// The gateway could not answer.
    Failed,
}

/// Counts of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferSummaryRow {
    /// The day in Japan.
    pub day: Date,
    /// The calling system.
    pub system_id: String,
    /// Which way.
    pub direction: Direction,
    /// The dataset.
    pub dataset: Option<Dataset>,
    /// How it ended.
    pub outcome: Outcome,
    /// Transfers.
    pub transfers: u64,
    /// Rows in them.
    pub records: u64,
}

/// Columns in the order in which they are written and read.
const COLUMNS: &str = "transfer_sequence, transfer_id, requested_at, provided_at, direction, outcome, reason, system_id, \
    division, operator_id, affair, rule_id, rule_version, legal_basis, dataset, fields, local_address_number, \
    unified_address_number, records, record_count, content_sha256, method, request_id, policy_hash";

/// Values of one row.
const BINDS_OF_ROW: usize = 25;

// === impl WriteTransaction ===

impl WriteTransaction {
    /// Appends records in order.
    ///
    /// # Errors
    /// [`StoreError`]: then nothing may be released (log-before-release).
    #[tracing::instrument(level = "debug", skip_all, name = "db.transfer.append")]
    pub async fn append_transfers(&mut self, records: &[TransferRecord]) -> Result<(), StoreError> {
        const LAST: &str = "SELECT coalesce(max(transfer_sequence), 0) FROM transfer WHERE municipality_code = ?";
        let last: i64 =
            sqlx::query_scalar(LAST).bind(self.municipality.as_str()).fetch_one(&mut *self.transaction).await?;
        let sequenced: Vec<(i64, &TransferRecord)> = (last + 1..).zip(records).collect();
        let code = self.municipality.as_str();
        for records in sequenced.chunks(BINDS_MAX / BINDS_OF_ROW) {
            let mut query = QueryBuilder::new("INSERT INTO transfer (municipality_code, ");
            query.push(COLUMNS).push(") ");
            query.push_values(records, |mut row, (sequence, record)| {
                row.push_bind(code)
                    .push_bind(*sequence)
                    .push_bind(record.transfer_id.to_string())
                    .push_bind(record.requested_at.as_microsecond())
                    .push_bind(record.provided_at.as_microsecond())
                    .push_bind(record.direction.as_str())
                    .push_bind(record.outcome.as_str())
                    .push_bind(record.reason.as_deref())
                    .push_bind(record.system_id.as_str())
                    .push_bind(record.division.as_deref())
                    .push_bind(record.operator_id.as_deref())
                    .push_bind(record.affair.as_deref())
                    .push_bind(record.rule_id.as_deref())
                    .push_bind(record.rule_version)
                    .push_bind(record.legal_basis.as_deref())
                    .push_bind(record.dataset.map(Dataset::as_str))
                    .push_bind(record.fields.join("\n"))
                    .push_bind(record.local_address_number.as_deref())
                    .push_bind(record.unified_address_number.as_ref().map(UnifiedAddressNumber::as_str))
                    .push_bind(join_references(&record.records))
                    .push_bind(signed(u64::try_from(record.records.len()).unwrap_or(u64::MAX)))
                    .push_bind(record.content_sha256.as_ref().map(<[u8; 32]>::as_slice))
                    .push_bind(record.method.as_ref())
                    .push_bind(record.request_id.as_deref())
                    .push_bind(record.policy_hash.as_slice());
            });
            query.build().execute(&mut *self.transaction).await?;
        }
        Ok(())
    }
}

// === impl Store ===

impl Store {
    /// Records that match, newest first, each with its sequence; `before` continues a page.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.transfer.list")]
    pub async fn list_transfers(
        &self,
        _permit: &AuditPermit,
        wanted: &TransferQuery,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, TransferRecord)>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query.push(COLUMNS).push(" FROM transfer WHERE municipality_code = ").push_bind(self.code());
        wanted.push(&mut query);
        if let Some(before) = before {
            query.push(" AND transfer_sequence < ").push_bind(signed(before));
        }
        query.push(" ORDER BY transfer_sequence DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.readers).await?;
        rows.iter().map(|row| Ok((count(row, 0, "transfer")?, record(row)?))).collect()
    }

    /// The record with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.transfer.by_id")]
    pub async fn transfer(&self, _permit: &AuditPermit, id: Uuid) -> Result<Option<TransferRecord>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query
            .push(COLUMNS)
            .push(" FROM transfer WHERE municipality_code = ")
            .push_bind(self.code())
            .push(" AND transfer_id = ")
            .push_bind(id.to_string());
        query.build().fetch_optional(&self.readers).await?.map(|row| record(&row)).transpose()
    }

    /// Counts of records that match, oldest day first.
    ///
    /// # Errors
    /// [`StoreError`].
    #[tracing::instrument(level = "debug", skip_all, name = "db.transfer.summarize")]
    pub async fn summarize_transfers(
        &self,
        _permit: &AuditPermit,
        wanted: &TransferQuery,
    ) -> Result<Vec<TransferSummaryRow>, StoreError> {
        // The day in Japan: nine hours ahead of UTC, in microseconds, whole days since 1970-01-01.
        let mut query = QueryBuilder::new(
            "SELECT (requested_at + 32400000000) / 86400000000 AS day, system_id, direction, dataset, outcome, \
             count(*), coalesce(sum(record_count), 0) FROM transfer WHERE municipality_code = ",
        );
        query.push_bind(self.code());
        wanted.push(&mut query);
        query.push(" GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5");
        query.build().fetch_all(&self.readers).await?.iter().map(summary).collect()
    }
}

// === impl Direction ===

impl Direction {
    /// As the log keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "INBOUND",
            Self::Outbound => "OUTBOUND",
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        [Self::Inbound, Self::Outbound].into_iter().find(|direction| direction.as_str() == text).ok_or(CORRUPT)
    }
}

// === impl Outcome ===

impl Outcome {
    /// As the log keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "RELEASED",
            Self::Received => "RECEIVED",
            Self::Refused => "REFUSED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
            Self::Failed => "FAILED",
        }
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        [Self::Released, Self::Received, Self::Refused, Self::Cancelled, Self::TimedOut, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or(CORRUPT)
    }
}

const CORRUPT: StoreError = StoreError::Corrupt { table: "transfer" };

fn record(row: &SqliteRow) -> Result<TransferRecord, StoreError> {
    let corrupt = StoreError::corrupt("transfer");
    let fields = text(row, 15)?;
    let dataset: Option<&str> = row.try_get(14)?;
    let person: Option<&str> = row.try_get(17)?;
    let digest: Option<&[u8]> = row.try_get(20)?;
    Ok(TransferRecord {
        transfer_id: Uuid::parse_str(text(row, 1)?).map_err(|_| CORRUPT)?,
        requested_at: Timestamp::from_microsecond(row.try_get(2)?).map_err(|_| CORRUPT)?,
        provided_at: Timestamp::from_microsecond(row.try_get(3)?).map_err(|_| CORRUPT)?,
        direction: Direction::read(text(row, 4)?)?,
        outcome: Outcome::read(text(row, 5)?)?,
        reason: row.try_get(6)?,
        system_id: row.try_get(7)?,
        division: row.try_get(8)?,
        operator_id: row.try_get(9)?,
        affair: row.try_get(10)?,
        rule_id: row.try_get(11)?,
        rule_version: row.try_get(12)?,
        legal_basis: row.try_get(13)?,
        dataset: dataset.map(Dataset::parse).transpose().map_err(&corrupt)?,
        fields: fields.lines().map(str::to_owned).collect(),
        local_address_number: row.try_get(16)?,
        unified_address_number: person.map(UnifiedAddressNumber::parse_migrated).transpose().map_err(&corrupt)?,
        records: split_references(text(row, 18)?)?,
        content_sha256: digest.map(|digest| digest.try_into().map_err(|_| CORRUPT)).transpose()?,
        method: Cow::Owned(row.try_get(21)?),
        request_id: row.try_get(22)?,
        policy_hash: bytes32(row, 23, "transfer")?,
    })
}

fn summary(row: &SqliteRow) -> Result<TransferSummaryRow, StoreError> {
    let days: i64 = row.try_get(0)?;
    let midnight = Timestamp::from_second(days * 86_400).map_err(|_| CORRUPT)?;
    let dataset: Option<&str> = row.try_get(3)?;
    Ok(TransferSummaryRow {
        day: jiff::tz::Offset::UTC.to_datetime(midnight).date(),
        system_id: row.try_get(1)?,
        direction: Direction::read(text(row, 2)?)?,
        dataset: dataset.map(Dataset::parse).transpose().map_err(StoreError::corrupt("transfer"))?,
        outcome: Outcome::read(text(row, 4)?)?,
        transfers: count(row, 5, "transfer")?,
        records: count(row, 6, "transfer")?,
    })
}

/// `key@revision`, one a line: record keys hold neither `@` nor line breaks.
fn join_references(records: &[(RecordKey, u64)]) -> String {
    records.iter().map(|(key, revision)| format!("{key}@{revision}")).collect::<Vec<_>>().join("\n")
}

fn split_references(text: &str) -> Result<Vec<(RecordKey, u64)>, StoreError> {
    text.lines()
        .map(|line| {
            let (key, revision) = line.rsplit_once('@').ok_or(CORRUPT)?;
            Ok((RecordKey::parse(key).map_err(|_| CORRUPT)?, revision.parse().map_err(|_| CORRUPT)?))
        })
        .collect()
}
