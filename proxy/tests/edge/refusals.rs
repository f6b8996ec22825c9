//! Refusals are answers on a connection that goes on; trouble behind the edge is 503; stopping is orderly.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cargoman_proxy::config::PluginEntry;
use cargoman_proxy::plugin::{Context, Plugin, ReplyHead, RequestView, Verdict};

use super::world::{HOST, World, bytes_of, dist_path, grant, reference};

/// One connection for everything that Composer meets on a bad day.
#[test]
fn the_connection_goes_on() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "^1.0")]);
    let basic = customer.basic();
    let mut connection = world.connect();
    let good = [("Host", HOST), ("Authorization", basic.as_str())];
    let none = [("Host", HOST)];
    let elsewhere = [("Host", "elsewhere.example")];
    for _ in 0..3 {
        assert_eq!(connection.request("GET", "/packages.json", &none).status, 401);
        assert_eq!(connection.request("GET", "/p2/stranger/thing.json", &good).status, 404);
        assert_eq!(connection.request("GET", &dist_path("2.1.0.0", 5), &good).status, 403);
        assert_eq!(connection.request("DELETE", "/packages.json", &good).status, 405);
        assert_eq!(connection.request("GET", "/packages.json", &elsewhere).status, 400);
        assert_eq!(connection.request("HEAD", "/p2/acme/pay.json", &none).status, 401);
        assert_eq!(connection.request("HEAD", &dist_path("1.0.0.0", 1), &good).status, 200);
        assert_eq!(connection.request("GET", &dist_path("1.0.0.0", 1), &good).body, bytes_of(&reference(1)));
        // E-S8: a small body that nobody wanted is read away, not taken for a request.
        connection.send(format!("POST /packages.json HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 26\r\n\r\nGET /evil HTTP/1.1\r\n\r\n1234").as_bytes());
        assert_eq!(connection.receive(false).status, 405);
        let unchanged =
            connection.request("GET", "/p2/acme/pay.json", &good).field("last-modified").unwrap().to_owned();
        let conditional = [good[0], good[1], ("If-Modified-Since", unchanged.as_str())];
        assert_eq!(connection.request("GET", "/p2/acme/pay.json", &conditional).status, 304);
    }
    assert_eq!(connection.request("GET", "/packages.json", &good).status, 200);
}

#[test]
fn the_control_plane_is_down() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    assert_eq!(customer.get("/p2/acme/pay.json").status, 200);
    world.fake.down.store(true, Ordering::SeqCst);
    for target in ["/packages.json", "/p2/acme/pay.json", &dist_path("1.0.0.0", 1), "/list.json", "/api/v1/x"] {
        let response = customer.get(target);
        assert_eq!(response.status, 503, "{target}");
        assert!(!response.warning().is_empty());
        assert_eq!((response.field("retry-after"), response.field("cache-control")), (Some("5"), Some("no-store")));
    }
    let health = |path: &str| world.connect().request("GET", path, &[("Host", "anything.at.all")]).status;
    assert_eq!((health("/healthz"), health("/readyz")), (200, 503));
    world.fake.down.store(false, Ordering::SeqCst);
    assert_eq!(customer.get("/p2/acme/pay.json").status, 200);
    assert_eq!((health("/healthz"), health("/readyz")), (200, 200));
}

