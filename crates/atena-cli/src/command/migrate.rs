//! `atena migrate`.

use atena_gateway::{Config, migrate, sign_in_operator};

use super::acting;
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
    let first = Config::load(&home.config())?;
    let actor = acting::actor(&home, &first, &args.acting).await?;
    let mut homes = vec![first];
    for further in home.municipalities()? {
        let config = Config::load(&further.config())?;
        if args.acting.who.is_none() {
            // Each may ask for an operator.
            sign_in_operator(&config, None).await?;
        }
        homes.push(config);
    }
    let bar = progress::bar("移行", Some(0));
    let step = progress::steps(&bar);
    let moved = migrate(&args.from, &args.to, &homes, &actor, |_, done, all| step(done, all)).await;
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
