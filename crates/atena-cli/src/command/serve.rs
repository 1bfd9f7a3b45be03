//! `atena serve`.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use atena_gateway::{BoundGateway, Config, Databases, Gateway, StartStep, telemetry};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Finished;
use crate::cli::ServeArgs;
use crate::confine;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;

/// Between two lines about what a start waits for.
const SAY_INTERVAL: Duration = Duration::from_secs(3);

/// Serves every municipality of the home until SIGTERM or SIGINT, then drains.
pub(super) async fn run(args: &ServeArgs, output: &mut Output) -> Result<Finished, CliError> {
    // Before anything is opened: a signal that comes early must be heard as well.
    let stopping = stop_signal()?;
    tokio::pin!(stopping);
    let home = Home::existing(&args.home)?;
    let config = Config::load(&home.config())?;
    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    let _telemetry = telemetry::init(&config.telemetry, &filter)?;
    if !confine::lock_memory() {
        tracing::info!("memory may be swapped out: set LimitMEMLOCK=infinity, or encrypt the swap space");
    }
    let limit_s = config.limits.start_timeout_s;
    let step = StartStep::default();
    // On a task of its own: a step that blocks its thread must not keep the signal and the deadline from being heard.
    let opening = tokio::spawn(open_all(home, config, args.listen, step.clone()));
    let opened = tokio::select! {
        opened = waited_for(opening, &step, limit_s) => opened?,
        () = &mut stopping => {
            tracing::warn!(step = step.now(), "asked to stop during the start; nothing was served");
            return Ok(Finished::Clean);
        }
    };
    for gateway in &opened.gateways {
        let of = if opened.alone { String::new() } else { format!(" for {}", gateway.municipality_code().as_str()) };
        output.line(&format!("listening on {}{of}", gateway.local_addr()))?;
    }
    serve(opened.gateways, stopping).await?;
    opened.databases.close().await;
    Ok(Finished::Clean)
}

/// What a start opened.
struct Opened {
    gateways: Vec<BoundGateway>,
    databases: Databases,
    /// Whether there is one municipality.
    alone: bool,
}

/// The end of the start, within its deadline; what it waits for is said every few seconds.
async fn waited_for(
    opening: JoinHandle<Result<Opened, CliError>>,
    step: &StartStep,
    limit_s: u64,
) -> Result<Opened, CliError> {
    let opening = AbortOnDropHandle::new(opening);
    tokio::pin!(opening);
    let started = Instant::now();
    let deadline = tokio::time::sleep(Duration::from_secs(limit_s));
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            opened = &mut opening => return opened.map_err(|error| CliError::Runtime(error.into()))?,
            () = &mut deadline => return Err(CliError::StartTimeout { seconds: limit_s, step: step.now() }),
            () = tokio::time::sleep(SAY_INTERVAL) => {
                tracing::info!(seconds = started.elapsed().as_secs(), limit_s, "starting: waiting for {}", step.now());
            }
        }
    }
}

/// Opens every municipality of the home.
async fn open_all(home: Home, config: Config, listen: Option<SocketAddr>, step: StartStep) -> Result<Opened, CliError> {
    let listen = listen.unwrap_or(config.listen);
    let mut databases = Databases::default();
    let mut gateways = Vec::new();
    let further = home.municipalities()?;
    let alone = further.is_empty();
    if alone {
        gateways.push(open(Ok(config), Some(listen), &mut databases, &step).await?);
        return Ok(Opened { gateways, databases, alone });
    }
    // One that is refused must not keep the others from being served: they have nothing to do with each other.
    let mut opened = vec![(home, open(Ok(config), Some(listen), &mut databases, &step).await)];
    for home in further {
        let config = Config::load(&home.config());
        opened.push((home, open(config.map_err(CliError::from), None, &mut databases, &step).await));
    }
    for (home, opened) in opened {
        match opened {
            Ok(gateway) => gateways.push(gateway),
            Err(error) => tracing::error!("{} is not served: {error}", home.root().display()),
        }
    }
    Ok(Opened { gateways, databases, alone })
}

async fn open(
    config: Result<Config, CliError>,
    listen: Option<SocketAddr>,
    databases: &mut Databases,
    step: &StartStep,
) -> Result<BoundGateway, CliError> {
    let config = config?;
    let listen = listen.unwrap_or(config.listen);
    Ok(Gateway::open(config, databases, step).await?.bind(listen, step).await?)
}

/// Serves all of them until asked to stop, or until one of them fails as a whole.
async fn serve(gateways: Vec<BoundGateway>, stopping: impl Future<Output = ()>) -> Result<(), CliError> {
    if gateways.is_empty() {
        return Err(CliError::NoneServed);
    }
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    for gateway in gateways {
        serving.spawn(gateway.serve(stop.clone().cancelled_owned()));
    }
    let mut ended = Ok(());
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping, if !stop.is_cancelled() => stop.cancel(),
            served = serving.join_next() => {
                let Some(served) = served else { return ended };
                stop.cancel();
                let served = served.map_err(|error| CliError::Runtime(error.into())).and_then(|served| Ok(served?));
                ended = ended.and(served);
            }
        }
    }
}

/// Resolves once this process is asked to stop.
///
/// # Errors
/// Signals can't be listened to.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, CliError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
    let mut interrupt: Signal = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
}
