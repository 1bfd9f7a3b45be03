//! `atena push`.

use serde_json::json;

use crate::Finished;
use crate::cli::PushArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::{progress, rows, upload};

/// What is said of columns that a file of records lacks.
const EMPTY: &str = "レコードは改訂ごとに全体を置き換えるので、新しい改訂ではこれらの項目が空欄になります。";

/// Pushes every record in a file.
pub(super) async fn run(args: &PushArgs, output: &mut Output) -> Result<Finished, CliError> {
    let records = rows::records(args.dataset.wire(), &args.bulk.file, args.bulk.format, args.bulk.encoding)?;
    let (lines, missing) = (records.lines.clone(), records.missing.clone());
    let client = super::connect(&args.call).await?;
    super::say_missing(&missing, EMPTY)?;
    if output.is_json() && !missing.is_empty() {
        output.json_line(&json!({ "missing_columns": missing }))?;
    }
    let bar = progress::bar("pushing", None);
    let mut tally = super::tally(output);
    let called =
        upload::push(&client, records, args.bulk.request_size.into(), &mut super::counting(&mut tally, &bar, output))
            .await;
    bar.finish_and_clear();
    super::report(&tally, &lines, called, output)
}
