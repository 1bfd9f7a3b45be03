//! `atena receipt`.

use std::fs;

use atena_proto::v1::{GetCheckpointRequest, GetInclusionProofRequest};
use serde_json::json;

use super::connect;
use crate::Finished;
use crate::cli::ReceiptArgs;
use crate::error::CliError;
use crate::output::Output;

/// Fetches a receipt and keeps it in two files.
pub(super) async fn run(args: &ReceiptArgs, output: &mut Output) -> Result<Finished, CliError> {
    let client = connect(&args.call).await?;
    let request = client.request(GetInclusionProofRequest { transfer_id: args.id.clone() });
    let proof = client.transfer_log().get_inclusion_proof(request).await?.into_inner();
    let key = client.transfer_log().get_checkpoint(client.request(GetCheckpointRequest {})).await?.into_inner();
    let failed = |action, path: &std::path::Path| {
        let path = path.to_owned();
        move |source| CliError::File { action, path, source }
    };
    fs::create_dir_all(&args.out).map_err(failed("make", &args.out))?;
    let leaf = args.out.join(format!("{}.leaf", args.id));
    let receipt = args.out.join(format!("{}.tlog-proof", args.id));
    fs::write(&leaf, &proof.leaf).map_err(failed("write", &leaf))?;
    fs::write(&receipt, &proof.receipt).map_err(failed("write", &receipt))?;
    if output.is_json() {
        output.json_line(&json!({
            "leaf": leaf, "receipt": receipt, "verifier_key": key.verifier_key,
            "content_salt": proof.content_salt, "content_sha256": proof.content_sha256,
        }))?;
    } else {
        output.line(&String::from_utf8_lossy(&proof.leaf))?;
        output.line(&format!(
            "kept in {} and {}; check them with: atena verify receipt --key '{}' --leaf {} --receipt {}",
            leaf.display(),
            receipt.display(),
            key.verifier_key,
            leaf.display(),
            receipt.display()
        ))?;
    }
    Ok(Finished::Clean)
}
