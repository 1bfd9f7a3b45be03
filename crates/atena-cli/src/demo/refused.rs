//! Part 3: what is asked for and not given.

use atena_proto::v1::{
    Dataset, GetRecordsRequest, ListTransfersRequest, Person as PersonView, PersonName, PersonRegistration,
    RegisterPersonRequest,
};
use tonic::Status;

use super::person::Person;
use super::{Consumers, SCHOOL_AFFAIRS, Town};
use crate::client::{Client, new_request_id};
use crate::error::CliError;
use crate::output::Output;
use crate::status::CallFailure;
use crate::table::Table;

/// 事務 of resident tax, which school affairs borrows in vain.
const TAX_AFFAIR: &str = "市都民税賦課業務";

/// Asks for what the rules do not allow and shows the answers; returns whether all of it was refused.
pub(super) async fn run(
    town: &Town,
    consumers: &Consumers,
    person: &Person,
    output: &mut Output,
) -> Result<bool, CliError> {
    let school = town.client(SCHOOL_AFFAIRS, None).await?;
    let mut table =
        Table::new(&[("system", "system"), ("asks", "asks for"), ("reason", "reason"), ("message", "message")]);
    let mut all_refused = true;
    let mut row = |system: &str, asks: &str, answer: Result<(), Status>| {
        let (reason, message) = match answer {
            Err(status) => {
                let failure = CallFailure::from(&status);
                (failure.reason, failure.message)
            }
            Ok(()) => {
                all_refused = false;
                ("NOT REFUSED".to_owned(), String::new())
            }
        };
        table.row([system.into(), asks.into(), reason.into(), message.into()]);
    };
    row(
        "school-affairs 学務",
        "payment 納付 of a pupil's parent, for the affair of resident tax",
        get(&school, Dataset::Payment, "1").await,
    );
    row("school-affairs 学務", "to register somebody with a personal number 個人番号", register(&school, person).await);
    row("school-affairs 学務", "the transfer log 情報提供等の記録", list(&school).await);
    row(
        "resident-tax 市民税",
        "benefit 給付 of the person above",
        get(&consumers.resident_tax, Dataset::Benefit, &person.in_resident_tax).await,
    );
    row(
        "resident-tax 市民税",
        "exemption 免除 of the person above",
        get(&consumers.resident_tax, Dataset::Exemption, &person.in_resident_tax).await,
    );
    output.table(&table)?;
    Ok(all_refused)
}

async fn get(client: &Client, dataset: Dataset, local_address_number: &str) -> Result<(), Status> {
    let request = GetRecordsRequest {
        request_id: new_request_id(),
        affair: TAX_AFFAIR.to_owned(),
        datasets: vec![dataset.into()],
        local_address_numbers: vec![local_address_number.to_owned()],
    };
    client.linkage().get_records(client.request(request)).await.map(|_| ())
}

async fn register(client: &Client, person: &Person) -> Result<(), Status> {
    let view = PersonView {
        personal_number: person.personal_number.clone(),
        name: Some(PersonName { full_name: Some("見本\u{3000}太郎".to_owned()), ..Default::default() }),
        ..Default::default()
    };
    let registration = PersonRegistration {
        local_address_number: "demo1".to_owned(),
        person: Some(view),
        new_without_personal_number: false,
        migrated_unified_address_number: String::new(),
    };
    let request = RegisterPersonRequest { request_id: new_request_id(), registration: Some(registration) };
    client.address().register_person(client.request(request)).await.map(|_| ())
}

async fn list(client: &Client) -> Result<(), Status> {
    client.transfer_log().list_transfers(client.request(ListTransfersRequest::default())).await.map(|_| ())
}
