//! `atena init`.

use serde_json::json;

use crate::Finished;
use crate::cli::InitArgs;
use crate::error::CliError;
use crate::init;
use crate::output::Output;

/// Makes a home and says what to do next.
pub(super) fn run(args: &InitArgs, output: &mut Output) -> Result<Finished, CliError> {
    let (home, systems) = init::create(&args.home, &args.municipality, &args.server_name)?;
    if output.is_json() {
        output
            .json_line(&json!({ "home": home.root(), "municipality_code": args.municipality, "systems": systems }))?;
        return Ok(Finished::Clean);
    }
    let root = home.root().display();
    output.line(&format!(
        "Made {root} for municipality {code}:\n\
         \x20 atena.toml    settings (設定)\n\
         \x20 policy.toml   release rules and registry of systems (移転のルールと接続システム台帳): have it checked by the municipality\n\
         \x20 people.toml   accounts of people (利用者登録簿): nobody yet\n\
         \x20 keys.toml     keys; keep a copy apart from the database's backups (暗号鍵)\n\
         \x20 pki/          development certificates for: {systems}\n\
         \n\
         Next:\n\
         \x20 atena serve --home {root}\n\
         \x20 atena sample --out sample\n\
         \x20 atena register --home {root} --as pension sample/people/pension.csv\n\
         \x20 atena push --home {root} --as pension --dataset payment sample/records/payment.csv\n\
         \x20 atena entitlements --home {root} --as resident-tax",
        code = args.municipality,
        systems = systems.join(", "),
    ))?;
    Ok(Finished::Clean)
}
