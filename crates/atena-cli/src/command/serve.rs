//! `atena serve`.

use std::future::Future;

use atena_gateway::{BoundGateway, Config, Databases, Gateway, telemetry};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Finished;
use crate::cli::ServeArgs;
use crate::confine;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;

/// Serves every municipality of the home until SIGTERM or SIGINT, then drains.
pub(super) async fn run(args: &ServeArgs, output: &mut Output) -> Result<Finished, CliError> {
    let home = Home::existing(&args.home)?;
    let config = Config::load(&home.config())?;
    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    let _telemetry = telemetry::init(&config.telemetry, &filter)?;
    if !confine::lock_memory() {
        tracing::info!("memory may be swapped out: set LimitMEMLOCK=infinity, or encrypt the swap space");
    }
    let listen = args.listen.unwrap_or(config.listen);
    // Before anything is open: a signal that comes early must drain as well.
    let stopping = stop_signal()?;
    let mut databases = Databases::default();
    let mut gateways = Vec::new();
    let further = home.municipalities()?;
    let alone = further.is_empty();
    if alone {
        gateways.push(Gateway::open(config, &mut databases).await?.bind(listen).await?);
    } else {
        // One that is refused must not keep the others from being served: they have nothing to do with each other.
        let mut opened = vec![(home, open(Ok(config), Some(listen), &mut databases).await)];
        for home in further {
            let config = Config::load(&home.config());
            opened.push((home, open(config.map_err(CliError::from), None, &mut databases).await));
        }
        for (home, opened) in opened {
            match opened {
                Ok(gateway) => gateways.push(gateway),
                Err(error) => tracing::error!("{} is not served: {error}", home.root().display()),
            }
        }
    }
    for gateway in &gateways {
        let of = if alone { String::new() } else { format!(" for {}", gateway.municipality_code().as_str()) };
        output.line(&format!("listening on {}{of}", gateway.local_addr()))?;
    }
    serve(gateways, stopping).await?;
    databases.close().await;
    Ok(Finished::Clean)
}

async fn open(
    config: Result<Config, CliError>,
    listen: Option<std::net::SocketAddr>,
    databases: &mut Databases,
) -> Result<BoundGateway, CliError> {
    let config = config?;
    let listen = listen.unwrap_or(config.listen);
    Ok(Gateway::open(config, databases).await?.bind(listen).await?)
}

/// Serves all of them until asked to stop, or until one of them fails as a whole.
async fn serve(
    gateways: Vec<BoundGateway>,
    stopping: impl Future<Output = ()> + Send + 'static,
) -> Result<(), CliError> {
    if gateways.is_empty() {
        return Err(CliError::NoneServed);
    }
    let stop = CancellationToken::new();
    let mut serving = JoinSet::new();
    for gateway in gateways {
        serving.spawn(gateway.serve(stop.clone().cancelled_owned()));
    }
    let stop_all = stop.clone();
    tokio::spawn(async move {
        stopping.await;
        stop_all.cancel();
    });
    let mut ended = Ok(());
    while let Some(served) = serving.join_next().await {
        stop.cancel();
        ended = ended.and(served.map_err(|error| CliError::Runtime(error.into())).and_then(|served| Ok(served?)));
    }
    ended
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
