//! One request hidden in another: whatever the framing says, nobody gets the answer to a request that he did not make.

use cargoman_testkit::random::Random;
use cargoman_testkit::{full, seed};

use super::world::{HOST, World, grant};

/// E-S2: a length is one number.
#[test]
fn lengths() {
    let world = World::new();
    for length in ["2\r\nContent-Length: 3", "+2", "-1", "0x2", "2 ", "2,2", "99999999999999999999", "", "٢"] {
        let mut connection = world.connect();
        let request = format!("POST /api/v1/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n{{}}");
        connection.send(request.as_bytes());
        // Spaces around a value are no part of it.
        let expected = if length == "2 " { 200 } else { 400 };
        assert_eq!(connection.receive(false).status, expected, "{length:?}");
    }
}

/// E-S11: nobody takes our own fields away by naming them as the connection's.
#[test]
fn fields_of_the_connection() {
    let world = World::new();
    for named in ["X-Cargoman-Edge", "X-Cargoman-Edge-Tenant, X-Forwarded-For", "Host", "X-Forwarded-Proto, close"] {
        let fields = [("Host", HOST), ("Connection", named), ("X-Forwarded-For", "192.0.2.1")];
        let response = world.connect().request("GET", "/api/v1/x", &fields);
        if response.status == 400 {
            continue;
        }
        let seen = response.text();
        for ours in [
            format!("x-cargoman-edge: {}", world.fake.credential),
            "x-cargoman-edge-tenant: 00000000000000000000000000000001".to_owned(),
            "x-forwarded-for: 127.0.0.1".to_owned(),
            format!("host: {HOST}"),
        ] {
            assert!(seen.lines().any(|line| line == ours), "{named}: {ours} is missing in\n{seen}");
        }
    }
}

/// E-S12: framing of every kind around a hidden request, and one of the client's own behind it. What is hidden is never answered;
/// the one behind gets its own answer or none.
#[test]
fn desynchronisation() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let canary = format!("GET /p2/acme/pay.json HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {basic}\r\n\r\n");
    let hidden = format!("GET /list.json HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {basic}\r\nX: ");
    let mut random = Random::new(seed());
    let rounds = if full() { 100_000 } else { 1_500 };
    for round in 0..rounds {
        let request = attack(&mut random, &basic, &hidden);
        let mut connection = world.connect();
        // The edge may have ended the connection in the middle of it.
        let _ = connection.try_send(request.as_bytes()).and_then(|()| connection.try_send(canary.as_bytes()));
        let shown = format!("round {round}: {request:?}");
        let is_head = request.starts_with("HEAD");
        let Some(first) = connection.try_receive(is_head) else {
            // It may be gone before it was read, with what it was told.
            continue;
        };
        assert!(!first.text().contains("packageNames"), "the hidden one was answered. {shown}");
        if first.field("connection") == Some("close") {
            // The rest of a body that HEAD does not wait for, if the head could not be read.
            let rest = String::from_utf8_lossy(&connection.read(usize::MAX)).into_owned();
            assert!(!rest.contains("HTTP/1.1") && !rest.contains("packageNames"), "{rest}: {shown}");
        } else if first.status != 100
            && let Some(second) = connection.try_receive(false)
        {
            assert!(second.status == 200 && second.text().contains("acme/pay"), "{}: {shown}", second.status);
        }
    }
    assert_eq!(customer.get("/packages.json").status, 200);
}

/// A body with a request in it, and how it is framed: rightly, or in a way that two programs could read differently.
fn attack(random: &mut Random, basic: &str, hidden: &str) -> String {
    let method = random.pick(&["GET", "POST", "HEAD", "PUT"]);
    let target = random.pick(&[
        "/downloads",
        "/p2/acme/none.json",
        "/packages.json",
        "/api/v1/x",
        "/",
        "/list.json/",
        "/dist/x",
    ]);
    let more = random.pick(&["", "Keep-Alive: timeout=5\r\n", "X-Pad: a\r\n", "Connection: keep-alive\r\n"]);
    let whole = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let (early, plain) = (format!("0\r\n\r\n{hidden}"), hidden.to_owned());
    let (framing, body) = match random.below(3) {
        0 => (
            *random.pick(&[
                "Content-Length: {n}",
                "Content-Length: 0{n}",
                "Connection: Content-Length\r\nContent-Length: {n}",
                "Expect: 100-continue\r\nContent-Length: {n}",
                "Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: {n}",
            ]),
            plain,
        ),
        1 => (
            *random.pick(&[
                "Transfer-Encoding: chunked",
                "Transfer-Encoding:\tchunked",
                "transfer-encoding: Chunked",
                "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
            ]),
            whole,
        ),
        _ => {
            let framing = *random.pick(&[
                "Transfer-Encoding : chunked",
                "Transfer-Encoding: xchunked",
                "Transfer-Encoding: chunked, identity",
                "Transfer-Encoding: chunked\r\nContent-Length: {n}",
                "Content-Length: {n}\r\nTransfer-Encoding: chunked",
                "Content-Length: 0\r\nTransfer-Encoding: chunked",
                "Content-Length: {n}\r\nTransfer-encoding: identity",
                "Content-Length: {n}\r\nContent-Length: 0",
                "Content-Length: 0, {n}",
                "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: {n}",
                "Content-Length: {n}\nTransfer-Encoding: chunked",
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "Transfer-Encoding: \u{b}chunked",
            ]);
            (framing, random.pick(&[whole, early, plain]).clone())
        }
    };
    let framing = framing.replace("{n}", &body.len().to_string());
    format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {basic}\r\n{more}{framing}\r\n\r\n{body}")
}
