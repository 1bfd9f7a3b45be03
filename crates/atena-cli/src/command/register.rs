//! `atena register`.

use crate::Finished;
use crate::cli::RegisterArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::{progress, rows, upload};

/// Registers everyone in a file.
pub(super) async fn run(args: &RegisterArgs, output: &mut Output) -> Result<Finished, CliError> {
    let people = rows::people(&args.bulk.file, args.bulk.format, args.bulk.encoding)?;
    let lines = people.lines.clone();
    let client = super::connect(&args.call).await?;
    let bar = progress::bar("registering", None);
    let mut tally = super::tally(output);
    let called = upload::register(
        &client,
        people,
        args.bulk.request_size.into(),
        &mut super::counting(&mut tally, &bar, output),
    )
    .await;
    bar.finish_and_clear();
    super::report(&tally, &lines, called, output)
}
