//! `atena municipality`: several municipalities on one installation, apart in everything but the machine and the database.

use std::net::SocketAddr;
use std::path::Path;

use atena_domain::MunicipalityCode;
use atena_gateway::{Action, Config, municipality_of};

use crate::Finished;
use crate::cli::{MunicipalityAddArgs, MunicipalityCommand};
use crate::error::CliError;
use crate::home::Home;
use crate::init;
use crate::output::Output;
use crate::table::Table;

/// Adds one, or lists them.
pub(super) async fn run(command: &MunicipalityCommand, output: &mut Output) -> Result<Finished, CliError> {
    match command {
        MunicipalityCommand::Add(args) => add(args, output).await,
        MunicipalityCommand::List { home } => list(home, output),
    }
}

/// One municipality of an installation.
struct Place {
    home: Home,
    code: MunicipalityCode,
    listen: SocketAddr,
}

fn places(first: &Home) -> Result<Vec<Place>, CliError> {
    let mut places = Vec::new();
    for home in [first.clone()].into_iter().chain(first.municipalities()?) {
        let config = Config::load(&home.config())?;
        places.push(Place { code: municipality_of(&config)?, listen: config.listen, home });
    }
    Ok(places)
}

async fn add(args: &MunicipalityAddArgs, output: &mut Output) -> Result<Finished, CliError> {
    let first = Home::existing(&args.home)?;
    let code = MunicipalityCode::parse(&args.municipality)
        .map_err(|error| CliError::Malformed { what: "--municipality", reason: error.to_string() })?;
    let places = places(&first)?;
    if let Some(known) = places.iter().find(|place| place.code == code) {
        return Err(CliError::MunicipalityThere { code: code.as_str().to_owned(), home: known.home.root().to_owned() });
    }
    let config = Config::load(&first.config())?;
    let listen = args.listen.unwrap_or_else(|| {
        let port = places.iter().map(|place| place.listen.port()).max().unwrap_or(config.listen.port());
        SocketAddr::new(config.listen.ip(), port.saturating_add(1))
    });
    let actor = super::acting::actor(&first, &config, &args.acting).await?;
    let settings = settings_beside(&config, listen);
    let action = Action::AddMunicipality { code: code.as_str().to_owned() };
    let make =
        || init::create_with(first.municipality(code.as_str()).root(), code.as_str(), &args.server_name, &settings);
    let (home, systems) = super::recorded(&first, actor, action, make, |_| 1).await?;
    if output.is_json() {
        output.json_line(&serde_json::json!({
            "home": home.root(), "municipality_code": code.as_str(), "listen": listen.to_string(), "systems": systems
        }))?;
        return Ok(Finished::Clean);
    }
    output.line(&format!(
        "Made {root} for municipality {code}, in the database of {first}, with keys, rules, certificates and a log of its own.\n\
         Have policy.toml checked by that municipality. From its next start on `atena serve --home {first}` serves it on {listen};\n\
         every other command takes --home {root}.",
        root = home.root().display(),
        code = code.as_str(),
        first = first.root().display(),
    ))?;
    Ok(Finished::Clean)
}

/// The default settings, in the database of another municipality.
fn settings_beside(first: &Config, listen: SocketAddr) -> String {
    let mut settings = String::new();
    for line in Config::default_text().lines() {
        let line = match line {
            line if line.starts_with("listen = ") => format!("listen = \"{listen}\""),
            line if line.starts_with("database_url = ") => format!("database_url = {:?}", first.database_url),
            line if line.starts_with("# database_connections_max = ") => {
                format!("database_connections_max = {}", first.database_connections_max)
            }
            line if line.starts_with("# database_replica_url = ") => first
                .database_replica_url
                .as_ref()
                .map_or(line.to_owned(), |url| format!("database_replica_url = {url:?}")),
            line => line.to_owned(),
        };
        settings.push_str(&line);
        settings.push('\n');
    }
    settings
}

fn list(home: &Path, output: &mut Output) -> Result<Finished, CliError> {
    let mut table = Table::new(&[
        ("municipality_code", "団体コード / municipality"),
        ("listen", "アドレス / address"),
        ("home", "ディレクトリ / home"),
    ]);
    for place in places(&Home::existing(home)?)? {
        table.row([
            place.code.as_str().into(),
            place.listen.to_string().into(),
            place.home.root().display().to_string().into(),
        ]);
    }
    output.table(&table)?;
    Ok(Finished::Clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_municipality_is_in_the_database_of_the_first_and_nowhere_else_like_it() {
        let text = Config::default_text().replace(
            "database_url = \"sqlite:atena.db\"",
            "database_url = \"postgres://atena@localhost/towns\"\ndatabase_replica_url = \"postgres://localhost/towns\"\n\
             database_connections_max = 40",
        );
        let first = Config::parse(&text, Path::new("/srv/atena")).unwrap();
        let settings = settings_beside(&first, "127.0.0.1:50052".parse().unwrap());
        let further = Config::parse(&settings, Path::new("/srv/atena/municipalities/131016")).unwrap();
        assert_eq!(further.database_url, first.database_url);
        assert_eq!(further.database_replica_url, first.database_replica_url);
        assert_eq!(further.database_connections_max, 40);
        assert_eq!(further.listen.port(), 50052);
        assert_eq!(further.keys_file, Path::new("/srv/atena/municipalities/131016/keys.toml"));
    }
}
