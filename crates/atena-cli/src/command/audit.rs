//! `atena audit review`.

use atena_gateway::Config;
use atena_proto::v1::{SummarizeTransfersRequest, TransferSummary};
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::transfers::list;
use crate::Finished;
use crate::cli::ReviewArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;
use crate::report::review::{Review, Unusual};
use crate::table::Table;

/// Months before that say what is usual.
const MONTHS_BEFORE: i32 = 3;

/// Methods that answer a single question, which a person may have asked.
const QUESTIONS: [&str; 4] = [
    "LinkageService/GetRecords",
    "AddressService/GetPerson",
    "AddressService/ResolveNumbers",
    "TransferLogService/ReconstructTransfer",
];

/// Reviews one month.
pub(super) async fn run(args: &ReviewArgs, output: &mut Output) -> Result<Finished, CliError> {
    let malformed = |_| CliError::Malformed { what: "--month", reason: "write YYYY-MM, e.g. 2026-11".to_owned() };
    let month: Date = format!("{}-01", args.month).parse().map_err(malformed)?;
    let home = Home::existing(&args.auditor.home)?;
    let limits = Config::load(&home.config())?.review;
    let client = super::connect_auditor(&home, &args.auditor).await?;
    let next = month.saturating_add(1.month());
    let within = between(month, next);
    let before = between(month.saturating_sub(MONTHS_BEFORE.months()), month);
    let mut lookups = Vec::new();
    for method in QUESTIONS {
        let filter = format!("{within} AND method = \"{method}\"");
        lookups.extend(list(&client, &filter, usize::MAX).await?);
    }
    let bad = format!("{within} AND outcome != \"RELEASED\" AND outcome != \"RECEIVED\"");
    let review = Review {
        month,
        counts: &summaries(&client, &within).await?,
        before: &summaries(&client, &before).await?,
        lookups: &lookups,
        refusals: &list(&client, &bad, usize::MAX).await?,
        limits: &limits,
    };
    std::fs::write(&args.out, review.to_html()).map_err(|source| CliError::File {
        action: "write",
        path: args.out.clone(),
        source,
    })?;
    let mut table = Table::new(&[("unusual", "確認を要するもの")]);
    for Unusual(text) in review.unusual() {
        table.row([text.into()]);
    }
    if !table.is_empty() {
        output.table(&table)?;
    }
    output.note(&format!("the review of {} is in {}", args.month, args.out.display()))?;
    Ok(Finished::Clean)
}

fn between(from: Date, to: Date) -> String {
    format!("requested_time >= \"{from}T00:00:00+09:00\" AND requested_time < \"{to}T00:00:00+09:00\"")
}

async fn summaries(client: &Client, filter: &str) -> Result<Vec<TransferSummary>, CliError> {
    let request = client.request(SummarizeTransfersRequest { filter: filter.to_owned() });
    Ok(client.transfer_log().summarize_transfers(request).await?.into_inner().summaries)
}
