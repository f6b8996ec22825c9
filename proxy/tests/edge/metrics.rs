//! Metrics on their own listener.

use super::client::Connection;
use super::world::{HOST, World, dist_path, eventually, grant};

fn world() -> World {
    World::with(|config| config.metrics_listen = Some("127.0.0.1:0".parse().unwrap()))
}

fn scrape(world: &World) -> String {
    let response = Connection::open(world.metrics.unwrap()).request("GET", "/metrics", &[("Host", "edge")]);
    assert_eq!(response.status, 200);
    assert!(response.field("content-type").unwrap().starts_with("application/openmetrics-text"));
    response.text()
}

/// The value of a line that begins so.
fn value(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|there| there.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
}

/// Open connections to the public listeners.
pub(crate) fn connections(world: &World) -> usize {
    value(&scrape(world), "cargoman_edge_connections").unwrap() as usize
}

/// Panics that were counted.
pub(crate) fn panics(world: &World) -> usize {
    value(&scrape(world), "cargoman_edge_panics_total{where=\"any\"}").unwrap() as usize
}

#[test]
fn what_happened_is_counted() {
    let world = world();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let known = customer.get("/p2/acme/pay.json").field("last-modified").unwrap().to_owned();
    for _ in 0..3 {
        assert_eq!(customer.get("/p2/acme/pay.json").status, 200);
    }
    assert_eq!(customer.ask("GET", "/p2/acme/pay.json", &[("If-Modified-Since", &known)]).status, 304);
    let archive = customer.get(&dist_path("1.0.0.0", 1));
    assert_eq!(customer.get("/dist/acme/pay/9.0.0.0/aa.zip").status, 404);
    assert_eq!(world.connect().request("GET", "/packages.json", &[("Host", HOST)]).status, 401);
    assert_eq!(world.connect().request("GET", "/p2/%", &[("Host", HOST)]).status, 400);
    assert_eq!(customer.get("/api/v1/x").status, 200);
    // A request is counted behind its answer.
    let all = "cargoman_edge_requests_total{route=\"passed_on\",outcome=\"ok\"}";
    eventually("the last one is counted", || value(&scrape(&world), all) == Some(1.0));
    let text = scrape(&world);
    for (line, expected) in [
        ("cargoman_edge_requests_total{route=\"package\",outcome=\"ok\"}", 4.0),
        ("cargoman_edge_requests_total{route=\"package\",outcome=\"not_modified\"}", 1.0),
        ("cargoman_edge_requests_total{route=\"dist\",outcome=\"ok\"}", 1.0),
        ("cargoman_edge_requests_total{route=\"dist\",outcome=\"not_found\"}", 1.0),
        ("cargoman_edge_requests_total{route=\"root\",outcome=\"unauthorized\"}", 1.0),
        ("cargoman_edge_requests_total{route=\"unread\",outcome=\"refused\"}", 1.0),
        ("cargoman_edge_request_duration_seconds_count{route=\"package\"}", 5.0),
        ("cargoman_edge_request_duration_seconds_bucket{le=\"+Inf\",route=\"package\"}", 5.0),
        ("cargoman_edge_documents_total{how=\"rendered\"}", 1.0),
        ("cargoman_edge_dists_total{from=\"control_plane\"}", 1.0),
        ("cargoman_edge_panics_total{where=\"any\"}", 0.0),
    ] {
        assert_eq!(value(&text, line), Some(expected), "{line}\n{text}");
    }
    let sent = value(&text, "cargoman_edge_sent_bytes_total{route=\"dist\"}").unwrap();
    assert!(sent >= archive.body.len() as f64, "{sent}");
    for line in ["cargoman_edge_memory_bytes{kind=\"documents\"}", "process_resident_memory_bytes", "process_open_fds"]
    {
        assert!(value(&text, line).is_some_and(|value| value > 0.0), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    // Nothing in it says who asked for what.
    for secret in [customer.secret.expose(), "acme", "cust_1", "tok_id_1"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_listener_of_its_own() {
    let world = world();
    let ask = |method: &str, path: &str| {
        Connection::open(world.metrics.unwrap()).request(method, path, &[("Host", "edge")]).status
    };
    assert_eq!((ask("GET", "/healthz"), ask("GET", "/readyz")), (200, 200));
    assert_eq!((ask("GET", "/packages.json"), ask("POST", "/metrics")), (404, 405));
    // What is no path of the edge goes to the control plane: the public listener has no metrics.
    let public = world.connect().request("GET", "/metrics", &[("Host", HOST)]);
    assert!(!public.text().contains("cargoman_edge"), "{}", public.text());
}
