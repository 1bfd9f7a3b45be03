//! Part 2: what was pushed about one person beside what each consumer received.

use std::collections::HashMap;

use atena_proto::released::ReleasedBody;
use atena_proto::v1::{Dataset, Delivery, GetRecordsRequest, PushedRecord, pushed_record};
use prost::Message as _;

use super::Consumers;
use super::person::Person;
use crate::client::{Client, new_request_id};
use crate::command::pull::{self, Ask};
use crate::contract::{Contract, FieldText};
use crate::error::CliError;
use crate::output::Output;
use crate::table::Table;
use crate::terms;

/// What stands where nothing was released.
const ABSENT: &str = "―";

/// Shows the comparison and returns everything that was delivered for it.
pub(super) async fn run(
    consumers: &Consumers,
    person: &Person,
    output: &mut Output,
) -> Result<Vec<Delivery>, CliError> {
    let contract = Contract::load()?;
    let mut tax = get(&consumers.resident_tax, &person.in_resident_tax).await?;
    let assistance = get(&consumers.public_assistance, &person.in_public_assistance).await?;
    output.note(&format!(
        "宛名番号: 国民年金 {} | 市民税 {} | 生活保護 {} (each system knows its own only)",
        person.in_pension, person.in_resident_tax, person.in_public_assistance
    ))?;
    for dataset in [Dataset::Qualification, Dataset::Payment, Dataset::Benefit] {
        // The newest one is enough to see.
        let Some((_, record)) = person.records.iter().rfind(|(kind, _)| *kind == dataset) else { continue };
        let pushed = contract.fields(dataset, &pushed_body(record))?;
        let to_tax = nearest(&contract, dataset, &tax, &pushed)?;
        let to_assistance = nearest(&contract, dataset, &assistance, &pushed)?;
        let title = format!("{} {}", terms::dataset_japanese(dataset), terms::dataset_id(dataset));
        let mut table = Table::new(&[
            ("field", title.as_str()),
            ("path", "path"),
            ("pension", "国民年金 (pushed)"),
            ("resident_tax", "市民税 (received)"),
            ("public_assistance", "生活保護 (received)"),
        ]);
        for field in pushed {
            let received = |by: &HashMap<String, String>| by.get(&field.path).map_or(ABSENT, String::as_str).to_owned();
            let (tax, assistance) = (received(&to_tax), received(&to_assistance));
            table.row([field.japanese, field.path, field.value, tax, assistance].map(Into::into));
        }
        output.table(&table)?;
    }
    tax.extend(assistance);
    Ok(tax)
}

/// Everything that one consumer may have about one person.
async fn get(client: &Client, local_address_number: &str) -> Result<Vec<Delivery>, CliError> {
    let Ask { affair, datasets } = pull::entitled(client, None, &[]).await?;
    let request = GetRecordsRequest {
        request_id: new_request_id(),
        affair,
        datasets: datasets.into_iter().map(Into::into).collect(),
        local_address_numbers: vec![local_address_number.to_owned()],
    };
    Ok(client.linkage().get_records(client.request(request)).await?.into_inner().deliveries)
}

/// Of the records received, the one that has most in common with the pushed one: record ids are different for every system, so
/// there is nothing else to match by.
fn nearest(
    contract: &Contract,
    dataset: Dataset,
    deliveries: &[Delivery],
    pushed: &[FieldText],
) -> Result<HashMap<String, String>, CliError> {
    let mut best = HashMap::new();
    let mut most_in_common = 0;
    let records =
        deliveries.iter().filter(|delivery| delivery.dataset() == dataset).flat_map(|delivery| &delivery.records);
    for body in records.filter_map(|record| record.body.as_ref()) {
        let fields = contract.fields(dataset, ReleasedBody::bytes(body))?;
        let in_common = fields.iter().filter(|field| pushed.contains(field)).count();
        if in_common > most_in_common {
            most_in_common = in_common;
            best = fields.into_iter().map(|field| (field.path, field.value)).collect();
        }
    }
    Ok(best)
}

fn pushed_body(record: &PushedRecord) -> Vec<u8> {
    match &record.body {
        Some(pushed_record::Body::Qualification(body)) => body.encode_to_vec(),
        Some(pushed_record::Body::Payment(body)) => body.encode_to_vec(),
        Some(pushed_record::Body::Exemption(body)) => body.encode_to_vec(),
        Some(pushed_record::Body::Benefit(body)) => body.encode_to_vec(),
        Some(pushed_record::Body::WelfarePension(body)) => body.encode_to_vec(),
        Some(pushed_record::Body::Deletion(_)) | None => Vec::new(),
    }
}
