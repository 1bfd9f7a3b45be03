//! `atena register`.

use crate::Finished;
use crate::cli::RegisterArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::upload::{self, Tally};
use crate::{progress, rows};

/// Registers everyone in a file.
pub(super) async fn run(args: &RegisterArgs, output: &mut Output) -> Result<Finished, CliError> {
    let people = rows::people(&args.bulk.file, args.bulk.format)?;
    let client = super::connect(&args.call).await?;
    let bar = progress::bar("registering", None);
    let mut tally = Tally::default();
    let called = upload::register(
        &client,
        people,
        args.bulk.request_size.into(),
        &mut super::counting(&mut tally, &bar, output),
    )
    .await;
    bar.finish_and_clear();
    let finished = super::report(&tally, output)?;
    called.map(|()| finished)
}
