//! Traces: what a request waited for, told to a collector by OpenTelemetry's protocol, for a part of all requests.
//!
//! A request that is not followed pays for a look at one setting. A collector that is away or slow costs spans, never requests. No
//! token, no path and no header of a client's goes out; a client cannot choose to be followed, a trusted proxy can.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{FutureExt, Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, ContextGuard, KeyValue};
use opentelemetry_http::{HeaderExtractor, HeaderInjector, HttpClient, HttpError};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use pingora::http::RequestHeader;
use tokio::runtime::Handle;

use super::counters::Outcome;
use crate::config;
use crate::link::tls;
use crate::request::visit::Visit;

/// How long a collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells of requests.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    runtime: Arc<OnceLock<Handle>>,
}

/// A request that is followed.
#[derive(Clone)]
pub(crate) struct Followed(Context);

/// Stands in a context of ours: which tracer its steps belong to.
struct By(SdkTracer);

impl Traces {
    /// Nothing is sent before [`Self::start`].
    pub(crate) fn new(config: &config::Traces, edge: &str) -> Result<Self, String> {
        let runtime = Arc::new(OnceLock::new());
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_backend_preconfigured(tls::client_config(&[]).as_ref().clone())
            .build()
            .map_err(|error| error.to_string())?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Collector { client, runtime: Arc::clone(&runtime) })
            .with_endpoint(config.endpoint.as_str())
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| error.to_string())?;
        let attributes = [KeyValue::new("service.instance.id", edge.to_owned())];
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.share))))
            .with_resource(Resource::builder().with_service_name("cargoman-edge").with_attributes(attributes).build())
            .build();
        let tracer = provider.tracer("cargoman-edge");
        Ok(Self { provider, tracer, runtime })
    }

    /// From now on batches are sent, inside `runtime`.
    pub(crate) fn start(&self, runtime: Handle) {
        // Another edge of this process cannot be meant: each has its own.
        self.runtime.set(runtime).ok();
    }

    /// Sends what is left, for so long at most.
    pub(crate) async fn end(&self, patience: Duration) {
        let provider = self.provider.clone();
        let ending = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(patience)).await;
        if !matches!(ending, Ok(Ok(()))) {
            tracing::warn!(target: "cargoman::edge", "the last traces could not be sent; look at the collector of traces.endpoint");
        }
    }

    /// The request, if it is followed.
    pub(crate) fn begin(&self, visit: &Visit, head: &RequestHeader) -> Option<Followed> {
        let parent = match visit.client {
            Some(client) if client.proxied => TraceContextPropagator::new().extract(&HeaderExtractor(&head.headers)),
            _ => Context::new(),
        };
        let builder = self.tracer.span_builder("request").with_kind(SpanKind::Server).with_start_time(visit.began);
        let span = self.tracer.build_with_context(builder, &parent);
        if !span.span_context().is_sampled() {
            return None;
        }
        Some(Followed(parent.with_span(span).with_value(By(self.tracer.clone()))))
    }
}

impl Followed {
    /// Steps that begin before this is dropped are steps of the request. It must be dropped before anything is waited for.
    pub(crate) fn enter(&self) -> ContextGuard {
        self.0.clone().attach()
    }

    /// Names it to whoever answers in the edge's place.
    pub(crate) fn fields(&self) -> Vec<(http::HeaderName, http::HeaderValue)> {
        parent(&self.0).into_iter().filter_map(|(name, value)| Some((name?, value))).collect()
    }

    /// What came of it. A request that is dropped before ends then, without this.
    pub(crate) fn end(self, visit: &Visit, head: &RequestHeader, status: Option<StatusCode>, bytes: u64) {
        let span = self.0.span();
        let route = visit.resource.name();
        span.update_name(format!("{} {route}", head.method));
        span.set_attribute(KeyValue::new("http.request.method", head.method.to_string()));
        span.set_attribute(KeyValue::new("http.route", route));
        span.set_attribute(KeyValue::new("http.response.body.size", i64::try_from(bytes).unwrap_or(i64::MAX)));
        if let Some(status) = status {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        }
        if let Some(tenant) = visit.tenant() {
            span.set_attribute(KeyValue::new("cargoman.tenant", tenant.to_owned()));
        }
        if matches!(Outcome::of(status), Outcome::Failed | Outcome::Unavailable) {
            span.set_status(Status::error("the edge could not answer"));
        }
        span.end();
    }
}

/// A step of the request that is being answered, if that one is followed.
pub(crate) async fn step<F: Future>(name: &'static str, future: F) -> F::Output {
    let request = Context::current();
    let Some(By(tracer)) = request.get::<By>() else { return future.await };
    let span = tracer.build_with_context(tracer.span_builder(name).with_kind(SpanKind::Client), &request);
    let context = request.with_span(span);
    let outcome = future.with_context(context.clone()).await;
    context.span().end();
    outcome
}

/// Goes on belonging to the request in a task of its own.
pub(crate) fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future.with_context(Context::current())
}

/// Names the step that makes a call to whoever is called.
pub(crate) fn with_parent(call: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    let context = Context::current();
    if context.get::<By>().is_none() {
        return call;
    }
    call.headers(parent(&context))
}

fn parent(context: &Context) -> HeaderMap {
    let mut fields = HeaderMap::new();
    TraceContextPropagator::new().inject_context(context, &mut HeaderInjector(&mut fields));
    fields
}

/// The way to the collector. It is called from a thread outside of any runtime.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Arc<OnceLock<Handle>>,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let runtime = self.runtime.get().ok_or("the edge does not run yet")?;
        let (client, request) = (self.client.clone(), reqwest::Request::try_from(request)?);
        let sending = runtime.spawn(async move {
            let answer = client.execute(request).await?.error_for_status()?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let (status, body) = sending.await??;
        Ok(http::Response::builder().status(status).body(body)?)
    }
}