/// Plugins of a configuration join in at every answer.
#[test]
fn plugins() {
    let entry = |name: &str, tenants: &[&str], settings: &str| PluginEntry {
        name: name.to_owned(),
        tenants: tenants.iter().map(|tenant| (*tenant).to_owned()).collect(),
        listeners: Vec::new(),
        settings: toml::from_str(settings).unwrap(),
    };
    let world = World::with(|config| {
        config.plugins = vec![
            entry("security-headers", &[], ""),
            entry("rate-limit", &[], "requests_per_second = 1000\nfailures_per_minute = 3"),
            entry("ip-allow-list", &["other"], "networks = [\"192.0.2.0/24\"]"),
        ];
    });
    let other = cargoman_edge_protocol::Tenant { slug: "other".to_owned(), ..super::world::acme() };
    world.put_tenant("other.example", other);
    let mut customer = world.customer(vec![grant("acme/pay", "*")]);
    for target in ["/packages.json", "/p2/stranger/thing.json", "/api/v1/x", "/changes.json"] {
        assert_eq!(customer.get(target).field("x-content-type-options"), Some("nosniff"), "{target}");
    }
    // E-L5: failures are limited, a good token behind the same address is not.
    let connection = std::cell::RefCell::new(world.connect());
    let anonymous = || connection.borrow_mut().request("GET", "/packages.json", &[("Host", HOST)]);
    let answers: Vec<u16> = (0..10_000).map(|_| anonymous().status).collect();
    assert!(answers.ends_with(&[503, 503]) && answers.starts_with(&[401, 401]), "{:?}", answers.get(..10));
    assert!(anonymous().field("retry-after").is_some());
    for _ in 0..100 {
        assert_eq!(customer.get("/packages.json").status, 200);
    }
    // For one tenant only.
    customer.host = "other.example".to_owned();
    let refused = customer.get("/packages.json");
    assert_eq!(refused.status, 403);
    assert!(refused.warning().contains("network address"));
    assert_eq!(refused.field("x-content-type-options"), Some("nosniff"));
}

/// Panics where it is told to.
struct Panicking;

impl Plugin for Panicking {
    fn on_request(&self, request: &RequestView<'_>, _: &mut Context) -> Verdict {
        assert!(!request.path.contains("none"), "on purpose");
        Verdict::Continue
    }

    fn on_reply(&self, request: &RequestView<'_>, _: &mut Context, _: &mut ReplyHead) {
        assert!(!request.path.contains("dist"), "on purpose");
    }
}

/// E-R16: a panic costs one answer, which says so; it is counted, and the edge goes on.
#[test]
fn a_panic_is_answered() {
    let world = World::with_plugin("panicking", |_| Ok(Arc::new(Panicking)));
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for target in ["/p2/acme/none.json", &dist_path("1.0.0.0", 1)] {
        for _ in 0..3 {
            let answer = customer.get(target);
            assert_eq!((answer.status, answer.field("connection")), (500, Some("close")), "{target}");
            assert!(answer.warning().contains("Try again"));
        }
        assert_eq!(customer.get("/p2/acme/pay.json").status, 200);
    }
    // Panics of other tests in this process are counted here too.
    assert!(super::metrics::panics(&world) >= 6);
}

/// E-R3: an idle connection ends, also after a request; Pingora alone would keep it for ever.
#[test]
fn idle_connections_end() {
    let world = World::with(|config| config.limits.keep_alive = Duration::from_secs(1));
    let mut connection = world.connect();
    let started = std::time::Instant::now();
    assert_eq!(connection.request("GET", "/healthz", &[("Host", HOST), ("Keep-Alive", "timeout=600")]).status, 200);
    assert_eq!(connection.request("GET", "/healthz", &[("Host", HOST)]).status, 200);
    assert!(connection.is_closed());
    assert!((1..10).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

/// E-R17, the total cap: further connections are closed, those that are there go on.
#[test]
fn connections_are_bounded() {
    let world = World::with(|config| config.limits.connections = 2);
    let mut there = [world.connect(), world.connect()];
    for connection in &mut there {
        assert_eq!(connection.request("GET", "/healthz", &[("Host", HOST)]).status, 200);
    }
    assert!(world.connect().is_closed());
    let [first, second] = &mut there;
    assert_eq!(first.request("GET", "/healthz", &[("Host", HOST)]).status, 200);
    assert_eq!(second.request("GET", "/healthz", &[("Host", HOST), ("Connection", "close")]).status, 200);
    assert!(second.is_closed());
    super::world::eventually("a place became free", || {
        let mut connection = world.connect();
        connection.send(format!("GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes());
        connection.try_receive(false).is_some_and(|response| response.status == 200)
    });
}

/// An idle connection holds up the end no longer than the drain lasts, and a listener's address is free at once.
#[test]
fn stopping() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let mut idle = world.connect();
    assert_eq!(idle.request("GET", "/packages.json", &[("Host", HOST), ("Authorization", &basic)]).status, 200);
    let address = world.address;
    let started = std::time::Instant::now();
    drop(world);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(idle.is_closed());
    std::net::TcpListener::bind(address).unwrap();
}
