//! Rolling restarts of everything, two control planes and three edges, while clients ask 200 times a second and never ask twice for
//! one answer: nobody is refused. Once on sockets that their parent holds, as systemd does, and once behind a balancer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cargoman_testkit::cargoman::ADMIN_TOKEN;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::raw_http::{self, Connection, Response};
use cargoman_tests::apart::{Program, control_plane, credential, edge};
use cargoman_tests::balancer::Balancer;
use cargoman_tests::scale_out::{Link, P2};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
/// Clients, and how often each asks: 200 requests a second together.
const CLIENTS: usize = 8;
const EVERY: Duration = Duration::from_millis(40);
/// Requests between two restarts.
const BETWEEN: usize = 100;

/// Clients that ask until it is over.
#[derive(Default)]
struct Clients {
    done: AtomicBool,
    asked: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Clients {
    /// Asks one of `addresses` for one of `paths`. Every other client keeps its connection for as long as it is let.
    fn ask(&self, number: usize, address: &str, paths: &[&str], token: &str) {
        let (mut kept, mut next): (Option<Connection>, _) = (None, Instant::now());
        let mut turn = number;
        while !self.done.load(Ordering::Acquire) {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next += EVERY;
            turn += 1;
            let path = paths[turn % paths.len()];
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
            self.asked.fetch_add(1, Ordering::AcqRel);
            let opened = kept.take().map_or_else(|| Connection::try_open(address), Ok);
            let wrong = match opened.and_then(|mut open| Ok((open.send(&request).try_response("GET")?, open))) {
                Ok((answer, open)) if answer.status == 200 => {
                    if number.is_multiple_of(2) && answer.header("connection") != Some("close") {
                        kept = Some(open);
                    }
                    continue;
                }
                Ok((answer, _)) => format!("{path}: {}: {}", answer.status_line, String::from_utf8_lossy(&answer.body)),
                Err(error) => format!("{path} at {address}: {error}"),
            };
            self.wrong.lock().unwrap().push(wrong);
        }
    }

    /// Runs `restarts` while all of them ask. Each of them is given a way to wait until some more requests were answered.
    fn over(&self, addresses: &[String], paths: &[&str], token: &str, restarts: impl FnOnce(&dyn Fn())) {
        let go_on = || {
            let wanted = self.asked.load(Ordering::Acquire) + BETWEEN;
            poll_until("some more requests", LIMIT, || (self.asked.load(Ordering::Acquire) >= wanted).then_some(()));
        };
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                scope.spawn(move || self.ask(number, &addresses[number % addresses.len()], paths, token));
            }
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                go_on();
                restarts(&go_on);
            }));
            self.done.store(true, Ordering::Release);
            done
        })
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let wrong = self.wrong.lock().unwrap();
        let asked = self.asked.load(Ordering::Acquire);
        println!("{asked} requests, {} failed", wrong.len());
        assert_eq!(*wrong, [""; 0], "of {asked}");
    }
}

/// A program that is started again on the same sockets.
struct Held<'a> {
    start: Box<dyn Fn() -> Program + 'a>,
    running: Option<Program>,
}

impl<'a> Held<'a> {
    fn new(start: impl Fn() -> Program + 'a) -> Self {
        Self { running: Some(start()), start: Box::new(start) }
    }

    fn restart(&mut self) {
        self.running.take().unwrap().stop();
        self.running = Some((self.start)());
    }
}

fn api(public: SocketAddr, method: &str, path: &str, body: &Value) -> Response {
    let headers = [("Authorization", &*format!("Bearer {ADMIN_TOKEN}")), ("Content-Type", "application/json")];
    raw_http::request(method, &format!("http://{public}{path}"), &headers, body.to_string().as_bytes())
}

/// A token of a new customer.
fn token(public: SocketAddr, name: &str) -> String {
    let customer = api(public, "POST", "/api/v1/customers", &json!({"name": name})).json();
    let id = customer["data"]["id"].as_str().unwrap_or_else(|| panic!("{customer:#}")).to_owned();
    let token = api(public, "POST", &format!("/api/v1/customers/{id}/tokens"), &json!({"name": "one"})).json();
    token["data"]["plain_token"].as_str().unwrap_or_else(|| panic!("{token:#}")).to_owned()
}

