//! Logs to stderr, and traces and metrics by OpenTelemetry OTLP where an endpoint is set.
//!
//! Spans are named after the steps of a call (`may`, `read`, `filter`, `log`); their attributes are names of systems,
//! methods and counts. Nothing about a person is ever an attribute (invariant *number-confinement*).

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogFormat, TelemetryConfig};

/// Keeps telemetry alive; flushes what is waiting when dropped.
pub struct TelemetryGuard {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

/// Why telemetry can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The OTLP exporter refuses its endpoint.
    #[error("the OTLP endpoint can't be used: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// RUST_LOG.
    #[error("RUST_LOG can't be used: {0}. It is a level (off, error, warn, info, debug, trace), or TARGET=LEVEL,…")]
    Filter(String),
    /// A subscriber is installed already.
    #[error("logging is set up already: {0}")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logs, traces and metrics for this process. `filter` is what `RUST_LOG` says; empty means `info`. Call it once, inside the
/// tokio runtime, before [`crate::Gateway::open`].
///
/// # Errors
/// [`TelemetryError`].
pub fn init(config: &TelemetryConfig, filter: &str) -> Result<TelemetryGuard, TelemetryError> {
    let filter = parse_filter(filter)?;
    let logs = match config.format {
        LogFormat::Human => fmt::layer().with_writer(std::io::stderr).with_target(false).boxed(),
        LogFormat::Json => fmt::layer().with_writer(std::io::stderr).json().boxed(),
    };
    let mut guard = TelemetryGuard { traces: None, metrics: None };
    let mut exported = None;
    if !config.otlp_endpoint.is_empty() {
        let resource = Resource::builder()
            .with_service_name("atena")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let spans = SpanExporter::builder().with_tonic().with_endpoint(&config.otlp_endpoint).build()?;
        let traces = SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
        // Our own spans only: what libraries say about a connection is for nobody else.
        let ours = filter_fn(|metadata| metadata.target().starts_with("atena"));
        exported = Some(tracing_opentelemetry::layer().with_tracer(traces.tracer("atena")).with_filter(ours));
        let exporter = MetricExporter::builder().with_tonic().with_endpoint(&config.otlp_endpoint).build()?;
        let metrics = SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource).build();
        global::set_meter_provider(metrics.clone());
        guard = TelemetryGuard { traces: Some(traces), metrics: Some(metrics) };
    }
    tracing_subscriber::registry().with(exported).with(logs.with_filter(filter)).try_init()?;
    Ok(guard)
}

/// What is shown. A word that is neither a level nor a target of ours would show nothing at all.
fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let filter = if filter.trim().is_empty() { "info" } else { filter };
    for word in filter.split(',').map(str::trim).filter(|word| !word.contains(['=', '[', ':']) && !word.is_empty()) {
        if word.parse::<LevelFilter>().is_err() && !word.starts_with("atena") {
            return Err(TelemetryError::Filter(format!("`{word}` is no level")));
        }
    }
    EnvFilter::builder().parse(filter).map_err(|error| TelemetryError::Filter(error.to_string()))
}

// === impl TelemetryGuard ===

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        // At the end of the process there is nobody left to tell.
        if let Some(traces) = self.traces.take() {
            let _ = traces.shutdown();
        }
        if let Some(metrics) = self.metrics.take() {
            let _ = metrics.shutdown();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_level_is_refused_with_its_name() {
        for well in ["", "info", "WARN", "atena_gateway=debug,info", "atena_store", "sqlx::query=trace"] {
            assert!(parse_filter(well).is_ok(), "{well}");
        }
        for wrong in ["verbose", "inf", "atena=loud", "info,loud"] {
            assert!(parse_filter(wrong).is_err(), "{wrong}");
        }
    }
}
