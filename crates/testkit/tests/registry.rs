//! The process handling of `Registry`, with a stand-in for the program: a script that says it is ready, on ports
//! that a real server answers. (The real program is tested end to end elsewhere; it cannot be built from here.)

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's own functions fail by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use cargoman_testkit::cargoman::{ADMIN_TOKEN, Builder, Registry};
use serde_json::json;

/// A server that answers every request with what it got, as JSON; and the script that names it.
struct StandIn {
    folder: tempfile::TempDir,
    url: String,
}

impl StandIn {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).unwrap();
                let text = String::from_utf8_lossy(&request[..length]).into_owned();
                let body = json!({"data": text}).to_string();
                let head = format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).unwrap();
            }
        });
        Self { folder: tempfile::tempdir().unwrap(), url }
    }

    fn builder(&self, script: &str) -> Builder {
        let path: PathBuf = self.folder.path().join("cargoman");
        let script = script.replace("READY", &format!("echo 'ready edge={0} control={0}'", self.url));
        std::fs::write(&path, format!("#!/bin/sh\necho \"$@\" >&2; env >&2\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        Registry::builder().embedded().binary(&path)
    }
}

const SERVE: &str = "trap 'exit 7' TERM\nREADY\nwhile :; do sleep 0.02; done";

#[test]
fn starts_calls_and_stops() {
    let stand_in = StandIn::new();
    let builder = stand_in.builder(SERVE).config("[server]\n").env("EXTRA", "1").argument("--demo");
    let mut registry = builder.start();
    assert_eq!(registry.edge_url(), stand_in.url);
    assert_eq!(registry.printed().len(), 1);

    let (status, answer) = registry.api("POST", "/api/v1/customers", Some(&json!({"name": "Ada"})));
    assert_eq!(status, 201);
    let request = answer["data"].as_str().unwrap();
    assert!(request.starts_with("POST /api/v1/customers HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("Authorization: Bearer {ADMIN_TOKEN}\r\n")), "{request}");

    let log = registry.log();
    for part in ["up --data ", "--listen 127.0.0.1:", "--demo", "--config ", "EXTRA=1", "ADMIN_TOKEN="] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains("--listen 127.0.0.1:0 "), "a port no client of another test can be given: {log}");
    assert!(!log.contains("CARGO_MANIFEST_DIR") && !log.contains("DATABASE_URL"), "{log}");
    assert_eq!(registry.stop().code(), Some(7));

    registry.restart();
    assert!(registry.log().contains(&format!("--listen {}", registry.edge_address())), "the same address again");
    registry.kill9().restart();
}

#[test]
fn failures_show_the_log() {
    let stand_in = StandIn::new();
    for (script, message) in [
        ("echo 'no database' >&2; exit 3", "no database"),
        ("exit 3", "ended with exit status: 3"),
        ("echo hello; sleep 60", "no ready line: \"hello\""),
    ] {
        let builder = stand_in.builder(script);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.start())).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains(message), "{script}: {text}");
    }
}
