//! `atena demo`: a town hall in half a minute, and a check of what Atena guarantees.
//!
//! Real processes, real certificates, made-up people. The gateway logs everything that it would ever log (`RUST_LOG=trace`), so
//! that the search for personal numbers in its log means something.

mod audit;
mod capture;
mod comparison;
mod guarantees;
mod load;
mod person;
mod refused;
mod scan;
pub(crate) mod server;

use std::path::{Path, PathBuf};

use atena_proto::v1::Delivery;
use tempfile::TempDir;

use crate::cli::DemoArgs;
use crate::client::{Caller, Client, Tape};
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;
use crate::{Finished, init, progress, sample};
use server::GatewayProcess;

/// Seed of the made-up people: every demo shows the same town.
const SEED: u64 = 1;

/// The two systems that rules release pension records to.
const RESIDENT_TAX: &str = "resident-tax";
const PUBLIC_ASSISTANCE: &str = "public-assistance";
/// The owner of the pension datasets.
const PENSION: &str = "pension";
/// A system without a legal basis for personal numbers.
const SCHOOL_AFFAIRS: &str = "school-affairs";
/// Who looks into the transfer log.
const AUDITOR: &str = "auditor";

/// Where everything of one demo is.
struct Town {
    home: Home,
    sample: PathBuf,
    log: PathBuf,
    gateway: String,
}

/// The two consumers; each writes down every byte that it receives.
struct Consumers {
    resident_tax: Client,
    public_assistance: Client,
    tapes: [Tape; 2],
}

/// What the parts before the last one leave to be checked.
struct Evidence {
    /// Rows that came back in part 1.
    came_back: u64,
    /// What was delivered for part 2.
    shown: Vec<Delivery>,
    /// Whether everything in part 3 was refused.
    all_refused: bool,
}

/// Shows everything and checks the guarantees.
pub(crate) async fn run(args: &DemoArgs, output: &mut Output) -> Result<Finished, CliError> {
    let (root, _temporary) = place(args)?;
    let (home, _) = init::create(&root, init::DEFAULT_MUNICIPALITY, &[])?;
    let (sample, log) = (root.join("sample"), root.join("gateway.log"));
    let bar = progress::bar("making people", Some(args.persons.into()));
    sample::generate(args.persons, SEED, &sample, |done| bar.set_position(done))?;
    bar.finish_and_clear();

    let process = GatewayProcess::start(&home, &log, "trace", &[]).await?;
    let town = Town { home, sample, log, gateway: process.address().to_owned() };

    output.note("\n1. Ten systems register their people; the pension system pushes its records (宛名の登録・付番と国民年金情報の登録)")?;
    let came_back = load::run(&town, output).await?;
    let tapes = [Tape::default(), Tape::default()];
    let consumers = Consumers {
        resident_tax: town.client(RESIDENT_TAX, Some(&tapes[0])).await?,
        public_assistance: town.client(PUBLIC_ASSISTANCE, Some(&tapes[1])).await?,
        tapes,
    };
    let person = person::choose(&town)?;
    output.note("\n2. One person, field by field: pushed by pension, received by resident tax and public assistance (移転される項目)")?;
    let shown = comparison::run(&consumers, &person, output).await?;
    output.note("\n3. What nobody gets (拒否)")?;
    let all_refused = refused::run(&town, &consumers, &person, output).await?;
    output.note("\n4. What the auditor sees of exactly this (情報提供等の記録)")?;
    audit::run(&town, &person, output).await?;
    output.note("\n5. The guarantees, checked on everything that was transferred (保証の確認)")?;
    let broken = guarantees::run(&town, Evidence { came_back, shown, all_refused }, consumers, process, output).await?;

    if broken > 0 {
        return Err(CliError::Guarantees { broken });
    }
    if args.home.is_some() {
        output.note(&next_steps(&town, &root))?;
    }
    Ok(Finished::Clean)
}

// === impl Town ===

impl Town {
    async fn client(&self, system: &str, tape: Option<&Tape>) -> Result<Client, CliError> {
        let (server, tape) = (Some(self.gateway.as_str()), tape.cloned());
        Client::connect(&Caller { home: &self.home, system, server, operator: Some("demo"), tape }).await
    }

    /// The database and what lies beside it.
    fn database_files(&self) -> Vec<PathBuf> {
        let root = self.home.root();
        let files = ["atena.db", "atena.db-wal", "atena.db-shm"].map(|name| root.join(name));
        files.into_iter().filter(|file| file.is_file()).collect()
    }
}

/// The directory asked for, or a temporary one that is removed when the second value goes.
fn place(args: &DemoArgs) -> Result<(PathBuf, Option<TempDir>), CliError> {
    if let Some(home) = &args.home {
        return Ok((home.clone(), None));
    }
    let temporary = tempfile::tempdir().map_err(CliError::file("create a directory in", std::env::temp_dir()))?;
    Ok((temporary.path().join("home"), Some(temporary)))
}

fn next_steps(town: &Town, root: &Path) -> String {
    let root = root.display();
    format!(
        "\nEverything is in {root}: atena.db (sealed), gateway.log, sample/ (the made-up people), policy.toml (the rules).\nTry next:\n\
         \x20 atena serve --home {root} &\n\
         \x20 atena entitlements --home {root} --as {RESIDENT_TAX}\n\
         \x20 atena pull --home {root} --as {PUBLIC_ASSISTANCE} --out received\n\
         \x20 atena push --home {root} --as {PENSION} --dataset payment {payments}\n\
         \x20 atena transfers --home {root} --summary\n\
         \x20 atena policy matrix --home {root}",
        payments = town.sample.join("records/payment.csv").display(),
    )
}
