//! An edge and a control plane are restarted on sockets that their parent holds: nobody who asks meanwhile is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use cargoman_testkit::cargoman::ADMIN_TOKEN;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::raw_http::{self, Connection};
use cargoman_tests::apart::{Program, control_plane, credential, edge};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
/// Clients, and how often each asks: 200 requests a second together.
const CLIENTS: usize = 8;
const EVERY: Duration = Duration::from_millis(40);

/// Asks until `done`, never twice for one answer. Every other client keeps its connection for as long as it is let.
fn ask(number: usize, edge: SocketAddr, token: &str, done: &AtomicBool, asked: &AtomicUsize) -> Vec<String> {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("token:{token}"));
    let request = format!("GET /packages.json HTTP/1.1\r\nHost: {edge}\r\nAuthorization: Basic {basic}\r\n\r\n");
    let (mut kept, mut wrong, mut next): (Option<Connection>, _, _) = (None, Vec::new(), Instant::now());
    while !done.load(Ordering::Acquire) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += EVERY;
        let mut connection = kept.take().unwrap_or_else(|| Connection::open(&edge.to_string()));
        asked.fetch_add(1, Ordering::AcqRel);
        match connection.send(&request).try_response("GET") {
            Ok(answer) if answer.status == 200 => {
                if number.is_multiple_of(2) && answer.header("connection") != Some("close") {
                    kept = Some(connection);
                }
            }
            Ok(answer) => wrong.push(format!("{}: {}", answer.status_line, String::from_utf8_lossy(&answer.body))),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    wrong
}

#[test]
fn nobody_is_refused_while_the_programs_are_restarted() {
    let (database, folder) = (cargoman_testkit::postgres::database(), tempfile::tempdir().unwrap());
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (for_edge, for_public, for_edge_api) = (listen(), listen(), listen());
    let [edge_address, public, edge_api] =
        [&for_edge, &for_public, &for_edge_api].map(|listener| listener.local_addr().unwrap());
    let (credential, log) = (credential(), folder.path().join("log"));
    let urls = format!("edge_url = \"http://{edge_api}\"\npublic_url = \"http://{public}\"");
    let mut of_edge = edge(folder.path(), "edge", &urls);
    of_edge.env("CARGOMAN_CONTROL_PLANE__CREDENTIAL", credential.expose());
    let of_control = control_plane(folder.path(), edge_address, &credential, database.url(), "");
    let start_edge = || Program::start(&of_edge, "edge", &[&for_edge], &log);
    let start_control = || Program::start(&of_control, "public:edge-api", &[&for_public, &for_edge_api], &log);
    let (mut edge, mut control) = (start_edge(), start_control());
    let api = |method: &str, path: &str, body: &Value| {
        let headers = [("Authorization", &*format!("Bearer {ADMIN_TOKEN}")), ("Content-Type", "application/json")];
        raw_http::request(method, &format!("http://{public}{path}"), &headers, body.to_string().as_bytes())
    };
    poll_until("the start", LIMIT, || {
        (raw_http::get(&format!("http://{edge_address}/readyz"), &[]).status == 200).then_some(())
    });
    let customer = api("POST", "/api/v1/customers", &json!({"name": "One"})).json();
    let id = customer["data"]["id"].as_str().unwrap().to_owned();
    let token = api("POST", &format!("/api/v1/customers/{id}/tokens"), &json!({"name": "one"})).json();
    let token = token["data"]["plain_token"].as_str().unwrap().to_owned();

    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (token, done, asked) = (token.clone(), Arc::clone(&done), Arc::clone(&asked));
            std::thread::spawn(move || ask(number, edge_address, &token, &done, &asked))
        })
        .collect();
    let go_on = || {
        let wanted = asked.load(Ordering::Acquire) + 100;
        poll_until("a hundred more requests", LIMIT, || (asked.load(Ordering::Acquire) >= wanted).then_some(()));
    };
    go_on();
    for _ in 0..3 {
        edge.stop();
        edge = start_edge();
        go_on();
        control.stop();
        control = start_control();
        go_on();
    }
    done.store(true, Ordering::Release);
    let wrong: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert_eq!(wrong, [""; 0], "of {}", asked.load(Ordering::Acquire));
    assert!(asked.load(Ordering::Acquire) > 700);
    drop((edge, control));
}
