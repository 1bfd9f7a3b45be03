//! `atena serve`.

use std::future::Future;

use atena_gateway::{Config, Gateway, telemetry};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Finished;
use crate::cli::ServeArgs;
use crate::confine;
use crate::error::CliError;
use crate::home::Home;
use crate::output::Output;

/// Serves until SIGTERM or SIGINT, then drains.
pub(super) async fn run(args: &ServeArgs, output: &mut Output) -> Result<Finished, CliError> {
    confine::confine();
    let home = Home::existing(&args.home)?;
    let config = Config::load(&home.config())?;
    let filter = std::env::var("RUST_LOG").unwrap_or_default();
    let _telemetry = telemetry::init(&config.telemetry, &filter)?;
    let listen = args.listen.unwrap_or(config.listen);
    // Before anything is open: a signal that comes early must drain as well.
    let stop = stop_signal()?;
    let gateway = Gateway::open(config).await?.bind(listen).await?;
    output.line(&format!("listening on {}", gateway.local_addr()))?;
    gateway.serve(stop).await?;
    Ok(Finished::Clean)
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
