//! SummarizeTransfers: counts by day, system, direction, dataset and outcome.

use std::sync::Arc;

use atena_proto::v1;

use super::tell;
use crate::call::Call;
use crate::convert::dataset::wire_dataset;
use crate::error::CallError;
use crate::log::search;

pub(crate) async fn run(
    call: Arc<Call>,
    request: v1::SummarizeTransfersRequest,
) -> Result<v1::SummarizeTransfersResponse, CallError> {
    let permit = super::may_they(&call)?;
    let (query, subject) = super::query(&call, &request.filter).await?;
    let rows = match &query {
        Some(query) => search::summarize(&call.hall.log, &permit, query).await?,
        None => Vec::new(),
    };
    let summaries = rows
        .into_iter()
        .map(|row| v1::TransferSummary {
            day: row.day.to_string(),
            system_id: row.system_id,
            direction: tell::direction(row.direction).into(),
            dataset: row.dataset.map_or(v1::Dataset::Unspecified, wire_dataset).into(),
            outcome: tell::outcome(row.outcome).into(),
            transfers: row.transfers,
            records: row.records,
        })
        .collect();
    super::log_query(&call, &subject).await?;
    Ok(v1::SummarizeTransfersResponse { summaries })
}
