//! `atena register`.

use serde_json::json;

use crate::Finished;
use crate::cli::RegisterArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::{progress, rows, upload};

/// What is said of columns that a file of people lacks.
const STAY: &str = "登録済みの人のこれらの項目は変わりません。初めて登録する人では空欄になります。\
    項目を消去するには、列を設けて空欄にします（支援措置対象者と他業務参照不可フラグは 0 のときだけ解除します）。";

/// Registers everyone in a file.
pub(super) async fn run(args: &RegisterArgs, output: &mut Output) -> Result<Finished, CliError> {
    let people = rows::people(&args.bulk.file, args.bulk.format, args.bulk.encoding)?;
    let (lines, missing) = (people.lines.clone(), people.missing.clone());
    let client = super::connect(&args.call).await?;
    super::say_missing(&missing, STAY)?;
    if output.is_json() && !missing.is_empty() {
        output.json_line(&json!({ "missing_columns": missing }))?;
    }
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
