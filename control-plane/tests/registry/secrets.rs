//! No secret reaches a log, however much of it is kept, nor an answer that did not make it.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::fixture::{ADMIN, EDGE, Registry};

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Set in the process that runs this test alone.
const ALONE: &str = "CARGOMAN_TEST_ALONE";

/// What other tests log first on their threads is not caught any more on ours: the test runs again in a process of its own.
#[test]
fn at_the_lowest_level_the_log_holds_none() {
    if std::env::var_os(ALONE).is_some() {
        return tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(caught());
    }
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "secrets::at_the_lowest_level_the_log_holds_none", "--nocapture"]).env(ALONE, "1");
    let output = alone.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let tail = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{tail}");
}

/// On one thread, whose log is caught.
async fn caught() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _caught = tracing::subscriber::set_default(subscriber);

    let registry = Registry::new().await;
    let made = registry.call("POST", "/customers").header("idempotency-key", "k").json(&json!({"name": "a"}));
    let made = made.send().await.status(201);
    let path = format!("/customers/{}/tokens", made.text("id"));
    let token = registry.post(&path, json!({"name": "ci"})).await.status(201);
    let id = token.data()["token"]["id"].as_str().unwrap().to_owned();
    let rotated = registry.post(&format!("{path}/{id}/rotate"), json!({})).await.status(200);
    let url = "https://user:canary-password@git.example.com/a.git";
    registry.post("/packages", json!({"repository_url": url, "name": "a/b"})).await.status(422);
    registry.edge("POST", cargoman_edge_protocol::READ_PATH).json(&json!({"keys": []})).send().await.status(200);
    // Refusals of the database are logged too.
    registry.state.database.close().await;
    registry.post("/customers", json!({"name": "b"})).await.status(503);

    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("/api/v1/customers") && text.contains("the database is away"), "the log was caught: {text}");
    let (first, second, third) = (made.text("token"), token.text("plain_token"), rotated.text("plain_token"));
    for secret in [ADMIN, EDGE, &first, &second, &third, "canary-password"] {
        assert!(!text.contains(secret), "a secret in the log");
    }
}
