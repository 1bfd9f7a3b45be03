//! Part 5: the guarantees, checked on everything that was transferred.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;

use atena_gateway::{Actor, Config, Keeper, Log};
use atena_ledger::{Receipt, VerifierKey};
use atena_proto::released::ReleasedBody;
use atena_proto::v1::{
    Benefit, Dataset, Delivery, GetCheckpointRequest, GetInclusionProofRequest, Payment, Qualification, Transfer,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::scan::Detector;
use super::server::GatewayProcess;
use super::{AUDITOR, Consumers, Evidence, PENSION, PUBLIC_ASSISTANCE, RESIDENT_TAX, Town, capture};
use crate::client::{Client, Tape};
use crate::command::{pull, transfers};
use crate::error::CliError;
use crate::hexadecimal::hexadecimal;
use crate::output::Output;
use crate::table::grouped;
use crate::{progress, rows};

/// Receipts that are fetched and verified.
const RECEIPTS: usize = 50;

/// The checks so far.
struct Checks<'a> {
    output: &'a mut Output,
    broken: usize,
}

/// Runs every check, stops the gateway, and returns how many checks failed.
pub(super) async fn run(
    town: &Town,
    evidence: Evidence,
    consumers: Consumers,
    process: GatewayProcess,
    output: &mut Output,
) -> Result<usize, CliError> {
    let mut checks = Checks { output, broken: 0 };
    let text =
        format!("{} rows came back with an error: everyone is registered, everything is stored", evidence.came_back);
    checks.check(evidence.came_back == 0, &text)?;
    checks.check(evidence.all_refused, "everything that no rule allows was refused")?;
    let to_tax = pull_everything(&consumers.resident_tax).await?;
    let to_assistance = pull_everything(&consumers.public_assistance).await?;
    receipts_verify(&mut checks, &consumers.resident_tax, &to_tax).await?;
    let tapes = consumers.tapes;
    deny_by_default(&mut checks, &to_tax, &to_assistance)?;
    let delivered: Vec<Delivery> = [to_tax, to_assistance, evidence.shown].into_iter().flatten().collect();
    let auditor = town.client(AUDITOR, None).await?;
    log_is_complete(&mut checks, &auditor, &delivered).await?;
    drop((delivered, auditor));

    let detector = detector(town)?;
    confined_on_the_wire(&mut checks, town, &detector, &tapes)?;
    confined_at_rest(&mut checks, &town.database_files(), &detector, "while the gateway runs")?;
    let status = process.stop().await?;
    let text = format!("asked to stop (SIGTERM), the gateway finished what was under way and ended: {status}");
    checks.check(status.success(), &text)?;
    log_is_sound(&mut checks, town).await?;
    let everything: Vec<PathBuf> = town.database_files().into_iter().chain([town.log.clone()]).collect();
    confined_at_rest(&mut checks, &everything, &detector, "after it stopped")?;
    Ok(checks.broken)
}

// === impl Checks ===

impl Checks<'_> {
    fn check(&mut self, holds: bool, text: &str) -> Result<(), CliError> {
        if self.output.is_json() {
            self.output.json_line(&serde_json::json!({ "check": text, "holds": holds }))?;
        } else {
            self.output.line(&format!("{} {text}", if holds { '✔' } else { '✘' }))?;
        }
        self.broken += usize::from(!holds);
        Ok(())
    }
}

/// A full pull of everything that a consumer may have.
async fn pull_everything(client: &Client) -> Result<Vec<Delivery>, CliError> {
    let bar = progress::bar("pulling", None);
    let ask = pull::entitled(client, None, &[]).await?;
    let mut stream = pull::start(client, ask, Vec::new(), 0).await?;
    let mut delivered = Vec::new();
    while let Some(chunk) = stream.message().await? {
        bar.inc(chunk.deliveries.iter().map(|delivery| delivery.records.len() as u64).sum());
        delivered.extend(chunk.deliveries);
        if chunk.complete {
            bar.finish_and_clear();
            return Ok(delivered);
        }
    }
    Err(CliError::Answer("the pull ended before it was complete"))
}

