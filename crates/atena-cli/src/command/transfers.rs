//! `atena transfers`.

use atena_proto::v1::{
    GetTransferRequest, ListPersonTransfersRequest, ListTransfersRequest, ReconstructTransferRequest,
    SummarizeTransfersRequest, SummarizeTransfersResponse, Transfer,
};
use serde_json::{Value, json};

use crate::Finished;
use crate::cli::TransfersArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;
use crate::table::Table;
use crate::terms;

/// Transfers in one page.
const PAGE_SIZE: u32 = 1_000;

/// Shows transfers, one transfer, or counts.
pub(super) async fn run(args: &TransfersArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.auditor.home)?;
    let client = super::connect_auditor(&home, &args.auditor).await?;
    if let (Some(id), Some(path)) = (&args.id, &args.reconstruct) {
        let request = client.request(ReconstructTransferRequest { transfer_id: id.clone() });
        let answer = client.transfer_log().reconstruct_transfer(request).await?.into_inner();
        std::fs::write(path, &answer.content).map_err(|source| CliError::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
        output.line(&format!("{}  {}", answer.content_sha256, path.display()))?;
    } else if let Some(person) = &args.person {
        show(&of_person(&client, person, args.limit).await?, output)?;
    } else if let Some(id) = &args.id {
        let request = client.request(GetTransferRequest { transfer_id: id.clone() });
        let answer = client.transfer_log().get_transfer(request).await?.into_inner();
        let transfer = answer.transfer.ok_or(CliError::Answer("no transfer"))?;
        if output.is_json() { output.json_line(&whole(&transfer))? } else { output.table(&sheet(&transfer))? }
    } else if args.summary {
        let request = client.request(SummarizeTransfersRequest { filter: args.filter.clone() });
        output.table(&summary(&client.transfer_log().summarize_transfers(request).await?.into_inner()))?;
    } else {
        show(&list(&client, &args.filter, args.limit).await?, output)?;
    }
    Ok(Finished::Clean)
}

fn show(transfers: &[Transfer], output: &mut Output) -> Result<(), CliError> {
    if output.is_json() {
        transfers.iter().try_for_each(|transfer| output.json_line(&whole(transfer)))
    } else {
        output.table(&overview(transfers))
    }
}

