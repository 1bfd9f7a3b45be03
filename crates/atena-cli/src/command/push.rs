//! `atena push`.

use crate::Finished;
use crate::cli::PushArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::upload::{self, Tally};
use crate::{progress, rows};

/// Pushes every record in a file.
pub(super) async fn run(args: &PushArgs, output: &mut Output) -> Result<Finished, CliError> {
    let records = rows::records(args.dataset.wire(), &args.bulk.file, args.bulk.format)?;
    let client = super::connect(&args.call).await?;
    let bar = progress::bar("pushing", None);
    let mut tally = Tally::default();
    let called =
        upload::push(&client, records, args.bulk.request_size.into(), &mut super::counting(&mut tally, &bar, output))
            .await;
    bar.finish_and_clear();
    let finished = super::report(&tally, output)?;
    called.map(|()| finished)
}
