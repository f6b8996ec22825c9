//! HTTP/2: what goes through to the control plane, and clients that do harm.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::metrics::connections;
use super::tls::{client, world_with};
use super::world::{HOST, World, dist_path, eventually, grant, reference};

fn world(folder: &Path) -> World {
    world_with(folder, |config| config.tls.redirect = false)
}

fn browser(world: &World) -> reqwest::blocking::Client {
    let builder = reqwest::blocking::Client::builder().no_proxy().danger_accept_invalid_certs(true);
    builder.resolve(HOST, world.tls_address()).build().unwrap()
}

fn url(world: &World, path: &str) -> String {
    format!("https://{HOST}:{}{path}", world.tls_address().port())
}

/// What the control plane answers takes the way of HTTP/1, with body, query, fields and address.
#[test]
fn passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let browser = browser(&world);
    let large = "x".repeat(300_000);
    for (method, path, body) in [
        ("POST", "/api/v1/customers?wait=true", "{\"name\":\"x\"}"),
        ("PATCH", "/graphql", ""),
        ("PUT", "/api/v1/large", large.as_str()),
        ("DELETE", "/api/v1/x", ""),
        ("GET", "/api/v1/packages/acme/pay/yank/dev-a%2Fb", ""),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = browser.request(method.clone(), url(&world, path)).body(body.to_owned());
        let request = request.header("x-forwarded-for", "192.0.2.7").header("x-cargoman-edge", "cme_forged");
        let answer = request.header("idempotency-key", "k1").send().unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200), "{method} {path}");
        assert!(answer.headers().get("connection").is_none() && answer.headers().get("transfer-encoding").is_none());
        let seen = answer.text().unwrap();
        assert!(seen.starts_with(&format!("{method} {path}\n")), "{}", seen.get(..200).unwrap_or(&seen));
        assert!(seen.ends_with(body), "{method} {path}");
        for line in
            ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https", "idempotency-key: k1", "host: acme.example"]
        {
            assert!(seen.lines().any(|there| there.starts_with(line)), "{line}\n{}", seen.get(..900).unwrap_or(&seen));
        }
        assert!(!seen.contains("cme_forged"));
    }
    // A report of Composer's, too large a one, and one that is none.
    let basic = world.customer(vec![grant("acme/pay", "*")]).basic();
    let report = |body: String| {
        let request = browser.post(url(&world, "/downloads")).header("authorization", &basic).body(body);
        request.send().unwrap().status().as_u16()
    };
    assert_eq!(report("{\"downloads\":[{\"name\":\"acme/pay\",\"version\":\"1.0.0.0\"}]}".to_owned()), 201);
    assert_eq!(report("{".to_owned()), 400);
    assert_eq!(report("x".repeat(2 << 20)), 413);
}

/// A connection below h2: frames as they are.
struct Raw {
    tls: StreamOwned<ClientConnection, TcpStream>,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// `GET https://acme.example/packages.json`, without any compression.
fn question() -> Vec<u8> {
    let mut block = vec![0x82, 0x87];
    for (index, text) in [(0x04, "/packages.json"), (0x01, HOST)] {
        block.extend_from_slice(&[index, u8::try_from(text.len()).unwrap()]);
        block.extend_from_slice(text.as_bytes());
    }
    block
}

impl Raw {
    fn open(world: &World) -> Self {
        let mut config = ClientConfig::clone(&client());
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(world.tls_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
        tls.write_all(PREFACE).unwrap();
        tls.write_all(&frame(4, 0, 0, &[])).unwrap();
        Self { tls }
    }

    /// Whether they were taken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.tls.write_all(bytes).and_then(|()| self.tls.flush()).is_ok()
    }

    /// Reads until the other side is done; whether it was within the time.
    fn is_ended_within(&mut self, limit: Duration) -> bool {
        let start = Instant::now();
        self.tls.sock.set_read_timeout(Some(limit)).unwrap();
        let mut buffer = [0; 16 << 10];
        loop {
            match self.tls.read(&mut buffer) {
                Ok(1..) if start.elapsed() < limit => {}
                Ok(1..) => return false,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
                Ok(0) | Err(_) => return true,
            }
        }
    }
}

impl Raw {
    /// Answers pings until the other side is done; whether it said that it would be.
    fn says_goodbye(mut self) -> bool {
        let mut said = false;
        loop {
            let mut head = [0; 9];
            if self.tls.read_exact(&mut head).is_err() {
                return said;
            }
            let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
            self.tls.read_exact(&mut payload).unwrap();
            match (head[3], head[4]) {
                (6, 0) => assert!(self.send(&frame(6, 1, 0, &payload))),
                (7, _) => said = true,
                _ => {}
            }
        }
    }
}

/// E-R8, E-R10, E-R11, E-R12, E-R13: each ends the connection, and others are served meanwhile.
#[test]
fn floods() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let odd = |number: u32| 2 * number + 1;
    type Flood = Box<dyn Fn(u32) -> Vec<u8>>;
    let floods: [(&str, Flood); 9] = [
        (
            "resets",
            Box::new(move |number| {
                let begun = frame(1, END_HEADERS | END_STREAM, odd(number), &question());
                [begun, frame(3, 0, odd(number), &8_u32.to_be_bytes())].concat()
            }),
        ),
        (
            "continuations",
            Box::new(|number| match number {
                0 => frame(1, END_STREAM, 1, &question()),
                _ => frame(9, 0, 1, &[]),
            }),
        ),
        (
            "empty data",
            Box::new(|number| match number {
                // A POST whose body never begins.
                0 => frame(1, END_HEADERS, 1, &[&[0x83][..], &question()[1..]].concat()),
                _ => frame(0, 0, 1, &[]),
            }),
        ),
        (
            "windows of nothing",
            Box::new(move |number| match number % 2 {
                0 => frame(1, END_HEADERS | END_STREAM, odd(number / 2), &question()),
                _ => frame(8, 0, odd(number / 2), &0_u32.to_be_bytes()),
            }),
        ),
        ("pings", Box::new(|_| frame(6, 0, 0, &[7; 8]))),
        ("settings", Box::new(|_| frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]))),
        ("windows", Box::new(|_| frame(8, 0, 0, &1_u32.to_be_bytes()))),
        ("priorities", Box::new(|_| frame(2, 0, 3, &[0, 0, 0, 0, 16]))),
        ("unknown frames", Box::new(|_| frame(77, 0, 0, b"hello"))),
    ];
    for (name, flood) in floods {
        let mut raw = Raw::open(&world);
        let mut number = 0;
        while number < 40_000 {
            let many: Vec<u8> = (number..number + 50).flat_map(&flood).collect();
            if !raw.send(&many) {
                break;
            }
            number += 50;
        }
        assert!(raw.is_ended_within(Duration::from_secs(10)), "{name}: it goes on after {number} frames");
        assert_eq!(customer.get("/packages.json").status, 200, "{name}");
    }
}

