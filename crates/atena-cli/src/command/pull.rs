//! `atena pull`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use atena_proto::v1::{Dataset, ListEntitlementsRequest, PullRecordsRequest, PullRecordsResponse};
use tonic::Streaming;

use crate::Finished;
use crate::cli::PullArgs;
use crate::client::{Client, new_request_id};
use crate::error::CliError;
use crate::output::Output;
use crate::progress;
use crate::received::Received;

/// What is asked for.
pub(crate) struct Ask {
    /// 事務.
    pub(crate) affair: String,
    /// The datasets.
    pub(crate) datasets: Vec<Dataset>,
}

/// Pulls everything, or everything since the cursor.
pub(super) async fn run(args: &PullArgs, output: &mut Output) -> Result<Finished, CliError> {
    let client = super::connect(&args.call).await?;
    let datasets: Vec<Dataset> = args.dataset.iter().map(|dataset| dataset.wire()).collect();
    let ask = entitled(&client, args.affair.as_deref(), &datasets).await?;
    let cursor = match &args.cursor_file {
        Some(file) => read_cursor(file)?,
        None => Vec::new(),
    };
    let mut received = Received::open(&args.out, args.format, &ask.datasets, !cursor.is_empty())?;
    let bar = progress::bar("pulling", None);
    let mut stream = start(&client, ask, cursor).await?;
    let mut complete = false;
    while let Some(chunk) = stream.message().await? {
        for delivery in &chunk.deliveries {
            bar.inc(delivery.records.len() as u64);
            received.write(delivery)?;
        }
        // The records first: a crash in between delivers them again, it never loses one.
        received.flush()?;
        if let Some(file) = &args.cursor_file {
            write_cursor(file, &chunk.next_cursor)?;
        }
        complete = chunk.complete;
    }
    bar.finish_and_clear();
    if !complete {
        return Err(CliError::Answer(
            "the pull ended before it was complete; run it again with the same --cursor-file",
        ));
    }
    if args.out != Path::new("-") {
        output.table(&received.table())?;
    }
    Ok(Finished::Clean)
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

/// Starts a pull.
///
/// # Errors
/// The gateway refuses it.
pub(crate) async fn start(
    client: &Client,
    ask: Ask,
    cursor: Vec<u8>,
) -> Result<Streaming<PullRecordsResponse>, CliError> {
    let request = PullRecordsRequest {
        request_id: new_request_id(),
        affair: ask.affair,
        datasets: ask.datasets.into_iter().map(Into::into).collect(),
        cursor,
        page_size: 0,
    };
    Ok(client.linkage().pull_records(client.request(request)).await?.into_inner())
}

/// The cursor of the last time; empty where there was none.
fn read_cursor(file: &Path) -> Result<Vec<u8>, CliError> {
    match fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(CliError::file("read", file)),
    }
}

/// Replaces the cursor at once: after a crash there is the old one or the new one.
fn write_cursor(file: &Path, cursor: &[u8]) -> Result<(), CliError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let write = || -> std::io::Result<()> {
        let mut opened = fs::File::create(&new)?;
        opened.write_all(cursor)?;
        opened.sync_all()?;
        fs::rename(&new, file)
    };
    write().map_err(CliError::file("write", file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_missing_means_everything() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tax.cursor");
        assert_eq!(read_cursor(&file).unwrap(), b"");
        write_cursor(&file, b"\x00one").unwrap();
        write_cursor(&file, b"\x00two").unwrap();
        assert_eq!(read_cursor(&file).unwrap(), b"\x00two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
