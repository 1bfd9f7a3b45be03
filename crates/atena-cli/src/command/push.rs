//! `atena push`.

use serde_json::json;

use crate::Finished;
use crate::cli::PushArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::rows::Rows;
use crate::upload::{self, Tally};
use crate::{progress, rows};

/// What is said of columns that a file of records lacks.
const EMPTY: &str = "レコードは改訂ごとに全体を置き換えるので、新しい改訂ではこれらの項目が空欄になります。";

/// Pushes every record in a file.
pub(super) async fn run(args: &PushArgs, output: &mut Output) -> Result<Finished, CliError> {
    let Rows { rows: records, missing } = rows::records(args.dataset.wire(), &args.bulk.file, args.bulk.format)?;
    let client = super::connect(&args.call).await?;
    super::say_missing(&missing, EMPTY)?;
    if output.is_json() && !missing.is_empty() {
        output.json_line(&json!({ "missing_columns": missing }))?;
    }
    let bar = progress::bar("pushing", None);
    let mut tally = Tally::default();
    let called =
        upload::push(&client, records, args.bulk.request_size.into(), &mut super::counting(&mut tally, &bar, output))
            .await;
    bar.finish_and_clear();
    let finished = super::report(&tally, output)?;
    called.map(|()| finished)
}
