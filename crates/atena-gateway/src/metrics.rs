//! Counters and histograms, exported by OTLP where an endpoint is set. Attributes are names of systems, methods, datasets and
//! outcomes: nothing about a person.

use std::time::Duration;

use atena_domain::MunicipalityCode;
use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};

/// What the gateway of one municipality counts.
pub(crate) struct Metrics {
    municipality: KeyValue,
    calls: Counter<u64>,
    records: Counter<u64>,
    refusals: Counter<u64>,
    log_commit_seconds: Histogram<f64>,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn of(municipality: &MunicipalityCode) -> Self {
        let meter = global::meter("atena");
        Self {
            municipality: KeyValue::new("municipality_code", municipality.as_str().to_owned()),
            calls: meter.u64_counter("atena.calls").with_description("Calls by method and result").build(),
            records: meter
                .u64_counter("atena.records")
                .with_description("Records that went through, by system, dataset and direction")
                .build(),
            refusals: meter
                .u64_counter("atena.refusals")
                .with_description("Refusals by system, method and reason")
                .build(),
            log_commit_seconds: meter
                .f64_histogram("atena.transfer_log.commit")
                .with_unit("s")
                .with_description("Time until transfer records were durable")
                .build(),
        }
    }

    pub(crate) fn call(&self, method: &'static str, result: &'static str) {
        self.calls
            .add(1, &[self.municipality.clone(), KeyValue::new("method", method), KeyValue::new("result", result)]);
    }

    pub(crate) fn refusal(&self, system_id: &str, method: &'static str, reason: &'static str) {
        self.refusals.add(
            1,
            &[
                self.municipality.clone(),
                KeyValue::new("system_id", system_id.to_owned()),
                KeyValue::new("method", method),
                KeyValue::new("reason", reason),
            ],
        );
    }

    pub(crate) fn records(&self, count: u64, system_id: &str, dataset: &'static str, direction: &'static str) {
        self.records.add(
            count,
            &[
                self.municipality.clone(),
                KeyValue::new("system_id", system_id.to_owned()),
                KeyValue::new("dataset", dataset),
                KeyValue::new("direction", direction),
            ],
        );
    }

    pub(crate) fn log_commit(&self, took: Duration) {
        self.log_commit_seconds.record(took.as_secs_f64(), std::slice::from_ref(&self.municipality));
    }
}
