//! `atena disclose`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use atena_gateway::field_catalog;
use atena_policy::Policy;
use atena_proto::v1::{GetCheckpointRequest, GetInclusionProofRequest};
use jiff::{Timestamp, tz};

use super::transfers::of_person;
use crate::Finished;
use crate::cli::DiscloseArgs;
use crate::contract::Contract;
use crate::error::CliError;
use crate::home::Home;
use crate::init::japanese_day;
use crate::output::Output;
use crate::progress;
use crate::report::disclosure::Disclosure;
use crate::report::write_pdf;

/// Writes the report and the receipts.
pub(super) async fn run(args: &DiscloseArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.auditor.home)?;
    let client = super::connect_auditor(&home, &args.auditor).await?;
    let transfers = of_person(&client, &args.person, usize::MAX).await?;
    let receipts = args.out.join("receipts");
    fs::create_dir_all(&receipts).map_err(failed("make", &receipts))?;
    let bar = progress::bar("受領証", u64::try_from(transfers.len()).ok());
    for transfer in &transfers {
        let request = client.request(GetInclusionProofRequest { transfer_id: transfer.transfer_id.clone() });
        let proof = client.transfer_log().get_inclusion_proof(request).await?.into_inner();
        write(&receipts.join(format!("{}.leaf", transfer.transfer_id)), &proof.leaf)?;
        write(&receipts.join(format!("{}.tlog-proof", transfer.transfer_id)), proof.receipt.as_bytes())?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let head = client.transfer_log().get_checkpoint(client.request(GetCheckpointRequest {})).await?.into_inner();
    write(&args.out.join("checkpoint"), head.checkpoint.as_bytes())?;
    write(&args.out.join("log.vkey"), format!("{}\n", head.verifier_key).as_bytes())?;
    let report = Disclosure {
        person: &args.person,
        made_at: tz::offset(9).to_datetime(Timestamp::now()).strftime("%Y-%m-%d %H:%M").to_string(),
        transfers: &transfers,
        systems: &system_names(&home),
        checkpoint: &head.checkpoint,
        verifier_key: &head.verifier_key,
    };
    let page = args.out.join("disclosure.html");
    write(&page, report.to_html(&Contract::load()?).as_bytes())?;
    let pdf = args.out.join("disclosure.pdf");
    let printed = write_pdf(&page, &pdf);
    output.note(&format!("{} transfers about {} are told in {}", transfers.len(), args.person, page.display()))?;
    output.note(&match printed {
        true => format!("and as PDF in {}", pdf.display()),
        false => "no PDF was made: install Chromium, or print the page from a browser".to_owned(),
    })?;
    Ok(Finished::Clean)
}

/// Names of the registered systems; none where this home has no rules (an auditor's own machine): ids stand for them.
fn system_names(home: &Home) -> BTreeMap<String, String> {
    let policy = fs::read_to_string(home.policy())
        .ok()
        .and_then(|text| Policy::compile(&text, &field_catalog(), japanese_day()).ok());
    let systems = policy.iter().flat_map(|policy| policy.systems());
    systems.map(|system| (system.id().as_str().to_owned(), system.name().to_owned())).collect()
}

fn write(path: &Path, content: &[u8]) -> Result<(), CliError> {
    fs::write(path, content).map_err(failed("write", path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CliError {
    let path = path.to_owned();
    move |source| CliError::File { action, path, source }
}
