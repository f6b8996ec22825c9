//! What is refused before anything is looked up, on a real connection.

use super::world::{HOST, World, grant};

/// E-A1, E-H2, E-H4, E-H6, E-H7, E-H8, E-P2, E-P3, E-P5, E-P6, E-P9, E-R5, E-S1, E-S3: 400-class, and the connection ends.
#[test]
fn malformed_requests() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let token = format!("Authorization: {}\r\n", customer.basic());
    let host = format!("Host: {HOST}\r\n");
    let long = format!("GET /p2/{} HTTP/1.1\r\n{host}{token}\r\n", "a".repeat(3_000));
    let large = format!("GET / HTTP/1.1\r\n{host}X: {}\r\n\r\n", "a".repeat(20_000));
    for (request, status) in [
        (format!("GET /packages.json HTTP/1.1\r\n{host}{token}{token}\r\n"), 400),
        (format!("GET /packages.json HTTP/1.1\r\n{token}\r\n"), 400),
        (format!("GET /packages.json HTTP/1.0\r\n{token}\r\n"), 400),
        (format!("GET /packages.json HTTP/1.1\r\nHost:\r\n{token}\r\n"), 400),
        (format!("GET /packages.json HTTP/1.1\r\n{host}{host}{token}\r\n"), 400),
        (format!("GET /packages.json HTTP/1.1\r\nHost: a.example, b.example\r\n{token}\r\n"), 400),
        (format!("GET /packages.json HTTP/1.1\r\nHost: acme_.example\r\n{token}\r\n"), 400),
        (format!("GET http://other.example/packages.json HTTP/1.1\r\n{host}{token}\r\n"), 400),
        (format!("GET http://{HOST}/packages.json HTTP/1.1\r\n{token}\r\n"), 400),
        (format!("GET packages.json HTTP/1.1\r\n{host}{token}\r\n"), 400),
        (format!("GET ?x HTTP/1.1\r\n{host}{token}\r\n"), 400),
        (format!("GET /p2/acme/%2e%2e/pay.json HTTP/1.1\r\n{host}{token}\r\n"), 400),
        (format!("GET /p2/acme%2fpay.json HTTP/1.1\r\n{host}{token}\r\n"), 400),
        (format!("GET /p2/acme/pay.json%00 HTTP/1.1\r\n{host}{token}\r\n"), 400),
        (format!("GET /api/%2e%2e/p2 HTTP/1.1\r\n{host}{token}\r\n"), 400),
        (format!("GET /packages.json HTTP/1.1\r\n{host}{token}Content-Length: 3\r\n\r\nabc"), 400),
        (format!("GET /packages.json HTTP/1.1\r\n{host}{token}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400),
        (format!("POST /downloads HTTP/1.1\r\n{host}{token}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}"), 400),
        (long, 414),
        (large, 431),
    ] {
        let mut connection = world.connect();
        connection.send(request.as_bytes());
        let response = connection.receive(false);
        let shown = request.get(..80).unwrap_or(&request);
        assert_eq!(response.status, status, "{shown}");
        assert!(connection.is_closed(), "{shown}");
    }
    // The edge goes on.
    assert_eq!(customer.get("/packages.json").status, 200);
}

/// E-H1, E-H6, E-P8: other ways to write the same.
#[test]
fn equal_requests() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let expected = customer.get("/p2/acme/pay~dev.json").without_date();
    for (host, target) in [
        ("ACME.example", "/p2/acme/pay~dev.json"),
        ("acme.example.", "/p2/acme/pay~dev.json"),
        ("acme.example:8080", "/p2/acme/pay~dev.json"),
        ("acme.example", "/p2/acme/pay%7Edev.json"),
        ("acme.example", "/p2/acme/pay~dev.json?token=x"),
        ("acme.example", "http://acme.example/p2/acme/pay~dev.json"),
    ] {
        let fields = [("Host", host), ("Authorization", basic.as_str())];
        assert_eq!(world.connect().request("GET", target, &fields).without_date(), expected, "{host} {target}");
    }
}

/// E-P1, E-P7: 404 with a token, 401 without, and never the same as the clean path.
#[test]
fn paths_that_name_nothing() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for target in [
        "//x/p2/acme/pay.json",
        "/p2//acme/pay.json",
        "/./p2/acme/pay.json",
        "/p2/../x",
        "/p2/acme/pay.json/",
        "/p2/Acme/Pay.json",
        "/changes.json",
    ] {
        assert_eq!(customer.get(target).status, 404, "{target}");
        assert_eq!(world.connect().request("GET", target, &[("Host", HOST)]).status, 401, "{target}");
    }
}

#[test]
fn unknown_hosts() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    for host in ["elsewhere.example", "127.0.0.1", "localhost"] {
        let response = world.connect().request("GET", "/packages.json", &[("Host", host), ("Authorization", &basic)]);
        assert_eq!(response.status, 400, "{host}");
        assert!(response.warning().contains("host name"));
    }
}

/// Registry routes take what they take.
#[test]
fn methods() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PURGE", "get"] {
        let response = customer.ask(method, "/p2/acme/pay.json", &[]);
        assert_eq!((response.status, response.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let response = customer.get("/downloads");
    assert_eq!((response.status, response.field("allow")), (405, Some("POST")));
}
