//! `atena entitlements`.

use atena_proto::v1::{Entitlement, ListEntitlementsRequest};
use serde_json::Value;

use crate::Finished;
use crate::cli::CallArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::table::Table;
use crate::terms;

/// Shows what the calling system may have.
pub(super) async fn run(args: &CallArgs, output: &mut Output) -> Result<Finished, CliError> {
    let client = super::connect(args).await?;
    let answer = client.linkage().list_entitlements(client.request(ListEntitlementsRequest {})).await?.into_inner();
    let mut table = Table::new(&[
        ("system", "システム"),
        ("rule_id", "rule"),
        ("rule_name", "ルール"),
        ("affair", "affair (事務)"),
        ("dataset", "dataset"),
        ("dataset_japanese", "情報"),
        ("fields", "fields (項目)"),
        ("bases", "legal basis (法令上の根拠)"),
        ("valid_from", "from"),
        ("valid_to", "to"),
    ]);
    for entitlement in answer.entitlements {
        table.row(row(entitlement));
    }
    if table.is_empty() {
        output.note("This system may have nothing (deny by default): no rule in policy.toml names it.")?;
    } else {
        output.table(&table)?;
    }
    output.note(&format!("policy {}", answer.policy_hash))?;
    Ok(Finished::Clean)
}

fn row(entitlement: Entitlement) -> [Value; 10] {
    let dataset = entitlement.dataset();
    let bases: Vec<String> = entitlement
        .bases
        .into_iter()
        .map(|basis| format!("{} ({}–{})", basis.citation, basis.valid_from, basis.valid_to))
        .collect();
    [
        entitlement.system_id.into(),
        format!("{} v{}", entitlement.rule_id, entitlement.rule_version).into(),
        entitlement.rule_name.into(),
        entitlement.affair.into(),
        terms::dataset_id(dataset).into(),
        terms::dataset_japanese(dataset).into(),
        entitlement.fields.into(),
        bases.into(),
        entitlement.valid_from.into(),
        entitlement.valid_to.into(),
    ]
}
