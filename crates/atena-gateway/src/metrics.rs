//! Counters and histograms, exported by OTLP where an endpoint is set. Attributes are names of systems, methods, datasets and
//! outcomes: nothing about a person.

use std::time::Duration;

use atena_domain::MunicipalityCode;
use jiff::Timestamp;
use opentelemetry::metrics::{Counter, Gauge, Histogram};
use opentelemetry::{KeyValue, global};

use crate::door::Expiry;

/// What the gateway of one municipality counts.
pub(crate) struct Metrics {
    municipality: KeyValue,
    calls: Counter<u64>,
    records: Counter<u64>,
    refusals: Counter<u64>,
    log_commit_seconds: Histogram<f64>,
    expires_in_seconds: Gauge<i64>,
    clock_suspect: Gauge<u64>,
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
            expires_in_seconds: meter
                .i64_gauge("atena.certificate.expires_in")
                .with_unit("s")
                .with_description(
                    "Time until a certificate, an authority or a revocation list runs out; negative afterwards",
                )
                .build(),
            clock_suspect: meter
                .u64_gauge("atena.clock.suspect")
                .with_description("1 while the clock contradicts the log or the certificate and nothing is erased")
                .build(),
        }
    }

    pub(crate) fn clock_suspect(&self, suspect: bool) {
        self.clock_suspect.record(suspect.into(), std::slice::from_ref(&self.municipality));
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

    pub(crate) fn expiry(&self, expiry: &Expiry, now: Timestamp) {
        let labels = [
            self.municipality.clone(),
            KeyValue::new("kind", expiry.kind.as_str()),
            KeyValue::new("name", expiry.name.clone()),
        ];
        self.expires_in_seconds.record(expiry.left_s(now), &labels);
    }

    pub(crate) fn log_commit(&self, took: Duration) {
        self.log_commit_seconds.record(took.as_secs_f64(), std::slice::from_ref(&self.municipality));
    }
}