/// E-R9, E-R14: more streams than there may be, and a head that is small on the wire and large in memory.
#[test]
fn too_much_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let mut many = Raw::open(&world);
    for number in 0..1_650 {
        let begun = frame(1, END_HEADERS, 2 * number + 1, &[&[0x83][..], &question()[1..]].concat());
        if !many.send(&begun) {
            break;
        }
    }
    assert!(many.is_ended_within(Duration::from_secs(10)), "1,650 open streams");
    let mut bomb = question();
    // A field of 4,000 bytes that goes into the table, and then three bytes for each time it stands in the head again.
    bomb.extend_from_slice(&[0x40, 1, b'a', 0x7f, 0xa1, 0x1e]);
    bomb.extend(std::iter::repeat_n(b'v', 4_000));
    bomb.extend(std::iter::repeat_n(0xbe, 8_000));
    let before = resident();
    let mut raw = Raw::open(&world);
    raw.send(&frame(1, END_HEADERS | END_STREAM, 1, &bomb));
    raw.is_ended_within(Duration::from_secs(1));
    assert!(resident() < before + (16 << 20), "32 MB of fields were kept");
    assert_eq!(customer.get("/packages.json").status, 200);
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// E-R6, E-R15: whoever asks and does not take is cut, and so is whoever asks nothing.
#[test]
fn silent_clients() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_with(folder.path(), |config| {
        config.tls.redirect = false;
        config.limits.keep_alive = Duration::from_secs(1);
        config.limits.stall = Duration::from_secs(1);
        config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    });
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let mut idle = Raw::open(&world);
    assert!(idle.is_ended_within(Duration::from_secs(8)), "an idle connection");
    let mut block = vec![0x82, 0x87];
    for (index, text) in [(0x04, dist_path("1.0.0.0", 1)), (0x01, HOST.to_owned())] {
        block.extend_from_slice(&[index, u8::try_from(text.len()).unwrap()]);
        block.extend_from_slice(text.as_bytes());
    }
    // `authorization`, number 23 of the table.
    let basic = customer.basic();
    block.extend_from_slice(&[0x0f, 0x08, u8::try_from(basic.len()).unwrap()]);
    block.extend_from_slice(basic.as_bytes());
    // It gives no room for any byte of a body: the stream ends, then the idle connection.
    let mut shut = Raw::open(&world);
    shut.send(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    shut.send(&frame(1, END_HEADERS | END_STREAM, 1, &block));
    assert!(!shut.is_ended_within(Duration::from_millis(200)));
    assert!(shut.is_ended_within(Duration::from_secs(10)), "a window that stays shut");
    // All the room there is, and it reads nothing: what fits into the system's buffers is all it gets.
    let mut deaf = Raw::open(&world);
    deaf.send(
        &[frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]), frame(8, 0, 0, &0x7000_0000_u32.to_be_bytes())].concat(),
    );
    for number in 0..90 {
        deaf.send(&frame(1, END_HEADERS | END_STREAM, 2 * number + 1, &block));
    }
    eventually("a connection that nobody reads is cut", || connections(&world) == 0);
    assert_eq!(customer.get("/packages.json").status, 200);
    drop(deaf);
}

/// A stream that is being answered is answered to its end; then the connection is told that it is over.
#[test]
fn stopping_lets_streams_end() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path());
    let (bytes, _, source) = world.put_large();
    let basic = world.customer(vec![grant("acme/large", "*")]).basic();
    let browser = browser(&world);
    let path = format!("/dist/acme/large/1.0.0.0/{}.zip", reference(9));
    let mut answer = browser.get(url(&world, &path)).header("authorization", &basic).send().unwrap();
    let mut begun = vec![0; 1_000_000];
    answer.read_exact(&mut begun).unwrap();
    // An idle one is told at once.
    let mut idle = Raw::open(&world);
    assert!(idle.send(&frame(1, END_HEADERS | END_STREAM, 1, &question())));
    world.begin_stop();
    assert!(idle.says_goodbye(), "GOAWAY, and the end");
    source.send_replace(usize::MAX);
    answer.read_to_end(&mut begun).unwrap();
    assert!(begun == bytes);
    assert!(browser.get(url(&world, "/packages.json")).send().is_err(), "nobody listens any more");
}