/// deny-by-default: nobody received a dataset or a field that no rule names.
fn deny_by_default(checks: &mut Checks<'_>, to_tax: &[Delivery], to_assistance: &[Delivery]) -> Result<(), CliError> {
    for (system, deliveries, datasets) in [
        (RESIDENT_TAX, to_tax, &[Dataset::Qualification, Dataset::Payment][..]),
        (PUBLIC_ASSISTANCE, to_assistance, &[Dataset::Qualification, Dataset::Payment, Dataset::Benefit][..]),
    ] {
        let people: HashSet<&str> = deliveries.iter().map(|delivery| delivery.local_address_number.as_str()).collect();
        let records = deliveries.iter().flat_map(|delivery| &delivery.records);
        let mut restricted = 0_usize;
        let mut count = 0_i64;
        for body in records.filter_map(|record| record.body.as_ref()) {
            restricted += usize::from(names_restricted_field(body)?);
            count += 1;
        }
        let only_theirs = deliveries.iter().all(|delivery| datasets.contains(&delivery.dataset()));
        checks.check(
            only_theirs && restricted == 0 && count > 0,
            &format!(
                "{system} pulled {} records about {} people: only the datasets and fields of its rule, no basic pension number (基礎年金番号), \
                 no remarks (備考)",
                grouped(count),
                people.len(),
            ),
        )?;
    }
    Ok(())
}

fn names_restricted_field(body: &ReleasedBody) -> Result<bool, CliError> {
    let unreadable = |_| CliError::Answer("a record can't be read");
    let (number, remarks) = match body {
        ReleasedBody::Qualification(bytes) => {
            let record = Qualification::decode(bytes.as_ref()).map_err(unreadable)?;
            (record.basic_pension_number, record.remarks)
        }
        ReleasedBody::Payment(bytes) => {
            let record = Payment::decode(bytes.as_ref()).map_err(unreadable)?;
            (record.basic_pension_number, record.remarks)
        }
        ReleasedBody::Benefit(bytes) => {
            let record = Benefit::decode(bytes.as_ref()).map_err(unreadable)?;
            (record.basic_pension_number, record.remarks)
        }
        ReleasedBody::Exemption(_) | ReleasedBody::WelfarePension(_) => return Ok(true),
    };
    Ok(!number.is_empty() || !remarks.is_empty())
}

/// tamper-evident: a receiver can hold the municipality to its word, with the log's public key and nothing else.
async fn receipts_verify(checks: &mut Checks<'_>, client: &Client, delivered: &[Delivery]) -> Result<(), CliError> {
    let head = client.transfer_log().get_checkpoint(client.request(GetCheckpointRequest {})).await?.into_inner();
    let key = VerifierKey::parse(&head.verifier_key).map_err(|_| CliError::Answer("no key of the log"))?;
    let mut verified = 0;
    for delivery in delivered.iter().take(RECEIPTS) {
        let request = client.request(GetInclusionProofRequest { transfer_id: delivery.transfer_id.clone() });
        let proof = client.transfer_log().get_inclusion_proof(request).await?.into_inner();
        let in_log = Receipt::parse(&proof.receipt).is_ok_and(|receipt| receipt.verify(&proof.leaf, &key).is_ok());
        let same_bytes = proof.content_sha256 == sha256(&delivery.encode_to_vec());
        verified += usize::from(in_log && same_bytes);
    }
    checks.check(
        verified == delivered.len().min(RECEIPTS),
        &format!("{RESIDENT_TAX} holds receipts (受領証) for {verified} deliveries: each verifies offline with the log's public key alone"),
    )
}

/// tamper-evident: every leaf, the tree and every signed head, recomputed.
async fn log_is_sound(checks: &mut Checks<'_>, town: &Town) -> Result<(), CliError> {
    let keeper = Keeper::open(Config::load(&town.home.config())?, Actor::of_process()).await?;
    let checked = keeper.fsck(Log::Transfers, |_, _| {}).await?;
    keeper.close().await;
    let leaves = grouped(i64::try_from(checked.size).unwrap_or(i64::MAX));
    let text = format!(
        "the transfer log recomputed: {leaves} leaves give every one of its {} signed heads",
        checked.checkpoints
    );
    checks.check(checked.findings.is_empty() && checked.size > 0 && checked.checkpoints > 0, &text)
}

