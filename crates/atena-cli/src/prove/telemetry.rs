//! What a collector is told while a town is asked: the traces of calls and the counters, in a form in which those of two towns can be
//! compared.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status};

use crate::error::CliError;

/// Attributes that tell how long something took, and on which thread: they differ between two runs of one call.
const OF_THE_RUN: [&str; 4] = ["busy_ns", "idle_ns", "thread.id", "thread.name"];

/// The span that a call is.
const CALL: &str = "call";

/// A collector for one town, on a port of its own.
pub(super) struct Collector {
    endpoint: String,
    kept: Kept,
    _serving: AbortOnDropHandle<()>,
}

/// What it was sent.
#[derive(Clone, Default)]
struct Kept {
    spans: Arc<Mutex<Vec<Span>>>,
    /// The newest value of each metric: they are sent as totals.
    metrics: Arc<Mutex<BTreeMap<String, Metric>>>,
}

/// What a collector was told: nobody who reads it may tell two towns apart.
pub(super) struct Told {
    /// The calls of each system, in their order.
    pub(super) calls: BTreeMap<String, Vec<Shape>>,
    /// Each counter with its attributes.
    pub(super) counters: BTreeMap<Counter, String>,
}

/// A counter and its attributes; the calling system, where one is among them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counter {
    pub(super) name: String,
    pub(super) system: Option<String>,
    attributes: Vec<(String, String)>,
}

/// A span without its ids and times: its name, attributes and events, and what is below it. What ran at one time has no order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    name: String,
    attributes: Vec<(String, String)>,
    events: Vec<(String, Vec<(String, String)>)>,
    failed: bool,
    below: Vec<Shape>,
}

// === impl Collector ===

impl Collector {
    /// Opens one.
    pub(super) async fn open() -> Result<Self, CliError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(CliError::Runtime)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(CliError::Runtime)?);
        let kept = Kept::default();
        let serving = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(kept.clone()))
            .add_service(MetricsServiceServer::new(kept.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let serving = tokio::spawn(async move {
            // It ends with the town.
            let _ = serving.await;
        });
        Ok(Self { endpoint, kept, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Where a gateway sends to.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it was told of calls since a time (nanoseconds since 1970), and the counters as they were at the end.
    pub(super) fn told_since(&self, since: u64) -> Told {
        let spans = self.kept.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut below: BTreeMap<&[u8], Vec<&Span>> = BTreeMap::new();
        for span in spans.iter() {
            below.entry(&span.parent_span_id).or_default().push(span);
        }
        let roots = below.get(&[][..]).map_or(&[][..], Vec::as_slice).iter();
        let mut roots: Vec<_> =
            roots.filter(|span| span.name == CALL && span.start_time_unix_nano >= since).copied().collect();
        roots.sort_by_key(|span| span.start_time_unix_nano);
        let mut calls: BTreeMap<String, Vec<Shape>> = BTreeMap::new();
        for root in roots {
            let shape = Shape::of(root, &below);
            let system = shape.attributes.iter().find(|(name, _)| name == "system_id");
            let system = system.map(|(_, value)| value.clone()).unwrap_or_default();
            calls.entry(system).or_default().push(shape);
        }
        let metrics = self.kept.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        Told { calls, counters: metrics.values().flat_map(counters).collect() }
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Kept {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.extend(scopes.flat_map(|scope| scope.metrics).map(|metric| (metric.name.clone(), metric)));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

// === impl Shape ===

impl Shape {
    fn of(span: &Span, below: &BTreeMap<&[u8], Vec<&Span>>) -> Self {
        let children = below.get(span.span_id.as_slice()).map_or(&[][..], Vec::as_slice);
        let mut children: Vec<_> = children.iter().map(|child| Self::of(child, below)).collect();
        children.sort();
        Self {
            name: span.name.clone(),
            attributes: attributes(&span.attributes),
            events: span.events.iter().map(|event| (event.name.clone(), attributes(&event.attributes))).collect(),
            failed: span.status.as_ref().is_some_and(|status| status.code == 2),
            below: children,
        }
    }

    /// The method that was called.
    pub(super) fn method(&self) -> &str {
        self.attributes.iter().find(|(name, _)| name == "method").map_or("", |(_, method)| method)
    }
}

/// Now, as spans tell it.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    u64::try_from(since).unwrap_or(u64::MAX)
}

fn attributes(of: &[KeyValue]) -> Vec<(String, String)> {
    let told = of.iter().filter(|attribute| !OF_THE_RUN.contains(&attribute.key.as_str()));
    let mut told: Vec<_> = told.map(|attribute| (attribute.key.clone(), text(attribute.value.as_ref()))).collect();
    told.sort();
    told
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// The totals of a metric. How long something took is left out; how often is not.
fn counters(metric: &Metric) -> Vec<(Counter, String)> {
    let of = |attributes_of: &[KeyValue], value: String| {
        let attributes = attributes(attributes_of);
        let system = attributes.iter().find(|(name, _)| name == "system_id").map(|(_, value)| value.clone());
        (Counter { name: metric.name.clone(), system, attributes }, value)
    };
    let number = |point: &NumberDataPoint| match point.value {
        Some(number_data_point::Value::AsInt(value)) => value.to_string(),
        Some(number_data_point::Value::AsDouble(value)) => value.to_string(),
        None => String::new(),
    };
    match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.iter().map(|point| of(&point.attributes, number(point))).collect(),
        Some(Data::Histogram(histogram)) => {
            let points = histogram.data_points.iter();
            points.map(|point| of(&point.attributes, point.count.to_string())).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: u8, name: &str, attributes: &[(&str, i64)]) -> Span {
        let attribute = |(key, value): &(&str, i64)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::IntValue(*value)) }),
            ..Default::default()
        };
        Span {
            span_id: vec![id],
            parent_span_id: if parent == 0 { Vec::new() } else { vec![parent] },
            name: name.to_owned(),
            attributes: attributes.iter().map(attribute).collect(),
            start_time_unix_nano: id.into(),
            ..Default::default()
        }
    }

    async fn shapes(spans: &[Span]) -> Vec<Shape> {
        let collector = Collector::open().await.unwrap();
        collector.kept.spans.lock().unwrap().extend(spans.to_vec());
        collector.told_since(1).calls.into_values().flatten().collect()
    }

    #[tokio::test]
    async fn traces_differ_in_names_attributes_and_structure_and_not_in_ids_times_or_order() {
        let usual =
            shapes(&[span(1, 0, "call", &[]), span(2, 1, "read", &[("people", 3)]), span(3, 1, "log", &[])]).await;
        assert_eq!(usual.len(), 1);
        let another_run = [
            span(9, 0, "call", &[("busy_ns", 7), ("thread.id", 2)]),
            span(4, 9, "log", &[]),
            span(5, 9, "read", &[("idle_ns", 1), ("people", 3)]),
            span(6, 0, "db.begin", &[]),
        ];
        assert_eq!(shapes(&another_run).await, usual);
        for other in [
            vec![span(1, 0, "call", &[]), span(2, 1, "read", &[("people", 4)]), span(3, 1, "log", &[])],
            vec![span(1, 0, "call", &[]), span(2, 1, "read", &[("people", 3)]), span(3, 2, "log", &[])],
            vec![span(1, 0, "call", &[]), span(2, 1, "read", &[("people", 3)])],
            vec![span(1, 0, "call", &[]), span(2, 1, "seek", &[("people", 3)]), span(3, 1, "log", &[])],
        ] {
            assert_ne!(shapes(&other).await, usual);
        }
    }
}