/// Writes go on too: each is answered well, by whichever process.
fn write(public: SocketAddr, done: &AtomicBool, written: &AtomicUsize) {
    while !done.load(Ordering::Acquire) {
        let answer = api(public, "POST", "/api/v1/customers", &json!({"name": "Another"}));
        assert_eq!(answer.status, 201, "{}", answer.text());
        written.fetch_add(1, Ordering::AcqRel);
        std::thread::sleep(EVERY);
    }
}

#[test]
fn on_sockets_that_stay_open_nobody_is_refused() {
    let (database, folder) = (cargoman_testkit::postgres::database(), tempfile::tempdir().unwrap());
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let address = |listener: &TcpListener| listener.local_addr().unwrap();
    let apis = [(listen(), listen()), (listen(), listen())];
    let doors = [listen(), listen(), listen()];
    let credential = credential();
    let urls = |of: fn(&(TcpListener, TcpListener)) -> &TcpListener| {
        apis.iter().map(|pair| format!("\"http://{}\"", address(of(pair)))).collect::<Vec<_>>().join(", ")
    };
    let reached = format!("edge_urls = [{}]\npublic_urls = [{}]", urls(|pair| &pair.1), urls(|pair| &pair.0));
    let run = |number: usize, what: &str, names: &'static str, command, sockets: Vec<&TcpListener>| {
        let log = folder.path().join(format!("{what}-{number}.log"));
        let sockets: Vec<_> = sockets.iter().map(|socket| socket.try_clone().unwrap()).collect();
        Held::new(move || Program::start(&command, names, &sockets.iter().collect::<Vec<_>>(), &log))
    };
    let of_its_own = |name: String| -> std::path::PathBuf {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let mut programs = Vec::new();
    for (number, (public, edge_api)) in apis.iter().enumerate() {
        let own = of_its_own(format!("control-plane-{number}"));
        let command = control_plane(&own, address(&doors[0]), &credential, database.url(), "");
        programs.push(run(number, "control-plane", "public:edge-api", command, vec![public, edge_api]));
    }
    for (number, door) in doors.iter().enumerate() {
        let mut command = edge(&of_its_own(format!("edge-{number}")), "edge", &reached);
        command.env("CARGOMAN_CONTROL_PLANE__CREDENTIAL", credential.expose());
        programs.push(run(number, "edge", "edge", command, vec![door]));
    }
    for door in &doors {
        let url = format!("http://{}/readyz", address(door));
        poll_until("the start", LIMIT, || (raw_http::get(&url, &[]).status == 200).then_some(()));
    }
    let public = address(&apis[0].0);
    let token = token(public, "One");
    let addresses: Vec<_> = doors.iter().map(|door| address(door).to_string()).collect();
    let clients = Clients::default();
    let written = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(public, &clients.done, &written));
        clients.over(&addresses, &["/packages.json"], &token, |go_on| {
            for program in &mut programs {
                program.restart();
                go_on();
            }
            // And once more in the other order.
            for program in programs.iter_mut().rev() {
                program.restart();
                go_on();
            }
        });
        writer.join().unwrap();
    });
    assert!(written.load(Ordering::Acquire) > 20, "too little was written");
}

#[test]
fn behind_a_balancer_nobody_is_refused() {
    let mut link = Link::start(2, 3);
    let (token, _) = link.token(0);
    link.warm(&token);
    let edges: Vec<_> = link.world.edges.iter().map(|edge| edge.address().to_owned()).collect();
    let balancer = Balancer::start(&edges);
    let clients = Clients::default();
    clients.over(&[balancer.address().to_owned()], &["/packages.json", P2], &token.plain, |go_on| {
        for number in 0..3 {
            link.world.edges[number].stop();
            go_on();
            link.world.edges[number].start();
            go_on();
        }
        for number in 0..2 {
            link.world.control_planes[number].stop();
            go_on();
            link.world.control_planes[number].start();
            go_on();
        }
    });
}
