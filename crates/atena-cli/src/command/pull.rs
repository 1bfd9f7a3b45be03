//! `atena pull`.

use std::path::Path;

use atena_proto::v1::{Dataset, ListEntitlementsRequest, PullRecordsRequest, PullRecordsResponse};
use indicatif::ProgressBar;
use tonic::Streaming;

use crate::Finished;
use crate::cli::PullArgs;
use crate::client::{Client, new_request_id};
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::received::{Cursor, Received};

/// What is asked for.
pub(crate) struct Ask {
    /// 事務.
    pub(crate) affair: String,
    /// The datasets.
    pub(crate) datasets: Vec<Dataset>,
}

/// Records of one chunk: the most that the contract allows.
const PAGE_SIZE: u32 = 1_000;

/// Pulls everything, or everything since the cursor.
pub(super) async fn run(args: &PullArgs, output: &mut Output) -> Result<Finished, CliError> {
    let cursor = Cursor::open(args.cursor_file.as_deref())?;
    let client = super::connect(&args.call).await?;
    let datasets: Vec<Dataset> = args.dataset.iter().map(|dataset| dataset.wire()).collect();
    let ask = entitled(&client, args.affair.as_deref(), &datasets).await?;
    let to_send = cursor.to_send();
    let prepared = cursor.prepare(&args.out, args.format, &ask.datasets)?;
    let mut stream = start(&client, ask, to_send, PAGE_SIZE).await?;
    // No file is touched before the gateway agrees.
    let first = stream.message().await?.ok_or(INCOMPLETE)?;
    let mut received = prepared.begin()?;
    let bar = progress::bar("pulling", None);
    let ended = take_all(&mut received, first, &mut stream, &bar).await;
    bar.finish_and_clear();
    if let Err(cause) = ended {
        return Err(received.stopped(cause));
    }
    if args.out != Path::new("-") {
        output.table(&received.table())?;
    }
    Ok(Finished::Clean)
}

/// A stream that ended before its last chunk.
const INCOMPLETE: CliError = CliError::Answer("the pull ended before it was complete");

/// Takes every chunk of a pull.
async fn take_all(
    received: &mut Received,
    first: PullRecordsResponse,
    stream: &mut Streaming<PullRecordsResponse>,
    bar: &ProgressBar,
) -> Result<(), CliError> {
    let (mut next, mut complete) = (Some(first), false);
    while let Some(chunk) = next {
        complete = chunk.complete;
        bar.inc(received.take(chunk)?);
        next = stream.message().await?;
    }
    if complete { received.finish() } else { Err(INCOMPLETE) }
}

/// What to ask for where the caller does not say it: the affair and the datasets that the system is entitled to, without its own
/// view of people (dataset `person`).
///
/// # Errors
/// The call fails; nothing is entitled to; several affairs are, and none was chosen.
pub(crate) async fn entitled(client: &Client, affair: Option<&str>, datasets: &[Dataset]) -> Result<Ask, CliError> {
    if let (Some(affair), false) = (affair, datasets.is_empty()) {
        return Ok(Ask { affair: affair.to_owned(), datasets: datasets.to_vec() });
    }
    let answer = client.linkage().list_entitlements(client.request(ListEntitlementsRequest {})).await?.into_inner();
    let mut entitlements: Vec<(&str, Dataset)> = answer
        .entitlements
        .iter()
        .map(|entitlement| (entitlement.affair.as_str(), entitlement.dataset()))
        .filter(|(_, dataset)| *dataset != Dataset::Person)
        .collect();
    if let Some(affair) = affair {
        entitlements.retain(|(entitled, _)| *entitled == affair);
    }
    let malformed = |what, reason: String| Err(CliError::Malformed { what, reason });
    let Some((first, _)) = entitlements.first().copied() else {
        return malformed("--affair", "no rule releases records to this system for it (atena entitlements)".to_owned());
    };
    if let Some((second, _)) = entitlements.iter().find(|(other, _)| *other != first) {
        return malformed("--affair", format!("several are possible, choose one: {first}, {second}, …"));
    }
    let datasets = if datasets.is_empty() {
        entitlements.iter().map(|(_, dataset)| *dataset).collect()
    } else {
        datasets.to_vec()
    };
    Ok(Ask { affair: first.to_owned(), datasets })
}

/// Starts a pull. A page size of 0 leaves it to the gateway.
///
/// # Errors
/// The gateway refuses it.
pub(crate) async fn start(
    client: &Client,
    ask: Ask,
    cursor: Vec<u8>,
    page_size: u32,
) -> Result<Streaming<PullRecordsResponse>, CliError> {
    let request = PullRecordsRequest {
        request_id: new_request_id(),
        affair: ask.affair,
        datasets: ask.datasets.into_iter().map(Into::into).collect(),
        cursor,
        page_size,
    };
    Ok(client.linkage().pull_records(client.request(request)).await?.into_inner())
}
