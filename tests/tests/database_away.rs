//! The database hangs, or is not there yet: what can be answered is answered at once, and all is well again by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cargoman_testkit::cargoman::{ADMIN_TOKEN, Registry, command};
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::port;
use cargoman_testkit::raw_http::{self, Connection};
use cargoman_tests::processes::descendants;
use cargoman_tests::world::LOCAL;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(90);
/// A second is promised; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1_500);

/// Sends a signal to every process of the registry's own PostgreSQL.
fn signal(registry: &Registry, signal: &str) {
    let all = descendants(registry.pid());
    let postgres: Vec<_> = all.iter().filter(|one| one.command.contains("postgres")).collect();
    assert!(postgres.len() > 3, "{all:?}");
    let ids = postgres.iter().map(|one| one.id.to_string());
    assert!(Command::new("kill").arg(signal).args(ids).status().unwrap().success());
}

/// PostgreSQL takes connections and says nothing: SIGSTOP.
#[test]
fn every_request_is_answered_while_the_database_hangs() {
    let registry = Registry::builder().config(LOCAL).embedded().start();
    let package = json!({"name": "acme/pay", "repository_url": "/nowhere.git"});
    assert_eq!(registry.api("POST", "/api/v1/packages", Some(&package)).0, 201);
    let get = |path: &str| registry.api_with(&[("Authorization", &format!("Bearer {ADMIN_TOKEN}"))], "GET", path, None);
    let ask = |path: &str| get(path).status;
    assert_eq!(ask("/api/v1/customers"), 200);
    for _ in 0..2 {
        let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}\r\n");
        let mut upload = Connection::open(registry.control_url());
        upload.send(format!(
            "PUT /api/v1/packages/acme/pay/versions/1.0.0 HTTP/1.1\r\nHost: x\r\n{bearer}Content-Type: application/zip\r\nContent-Length: 1000000\r\n\r\nPK"
        ));
        assert_eq!(ask("/readyz"), 200);
        signal(&registry, "-STOP");
        let stopped = Instant::now();
        // Those that were there when it stopped, and those that come later.
        assert_eq!(upload.response().status, 503);
        for path in ["/api/v1/customers", "/readyz", "/api/v1/packages", "/nowhere"] {
            let answer = get(path);
            assert_eq!(answer.status, 503, "{path}");
            assert_eq!(answer.json()["error"]["code"], "UNAVAILABLE", "{path}");
        }
        assert!(stopped.elapsed() < SOON, "{:?}", stopped.elapsed());
        let again = Instant::now();
        assert_eq!(ask("/api/v1/customers"), 503);
        assert_eq!(ask("/healthz"), 200);
        assert!(again.elapsed() < Duration::from_millis(500), "{:?}", again.elapsed());

        signal(&registry, "-CONT");
        poll_until("it is well again", LIMIT, || (ask("/api/v1/customers") == 200).then_some(()));
        let edge = format!("{}/readyz", registry.edge_url());
        poll_until("the edge too", LIMIT, || (raw_http::get(&edge, &[]).status == 200).then_some(()));
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// The first start makes a cluster, which takes seconds; nobody has to wait for it to get an answer.
#[test]
fn up_answers_before_its_database_is_there() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL may run as somebody else, who has to pass.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let (edge, control) = (port::free_address(), port::free_address());
    let started = Instant::now();
    let mut up = command();
    up.args(["up", "--listen", &edge, "--control-listen", &control, "--data"]).arg(folder.path().join("data"));
    up.env("ADMIN_TOKEN", ADMIN_TOKEN).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Killed(up.spawn().unwrap());
    poll_until("the edge listens", LIMIT, || std::net::TcpStream::connect(&edge).ok());
    assert_eq!(raw_http::get(&format!("http://{edge}/healthz"), &[]).status, 200);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let early = raw_http::get(&format!("http://{control}/api/v1/customers"), &[]);
    assert_eq!((early.status, early.json()["error"]["code"].as_str()), (503, Some("UNAVAILABLE")));
    assert!(early.header("retry-after").is_some());
    for address in [&control, &edge] {
        let ready = format!("http://{address}/readyz");
        poll_until("it is ready", LIMIT, || (raw_http::get(&ready, &[]).status == 200).then_some(()));
    }
    let kept = std::fs::read_to_string(folder.path().join("data/edge-credential")).unwrap();
    assert!(kept.starts_with("cme_"));
}