/// Up to `limit` transfers about a person (`SYSTEM/NUMBER`), newest first.
///
/// # Errors
/// The call fails.
pub(crate) async fn of_person(client: &Client, person: &str, limit: usize) -> Result<Vec<Transfer>, CliError> {
    let (system_id, local_address_number) = person.split_once('/').ok_or_else(|| CliError::Malformed {
        what: "--person",
        reason: "write SYSTEM/NUMBER, e.g. pension/000000000000019".to_owned(),
    })?;
    let mut found: Vec<Transfer> = Vec::new();
    let mut page_token = String::new();
    while found.len() < limit {
        let request = ListPersonTransfersRequest {
            system_id: system_id.to_owned(),
            local_address_number: local_address_number.to_owned(),
            page_size: u32::try_from(limit - found.len()).unwrap_or(PAGE_SIZE).min(PAGE_SIZE),
            page_token,
        };
        let page = client.transfer_log().list_person_transfers(client.request(request)).await?.into_inner();
        found.extend(page.transfers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Up to `limit` transfers, newest first.
///
/// # Errors
/// The call fails.
pub(crate) async fn list(client: &Client, filter: &str, limit: usize) -> Result<Vec<Transfer>, CliError> {
    let mut found: Vec<Transfer> = Vec::new();
    let mut page_token = String::new();
    while found.len() < limit {
        let wanted = u32::try_from(limit - found.len()).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
        let request = ListTransfersRequest { filter: filter.to_owned(), page_size: wanted, page_token };
        let page = client.transfer_log().list_transfers(client.request(request)).await?.into_inner();
        found.extend(page.transfers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// One line a transfer.
pub(crate) fn overview(transfers: &[Transfer]) -> Table {
    let mut table = Table::new(&[
        ("time", "提供日時"),
        ("system", "システム・部署"),
        ("affair", "事務・ルール"),
        ("basis", "法令上の根拠"),
        ("dataset", "情報"),
        ("fields", "項目数"),
        ("records", "件数"),
        ("outcome", "結果"),
        ("sha256", "SHA-256 / transfer id"),
    ]);
    for transfer in transfers {
        let outcome = terms::transfer_outcome(transfer.outcome());
        table.row([
            terms::japanese_time(transfer).into(),
            lines([&transfer.system_id, &transfer.division]),
            lines([&transfer.affair, &transfer.rule_id]),
            transfer.legal_basis.replace("; ", "\n").into(),
            terms::dataset_japanese(transfer.dataset()).into(),
            transfer.fields.len().into(),
            transfer.record_count.into(),
            lines([&format!("{} {outcome}", terms::outcome_japanese(outcome)), &transfer.reason]),
            lines([transfer.content_sha256.get(..16).unwrap_or_default(), &transfer.transfer_id]),
        ]);
    }
    table
}

/// What is there of two texts, one below the other.
fn lines(texts: [&str; 2]) -> Value {
    texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().into()
}

/// Counts by day, system, direction, dataset and outcome.
pub(crate) fn summary(answer: &SummarizeTransfersResponse) -> Table {
    let mut table = Table::new(&[
        ("day", "日"),
        ("system", "システム"),
        ("direction", "方向"),
        ("dataset", "情報"),
        ("outcome", "結果"),
        ("transfers", "回数"),
        ("records", "件数"),
    ]);
    for one in &answer.summaries {
        let outcome = terms::transfer_outcome(one.outcome());
        table.row([
            one.day.as_str().into(),
            one.system_id.as_str().into(),
            terms::direction(one.direction()).into(),
            terms::dataset_japanese(one.dataset()).into(),
            format!("{} {outcome}", terms::outcome_japanese(outcome)).into(),
            one.transfers.into(),
            one.records.into(),
        ]);
    }
    table
}

/// One transfer as a sheet of names and values.
fn sheet(transfer: &Transfer) -> Table {
    let mut table = Table::new(&[("name", "name"), ("value", "value")]);
    if let Value::Object(fields) = whole(transfer) {
        for (name, value) in fields {
            let value = match value {
                Value::Array(values) if name == "records" => values
                    .iter()
                    .map(|one| format!("{} r{}", one["record_key"].as_str().unwrap_or_default(), one["revision"]))
                    .collect(),
                other => other,
            };
            table.row([name.into(), value]);
        }
    }
    table
}

/// Everything that the log says of a transfer.
fn whole(transfer: &Transfer) -> Value {
    let time = |time: &Option<prost_types::Timestamp>| time.as_ref().map(ToString::to_string);
    let records = transfer.records.iter().map(|row| json!({ "record_key": row.record_key, "revision": row.revision }));
    json!({
        "transfer_id": transfer.transfer_id,
        "requested_time": time(&transfer.requested_time),
        "provided_time": time(&transfer.provided_time),
        "direction": terms::direction(transfer.direction()),
        "outcome": terms::transfer_outcome(transfer.outcome()),
        "reason": transfer.reason,
        "system_id": transfer.system_id,
        "division": transfer.division,
        "operator_id": transfer.operator_id,
        "operator_proof": terms::operator_proof(transfer.operator_proof()),
        "affair": transfer.affair,
        "rule_id": transfer.rule_id,
        "rule_version": transfer.rule_version,
        "legal_basis": transfer.legal_basis,
        "dataset": terms::dataset_id(transfer.dataset()),
        "fields": transfer.fields,
        "local_address_number": transfer.local_address_number,
        "local_address_number_withheld": transfer.local_address_number_withheld,
        "records": records.collect::<Vec<_>>(),
        "record_count": transfer.record_count,
        "content_sha256": transfer.content_sha256,
        "method": transfer.method,
        "request_id": transfer.request_id,
        "policy_hash": transfer.policy_hash,
    })
}