/// log-before-release and reconstructible: every delivery is in the log under its id with the digest of exactly what was sent, and
/// the log holds no other release to these systems.
async fn log_is_complete(checks: &mut Checks<'_>, auditor: &Client, delivered: &[Delivery]) -> Result<(), CliError> {
    let mut logged: HashMap<String, Transfer> = HashMap::new();
    let mut listed = 0_usize;
    for system in [RESIDENT_TAX, PUBLIC_ASSISTANCE] {
        let filter = format!("system_id = \"{system}\" AND direction = \"OUTBOUND\" AND outcome = \"RELEASED\"");
        let transfers = transfers::list(auditor, &filter, usize::MAX).await?;
        listed += transfers.iter().filter(|transfer| transfer.dataset() != Dataset::Unspecified).count();
        logged.extend(transfers.into_iter().map(|transfer| (transfer.transfer_id.clone(), transfer)));
    }
    let unique: HashSet<&str> = delivered.iter().map(|delivery| delivery.transfer_id.as_str()).collect();
    checks.check(
        unique.len() == delivered.len() && !delivered.is_empty(),
        &format!("all {} deliveries carry a transfer id of their own", grouped_len(delivered.len())),
    )?;
    let same = delivered.iter().filter(|delivery| {
        logged.get(&delivery.transfer_id).is_some_and(|transfer| {
            transfer.content_sha256 == sha256(&delivery.encode_to_vec())
                && transfer.local_address_number == delivery.local_address_number
                && transfer.dataset() == delivery.dataset()
        })
    });
    let same = same.count();
    checks.check(
        same == delivered.len(),
        &format!("{} of them are in the transfer log with the SHA-256 of exactly what was received", grouped_len(same)),
    )?;
    checks.check(
        listed == delivered.len(),
        &format!("the log holds {} releases to these systems: none more, none less", grouped_len(listed)),
    )
}

/// Every personal number of the sample, from every system's file.
fn detector(town: &Town) -> Result<Detector, CliError> {
    let mut numbers = HashSet::new();
    for file in town.people_files() {
        for row in rows::people(&file, None, None)?.rows {
            let (_, registration) = row.map_err(|bad| CliError::Rows(bad.message))?;
            numbers.extend(registration.person.map(|person| person.personal_number));
        }
    }
    Ok(Detector::new(numbers.iter().map(String::as_str)))
}

/// number-confinement on the way to the consumers.
fn confined_on_the_wire(
    checks: &mut Checks<'_>,
    town: &Town,
    detector: &Detector,
    tapes: &[Tape],
) -> Result<(), CliError> {
    let file = town.people(PENSION);
    let seen = detector.distinct(&fs::read(&file).map_err(CliError::file("read", &file))?);
    checks.check(
        seen == detector.len() && seen > 0,
        &format!(
            "the search finds all {} planted personal numbers (個人番号) where they are: people/pension.csv",
            grouped_len(seen)
        ),
    )?;
    let (mut found, mut length) = (0, 0);
    for received in tapes.iter().map(Tape::bytes) {
        length += received.len();
        found += detector.find(&received).len() + detector.find(&capture::bodies(&received)).len();
    }
    checks.check(
        found == 0 && length > 0,
        &format!(
            "{found} of them in {} bytes received by the consumers, below gRPC and above TLS",
            grouped_len(length)
        ),
    )
}

/// number-confinement in the database and in the log.
fn confined_at_rest(
    checks: &mut Checks<'_>,
    files: &[PathBuf],
    detector: &Detector,
    when: &str,
) -> Result<(), CliError> {
    for file in files {
        let bytes = fs::read(file).map_err(CliError::file("read", file))?;
        let found = detector.find(&bytes).len();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        checks.check(found == 0, &format!("{found} of them in {name} ({} bytes) {when}", grouped_len(bytes.len())))?;
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn grouped_len(length: usize) -> String {
    grouped(i64::try_from(length).unwrap_or(i64::MAX))
}
