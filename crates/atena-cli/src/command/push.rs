//! `atena push`.

use crate::Finished;
use crate::cli::PushArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::{progress, rows, upload};

/// Pushes every record in a file.
pub(super) async fn run(args: &PushArgs, output: &mut Output) -> Result<Finished, CliError> {
    let records = rows::records(args.dataset.wire(), &args.bulk.file, args.bulk.format, args.bulk.encoding)?;
    let lines = records.lines.clone();
    let client = super::connect(&args.call).await?;
    let bar = progress::bar("pushing", None);
    let mut tally = super::tally(output);
    let called =
        upload::push(&client, records, args.bulk.request_size.into(), &mut super::counting(&mut tally, &bar, output))
            .await;
    bar.finish_and_clear();
    super::report(&tally, &lines, called, output)
}
