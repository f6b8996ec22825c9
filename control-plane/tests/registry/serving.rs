//! The whole server on real listeners: how it starts and how it stops.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cargoman_control_plane::config::Config;
use cargoman_control_plane::git::child::Worker;
use cargoman_control_plane::secrets::Keyring;
use cargoman_control_plane::server::{Access, HandedOver, Server, Start};
use cargoman_control_plane::state::Secrets;
use cargoman_credential::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::fixture::{ADMIN, EDGE, MASTER_KEY};

pub(crate) fn start(folder: &std::path::Path) -> Start {
    let mut config = Config::default();
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.server.edge_listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.storage.root = Some(folder.join("storage"));
    config.git.root = Some(folder.join("git"));
    config.git.allow_local = true;
    config.jobs.workers = 0;
    Start {
        config,
        git_worker: Worker::new(PathBuf::from(env!("CARGO_BIN_EXE_git-worker")), Vec::new()),
        secrets: Secrets { admin: Digest::of(ADMIN.as_bytes()), edge: Digest::of(EDGE.as_bytes()) },
        keyring: Keyring::from_variable(MASTER_KEY).unwrap(),
        handed_over: HandedOver::default(),
        first_tenant: ("default", "Default"),
    }
}

fn access(url: &str) -> Access {
    Access { database: url.parse().unwrap(), migrate: None, listen: None, alone: true }
}

/// The head of a request with a body of `length` bytes.
pub(crate) fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

pub(crate) async fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{}{body}", head(method, path, body.len())).as_bytes()).await.unwrap();
    stream
}

pub(crate) async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Waits until it serves.
async fn ready(address: SocketAddr) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !answer(send(address, "GET", "/readyz", "").await).await.starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < limit, "it is not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Nobody runs jobs here, so that whoever waits for a sync would wait for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_those_who_wait() {
    let database = tokio::task::spawn_blocking(cargoman_testkit::postgres::database).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Two instances that start at once on an empty database make one tenant.
    let (stop, stopped) = watch::channel(false);
    let mut serving = Vec::new();
    for _ in 0..2 {
        let server = Server::bind(start(folder.path())).await.unwrap();
        let address = server.public_address().unwrap();
        let access = std::future::ready(Some(access(database.url())));
        serving.push((address, tokio::spawn(server.serve(access, stopped.clone()))));
    }
    let address = serving[0].0;
    for (address, _) in &serving {
        ready(*address).await;
    }
    assert_eq!(tokio::task::block_in_place(|| database.query("select count(*) from tenant")), "1");

    let made = r#"{"name": "acme/pay", "repository_url": "/a.git"}"#;
    let text = answer(send(address, "POST", "/api/v1/packages", made).await).await;
    assert!(text.starts_with("HTTP/1.1 201"), "{text}");
    let waiting = send(address, "POST", "/api/v1/packages/acme/pay/sync?wait=true", "").await;
    let limit = Instant::now() + Duration::from_secs(30);
    let asked =
        || tokio::task::block_in_place(|| database.query("select count(*) from audit where action = 'package.sync'"));
    while asked() != "1" {
        assert!(Instant::now() < limit, "the sync was not asked for");
    }
    stop.send(true).unwrap();
    for (_, serving) in serving {
        tokio::time::timeout(Duration::from_secs(30), serving).await.expect("it stops").unwrap().unwrap();
    }
    drop(waiting);
}
