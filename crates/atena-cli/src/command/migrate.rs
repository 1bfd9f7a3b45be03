//! `atena migrate`.

use atena_gateway::{Actor, Config, migrate};

use crate::Finished;
use crate::cli::MigrateArgs;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;
use crate::progress;
use crate::table::Table;

/// Copies every municipality of one database into another.
pub(super) async fn run(args: &MigrateArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.home)?;
    let mut homes = vec![Config::load(&home.config())?];
    for further in home.municipalities()? {
        homes.push(Config::load(&further.config())?);
    }
    let bar = progress::bar("移行", Some(0));
    let step = progress::steps(&bar);
    let moved = migrate(&args.from, &args.to, &homes, &Actor::of_process(None), |_, done, all| step(done, all)).await;
    bar.finish_and_clear();
    let mut table = Table::new(&[
        ("municipality_code", "団体コード / municipality"),
        ("rows", "行 / rows"),
        ("log_size", "記録 / transfers"),
        ("log_root", "ルート / root of the log"),
    ]);
    for one in moved? {
        table.row([one.municipality_code.into(), one.rows.into(), one.log_size.into(), one.log_root.into()]);
    }
    output.table(&table)?;
    output.note("Counts and roots are the same in both. Set database_url in atena.toml to the new one before the gateways start.")?;
    Ok(Finished::Clean)
}
