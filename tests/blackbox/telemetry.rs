//! What leaves the gateway towards a collector: spans named after the steps, counters, and nothing about a person.

use std::sync::{Arc, Mutex};

use atena_proto::v1;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::people::{one_of_each, personal_number, registration};
use crate::town::Town;

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<String>>>,
    metrics: Arc<Mutex<Vec<String>>>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        self.bytes.lock().unwrap().extend(request.encode_to_vec());
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans).map(|span| span.name));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let request = request.into_inner();
        self.bytes.lock().unwrap().extend(request.encode_to_vec());
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        self.metrics.lock().unwrap().extend(scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn number_confinement_a_collector_is_told_the_steps_and_the_counts_and_nothing_about_a_person() {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);

    let mut town = Town::prepare();
    town.change("atena.toml", |text| text.replace("otlp_endpoint = \"\"", &format!("otlp_endpoint = \"{endpoint}\"")));
    town.serve();
    let number = personal_number(61_803_398_874);
    for (system, local) in [("pension", "PENSIONLOCAL77"), ("resident-tax", "TAXLOCAL77")] {
        town.register(system, registration(local, Some(&number))).await.unwrap();
    }
    town.push(one_of_each("PENSIONLOCAL77")).await;
    let request = v1::GetRecordsRequest {
        affair: "市都民税賦課業務".to_owned(),
        datasets: vec![v1::Dataset::Payment.into()],
        local_address_numbers: vec!["TAXLOCAL77".to_owned()],
        ..Default::default()
    };
    town.linkage("resident-tax").get_records(request).await.unwrap();
    let refused = town.register("school-affairs", registration("S1", Some(&number))).await;
    assert!(refused.is_err());
    // Telemetry is flushed before the gateway ends.
    town.stop();

    let spans = collector.spans.lock().unwrap().clone();
    for step in ["call", "may", "read", "filter", "log", "validate", "store"] {
        assert!(spans.iter().any(|span| span == step), "no span {step} in {spans:?}");
    }
    let metrics = collector.metrics.lock().unwrap().clone();
    for metric in ["atena.calls", "atena.records", "atena.refusals", "atena.transfer_log.commit"] {
        assert!(metrics.iter().any(|name| name == metric), "no metric {metric} in {metrics:?}");
    }
    let bytes = collector.bytes.lock().unwrap().clone();
    let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(holds("resident-tax"), "the control: what is there is found");
    for secret in [number.as_str(), "PENSIONLOCAL77", "TAXLOCAL77", "町田　太郎", "1234567890", "17910", "Q-1"] {
        assert!(!holds(secret), "{secret} reached the collector");
    }
}
