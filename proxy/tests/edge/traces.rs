//! Traces, as a collector gets them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use cargoman_proxy::config::Traces;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::world::{HOST, World, dist_path, eventually, grant};

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

impl Collector {
    /// Takes spans on a port of its own.
    fn start() -> (Self, SocketAddr) {
        let (collector, (sender, receiver)) = (Self::default(), std::sync::mpsc::channel());
        let app = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        (collector, receiver.recv().unwrap())
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().unwrap().clone()
    }
}

async fn take(State(collector): State<Collector>, body: Bytes) -> Bytes {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let spans = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    collector.0.lock().unwrap().extend(spans.flat_map(|scope| scope.spans));
    Bytes::new()
}

fn world(address: SocketAddr, share: f64, trusted: &str) -> World {
    World::with(|config| {
        let endpoint = format!("http://{address}/v1/traces").parse().unwrap();
        config.traces = Some(Traces { endpoint, share });
        config.trusted_proxies = vec![trusted.parse().unwrap()];
    })
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|there| there.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

/// Every request with what it waited for; nothing secret; and what is left is sent at the end.
#[test]
fn requests_and_their_steps() {
    let (collector, address) = Collector::start();
    let world = world(address, 1.0, "192.0.2.0/24");
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    assert_eq!(customer.get("/p2/acme/pay.json").status, 200);
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 200);
    // A client has no say in it.
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let alien = world.connect().request("GET", "/packages.json", &[("Host", HOST), ("traceparent", parent)]);
    assert_eq!(alien.status, 401);
    let secret = customer.secret.expose().to_owned();
    let told = world.fake.parents.lock().unwrap().clone();
    drop(world);
    eventually("all spans came", || {
        collector.spans().iter().filter(|span| span.parent_span_id.is_empty()).count() == 3
    });
    let spans = collector.spans();
    let root = |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"));
    let package = root("GET package");
    for (key, expected) in [
        ("http.request.method", "GET"),
        ("http.route", "package"),
        ("http.response.status_code", "200"),
        ("cargoman.tenant", "acme"),
    ] {
        assert_eq!(attribute(package, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(attribute(root("GET root"), "http.response.status_code").as_deref(), Some("401"));
    assert_ne!(root("GET root").trace_id, hex("0af7651916cd43dd8448eb211c80319c"));
    let steps = |of: &Span| -> Vec<String> {
        let mut steps: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == of.span_id).collect();
        steps.sort_by_key(|span| span.start_time_unix_nano);
        steps.iter().inspect(|step| assert!(step.trace_id == of.trace_id)).map(|step| step.name.clone()).collect()
    };
    assert!(steps(package).starts_with(&["read facts".to_owned()]), "{:?}", steps(package));
    assert_eq!(steps(package).last().map(String::as_str), Some("render"));
    assert_eq!(steps(root("GET dist")).last().map(String::as_str), Some("fetch archive"));
    // The control plane heard which step asked it.
    let asked: Vec<&Span> = spans.iter().filter(|span| span.name == "read facts").collect();
    assert!(!asked.is_empty() && asked.len() == told.len(), "{told:?}");
    for (span, told) in asked.iter().map(|span| (span, told.iter().find(|told| told.contains(&text(&span.span_id))))) {
        assert!(told.is_some_and(|told| told.starts_with(&format!("00-{}-", text(&span.trace_id)))), "{told:?}");
    }
    assert!(!format!("{spans:?}").contains(&secret) && !format!("{spans:?}").contains("/p2/"));
}

/// A proxy of ours decides for what comes through it.
#[test]
fn a_trusted_proxy_is_followed() {
    let (collector, address) = Collector::start();
    let world = world(address, 0.0, "127.0.0.0/8");
    let ask =
        |parent: &str| world.connect().request("GET", "/packages.json", &[("Host", HOST), ("traceparent", parent)]);
    for _ in 0..20 {
        ask("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        ask("nonsense");
    }
    ask("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    drop(world);
    eventually("the one span came", || !collector.spans().is_empty());
    let spans = collector.spans();
    let roots: Vec<&Span> = spans.iter().filter(|span| span.name == "GET root").collect();
    assert_eq!(roots.len(), 1, "{spans:#?}");
    assert_eq!(roots[0].trace_id, hex("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(roots[0].parent_span_id, hex("00f067aa0ba902b7"));
}

/// A collector that is away costs nobody anything.
#[test]
fn no_collector() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = world(free, 1.0, "192.0.2.0/24");
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for _ in 0..50 {
        assert_eq!(customer.get("/p2/acme/pay.json").status, 200);
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
