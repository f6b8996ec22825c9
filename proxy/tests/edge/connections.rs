//! HTTP/1 connections: what is read from the wire, how long anybody may take, and that one request is never taken for another.

use std::time::{Duration, Instant};

use super::metrics::connections;
use super::world::{HOST, World, dist_path, eventually, grant};

fn question(target: &str, basic: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {basic}\r\n{more}\r\n")
}

/// E-S1, E-S3, E-S4, E-S5, E-S10, E-P3, E-P4, E-P6, E-P11: refused before anybody else reads them, and the connection ends.
#[test]
fn malformed_heads() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let post =
        |fields: &str| format!("POST /downloads HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {basic}\r\n{fields}\r\n");
    for request in [
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        post("Content-Length: 0\r\nContent-Length: 0\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        post("Transfer-Encoding: identity, chunked\r\n"),
        question("/packages.json", &basic, "A: b\n"),
        question("/packages.json", &basic, "A: b\r\n c\r\n"),
        question("/packages.json", &basic, "A : b\r\n"),
        question("/packages.json", &basic, "A: \u{1}\r\n"),
        question("/packages.json\0", &basic, ""),
        question("/packages .json", &basic, ""),
        question("/packages.json#a", &basic, ""),
        question("/päckages.json", &basic, ""),
        question("/packages.json", &basic, "").replace("HTTP/1.1", "HTTP/1.2"),
        question("/packages.json", &basic, "").replace("\r\n", "\n"),
        question("/packages.json", &basic, "").replacen(' ', "\t", 2),
    ] {
        let mut connection = world.connect();
        connection.send(request.as_bytes());
        let response = connection.receive(false);
        assert_eq!((response.status, response.field("connection")), (400, Some("close")), "{request:?}");
        assert!(connection.is_closed(), "{request:?}");
    }
    assert_eq!(customer.get("/packages.json").status, 200);
}

/// E-R1, E-R2, E-R3.
#[test]
fn nobody_holds_a_connection() {
    let world = World::with(|config| {
        config.limits.head = Duration::from_secs(1);
        config.limits.keep_alive = Duration::from_secs(2);
    });
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let ended = |mut connection: super::client::Connection| {
        let start = Instant::now();
        assert!(connection.is_closed());
        start.elapsed()
    };
    let silent = ended(world.connect());
    assert!((Duration::from_millis(800)..Duration::from_secs(6)).contains(&silent), "{silent:?}");

    let mut dripping = world.connect();
    let start = Instant::now();
    dripping.send(b"GET /p2/");
    for byte in "a".repeat(100).bytes() {
        // A read of the client would end the wait; that the edge takes no more is seen by writing.
        if dripping.try_send(&[byte]).is_err() {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(dripping.is_closed());

    let mut idle = world.connect();
    idle.send(question("/packages.json", &basic, "Keep-Alive: timeout=600\r\n").as_bytes());
    assert_eq!(idle.receive(false).status, 200);
    let idle = ended(idle);
    assert!((Duration::from_millis(1_800)..Duration::from_secs(8)).contains(&idle), "{idle:?}");
}

/// E-S7, E-S8, E-S9: each is answered as who it is, in order, or not at all.
#[test]
fn several_at_once() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let mut connection = world.connect();
    let (good, bad) = (question("/p2/acme/pay.json", &basic, ""), question("/p2/acme/pay.json", "Basic eDp5", ""));
    connection.send(format!("{good}{bad}{good}").as_bytes());
    let statuses: Vec<u16> = (0..3).map(|_| connection.receive(false).status).collect();
    assert_eq!(statuses, [200, 401, 200]);
    // What follows a body, or a change of protocol, is not taken for a request.
    for first in [
        format!("POST /downloads HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 2\r\n\r\n{{}}"),
        question("/p2/acme/pay.json", "Basic eDp5", "Upgrade: h2c\r\nConnection: Upgrade\r\n"),
    ] {
        let mut connection = world.connect();
        connection.send(format!("{first}{good}").as_bytes());
        assert_eq!(connection.receive(false).status, 401, "{first}");
        let second = connection.try_receive(false).map(|response| response.status);
        assert!(matches!(second, None | Some(200)), "{first}: {second:?}");
    }
}

/// An answer does not show whether Pingora read the request, nor does a connection end because the next one is another's to read.
#[test]
fn both_ways_are_one() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let mut connection = world.connect();
    let reference = dist_path("1.0.0.0", 1);
    for target in ["/packages.json", "/p2/acme/pay.json", "/p2/acme/none.json", "/list.json", &reference, "/dist/x"] {
        for fields in ["", "Accept-Encoding: gzip\r\n", "Range: bytes=0-3\r\n"] {
            for method in ["GET", "HEAD", "DELETE"] {
                let mut ask = |more: &str| {
                    let request = question(target, &basic, &format!("{fields}{more}")).replacen("GET", method, 1);
                    connection.send(request.as_bytes());
                    let mut response = connection.receive(method == "HEAD").without_date();
                    response.fields.sort();
                    response
                };
                let (own, pingoras) = (ask(""), ask("Content-Length: 0\r\n"));
                assert_eq!(own, pingoras, "{method} {target} {fields}");
            }
        }
    }
}

/// A head may come in as many pieces as it likes.
#[test]
fn pieces() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let mut connection = world.connect();
    for byte in question("/p2/acme/pay.json", &customer.basic(), "").bytes() {
        connection.send(&[byte]);
    }
    assert_eq!(connection.receive(false).status, 200);
}

/// E-R17.
#[test]
fn connections_of_one_address() {
    let world = World::with(|config| config.limits.connections_per_address = 3);
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let mut held: Vec<_> = (0..3).map(|_| world.connect()).collect();
    for connection in &mut held {
        connection.send(question("/packages.json", &basic, "").as_bytes());
        assert_eq!(connection.receive(false).status, 200);
    }
    assert!(world.connect().is_closed());
    held.pop();
    eventually("a place is free", || {
        let mut connection = world.connect();
        connection.try_send(question("/packages.json", &basic, "").as_bytes()).is_ok()
            && connection.try_receive(false).is_some_and(|response| response.status == 200)
    });
}

/// E-R6: whoever asks for much and reads nothing is cut, however much of it is left.
#[test]
fn a_client_that_does_not_read() {
    let world = World::with(|config| {
        config.limits.stall = Duration::from_secs(1);
        config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    });
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {}\r\n\r\n",
        dist_path("1.0.0.0", 1),
        customer.basic()
    );
    // 27 MB: more than systems keep for a connection.
    let mut deaf = world.connect();
    deaf.send(head.repeat(90).as_bytes());
    eventually("it is being served", || connections(&world) == 1);
    eventually("it is cut", || connections(&world) == 0);
    assert_eq!(customer.get("/packages.json").status, 200);
    drop(deaf);
}
