//! What the control plane answers, and what reaches it; reports of installs come in.

use cargoman_edge_protocol::{Tenant, UsageEvent};

use super::world::{HOST, World, acme, dist_path, eventually, grant, name, tenant_id};

fn lines(text: &str, name: &str) -> Vec<String> {
    let prefix = format!("{name}: ");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
}

/// Only we say who asks: what a client sends under our names, or about itself, goes no further.
#[test]
fn our_own_fields() {
    let world = World::new();
    let fields = [
        ("Host", "ACME.example:8080"),
        ("Authorization", "Bearer cma_something"),
        ("X-Cargoman-Edge", "cme_forged"),
        ("x-cargoman-edge-tenant", "00000000000000000000000000000002"),
        ("X-CARGOMAN-Tenant", "other"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=192.0.2.1"),
        ("Idempotency-Key", "k1"),
    ];
    let response = world.connect().request("GET", "/api/v1/packages/acme/pay/yank/dev-a%2Fb?wait=true", &fields);
    assert_eq!((response.status, response.field("x-upstream")), (200, Some("yes")));
    let seen = response.text();
    assert!(seen.starts_with("GET /api/v1/packages/acme/pay/yank/dev-a%2Fb?wait=true\n"), "{seen}");
    for (name, expected) in [
        ("x-cargoman-edge", vec![world.fake.credential.as_str()]),
        ("x-cargoman-edge-tenant", vec!["00000000000000000000000000000001"]),
        ("x-cargoman-tenant", vec![]),
        ("x-forwarded-for", vec!["127.0.0.1"]),
        ("x-forwarded-host", vec!["acme.example"]),
        ("x-forwarded-proto", vec!["http"]),
        ("forwarded", vec![]),
        ("host", vec!["acme.example"]),
        ("authorization", vec!["Bearer cma_something"]),
        ("idempotency-key", vec!["k1"]),
    ] {
        assert_eq!(lines(&seen, name), expected, "{name}\n{seen}");
    }
}

#[test]
fn bodies_methods_and_pages() {
    let world = World::new();
    let mut connection = world.connect();
    for (method, target) in
        [("POST", "/api/v1/customers"), ("PATCH", "/graphql"), ("DELETE", "/api/v1/x"), ("PUT", "/")]
    {
        let body = "{\"name\":\"x\"}";
        connection.send(
            format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .as_bytes(),
        );
        let response = connection.receive(false);
        assert!(response.text().starts_with(&format!("{method} {target}\n")), "{}", response.text());
        assert!(response.text().ends_with(body));
    }
    let unknown = world.connect().request("GET", "/api/v1/x", &[("Host", "elsewhere.example")]);
    assert_eq!(unknown.status, 400);
    // The public API of a suspended tenant is the control plane's to refuse.
    world.put_tenant(HOST, Tenant { suspended: Some("Closed.".to_owned()), ..acme() });
    assert_eq!(world.connect().request("GET", "/api/v1/x", &[("Host", HOST)]).status, 200);
}

#[test]
fn a_trusted_proxy_is_believed() {
    let world = World::with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let fields = [("Host", HOST), ("X-Forwarded-For", "203.0.113.5, 198.51.100.1"), ("X-Forwarded-Proto", "https")];
    let seen = world.connect().request("GET", "/api/v1/x", &fields).text();
    assert_eq!(lines(&seen, "x-forwarded-for"), ["198.51.100.1"]);
    assert_eq!(lines(&seen, "x-forwarded-proto"), ["https"]);
}

#[test]
fn the_public_api_is_away() {
    // A port that was free a moment ago: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world =
        World::with(|config| config.control_plane.public_urls = vec![format!("http://{free}").parse().unwrap()]);
    let response = world.connect().request("GET", "/api/v1/x", &[("Host", HOST)]);
    assert_eq!((response.status, response.field("content-type")), (503, Some("application/json")));
    assert_eq!(response.json()["error"]["code"], "UNAVAILABLE");
}

/// E-S6: a body that breaks its own framing is the client's fault, and no second request.
#[test]
fn a_body_with_broken_chunks() {
    let world = World::new();
    let mut connection = world.connect();
    let head = format!("POST /api/v1/x HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(format!("{head}zz\r\nGET /evil HTTP/1.1\r\n\r\n").as_bytes());
    assert_eq!(connection.receive(false).status, 400);
    assert!(connection.is_closed());
}

#[test]
fn installs_are_reported() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let body = r#"{"downloads":[{"name":"acme\/pay","version":"1.0.0.0"},{"name":"Acme/Pay","version":"2.0.0.0","downloaded":12},
        {"name":"acme/secret","version":"1.0.0.0"},{"name":"no name","version":"1"},{"name":"acme/pay","version":"bad\u0007"}]}"#;
    let response = customer.post("/downloads", body);
    assert_eq!((response.status, response.text().as_str()), (201, "{\"status\":\"success\"}"));
    eventually("the report", || !world.fake.events().is_empty());
    let UsageEvent::Installed(report) = world.fake.events().remove(0) else { panic!("{:?}", world.fake.events()) };
    assert_eq!((report.tenant, report.token.as_str()), (tenant_id(1), "tok_id_1"));
    assert_eq!(report.installs, ["1.0.0.0", "2.0.0.0"].map(|version| (name("acme/pay"), version.to_owned())));
    assert_eq!(report.address, Some("127.0.0.1".parse().unwrap()));

    assert_eq!(customer.post("/downloads", "no json").status, 400);
    assert_eq!(customer.post("/downloads", "{\"downloads\":[]}").status, 201);
    let anonymous = world.connect().request("POST", "/downloads", &[("Host", HOST), ("Content-Length", "0")]);
    assert_eq!(anonymous.status, 401);
}

/// E-R19: nothing that a client sends is expanded; what it says it is, is taken at its word.
#[test]
fn a_compressed_report() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for coding in ["gzip", "br", "gzip, gzip", "zstd"] {
        let mut connection = world.connect();
        let request = format!(
            "POST /downloads HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {}\r\nContent-Encoding: {coding}\r\nContent-Length: 4\r\n\r\nabcd",
            customer.basic()
        );
        connection.send(request.as_bytes());
        assert_eq!(connection.receive(false).status, 415, "{coding}");
    }
}

#[test]
fn a_report_that_is_too_large_or_waits_to_be_asked_for() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let head = |length: usize, more: &str| {
        format!(
            "POST /downloads HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {}\r\nContent-Length: {length}\r\n{more}\r\n",
            customer.basic()
        )
    };
    let mut connection = world.connect();
    connection.send(head((1 << 20) + 1, "").as_bytes());
    assert_eq!(connection.receive(false).status, 413);
    assert!(connection.is_closed());

    let body = "{\"downloads\":[]}";
    let mut connection = world.connect();
    connection.send(head(body.len(), "Expect: 100-continue\r\n").as_bytes());
    assert_eq!(connection.receive(true).status, 100);
    connection.send(body.as_bytes());
    assert_eq!(connection.receive(false).status, 201);
}

/// What one instance of the control plane does not answer, another one does.
#[test]
fn another_instance_answers() {
    let gone = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
    };
    let world = World::with(|config| {
        config.control_plane.edge_urls.insert(0, gone());
        config.control_plane.public_urls.insert(0, gone());
    });
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for _ in 0..3 {
        assert_eq!(customer.get("/p2/acme/pay.json").status, 200);
        assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 200);
        assert_eq!(customer.get("/api/v1/packages").field("x-upstream"), Some("yes"));
    }
}
