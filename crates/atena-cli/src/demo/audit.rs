//! Part 4: what the auditor sees.

use atena_proto::v1::SummarizeTransfersRequest;

use super::person::Person;
use super::{AUDITOR, PENSION, SCHOOL_AFFAIRS, Town};
use crate::command::transfers;
use crate::error::CliError;
use crate::output::Output;

/// Transfers shown of each kind.
const SHOWN_MAX: usize = 20;

/// Shows the transfers about the person, the refusals, and the counts.
pub(super) async fn run(town: &Town, person: &Person, output: &mut Output) -> Result<(), CliError> {
    let auditor = town.client(AUDITOR, None).await?;
    let about_person = format!("person = \"{PENSION}/{}\" AND direction = \"OUTBOUND\"", person.in_pension);
    let refusals = format!("system_id = \"{SCHOOL_AFFAIRS}\" AND outcome = \"REFUSED\"");
    for (title, filter) in [("released about this person", about_person), ("refused to school affairs", refusals)] {
        output.note(&format!("{title}: {filter}"))?;
        output.table(&transfers::overview(&transfers::list(&auditor, &filter, SHOWN_MAX).await?))?;
    }
    output.note("everything so far, counted (月次点検):")?;
    let request = auditor.request(SummarizeTransfersRequest { filter: String::new() });
    output.table(&transfers::summary(&auditor.transfer_log().summarize_transfers(request).await?.into_inner()))
}
