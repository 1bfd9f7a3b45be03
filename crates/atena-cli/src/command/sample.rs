//! `atena sample`.

use crate::Finished;
use crate::cli::SampleArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::table::Table;
use crate::{progress, sample};

/// Makes sample files.
pub(super) fn run(args: &SampleArgs, output: &mut Output) -> Result<Finished, CliError> {
    let bar = progress::bar("making people", Some(args.persons.into()));
    let summary = sample::generate(args.persons, args.seed, &args.out, |done| bar.set_position(done))?;
    bar.finish_and_clear();
    let mut table = Table::new(&[("file", "file"), ("rows", "rows (件)")]);
    for (file, rows) in summary.files {
        table.row([args.out.join(file).display().to_string().into(), rows.into()]);
    }
    output.table(&table)?;
    Ok(Finished::Clean)
}
