//! The database is not there yet, says nothing, or went away: both listeners answer all the same, and all is well again by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cargoman_control_plane::server::{Access, Server, StartError};
use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_control_plane::store::MigrateError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::serving::{answer, head, send, start};

/// A second is promised; the rest is for a busy machine.
const SOON: Duration = Duration::from_millis(1_500);
const LIMIT: Duration = Duration::from_secs(60);

/// Stands between a control plane and its database; where `flows` is false it takes connections and says nothing.
struct Between {
    address: SocketAddr,
    flows: watch::Sender<bool>,
}

impl Between {
    async fn new(address: SocketAddr, socket: PathBuf) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (flows, flowing) = watch::channel(true);
        tokio::spawn(async move {
            let socket = Arc::new(socket);
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, Arc::clone(&socket), flowing.clone()));
            }
        });
        Self { address, flows }
    }
}

async fn pass(client: TcpStream, socket: Arc<PathBuf>, flowing: watch::Receiver<bool>) {
    let server = UnixStream::connect(&*socket).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::join!(
        copy(&mut from_client, &mut to_server, flowing.clone()),
        copy(&mut from_server, &mut to_client, flowing)
    );
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut flowing: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut bytes).await.unwrap_or(0);
        if flowing.wait_for(|flows| *flows).await.is_err()
            || length == 0
            || to.write_all(&bytes[..length]).await.is_err()
        {
            let _ = to.shutdown().await;
            return;
        }
    }
}

/// Asserts a 503 of the usual shape.
#[track_caller]
fn refused(text: &str) {
    assert!(text.starts_with("HTTP/1.1 503"), "{text}");
    assert!(text.contains("\"code\":\"UNAVAILABLE\"") && text.to_ascii_lowercase().contains("retry-after: "), "{text}");
}

async fn status(address: SocketAddr, path: &str) -> String {
    let text = answer(send(address, "GET", path, "").await).await;
    text.split(' ').nth(1).unwrap_or_default().to_owned()
}

async fn until(what: &str, address: SocketAddr, path: &str, wanted: &str) {
    let limit = Instant::now() + LIMIT;
    while status(address, path).await != wanted {
        assert!(Instant::now() < limit, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_late_hangs_and_comes_back() {
    let database = tokio::task::spawn_blocking(cargoman_testkit::postgres::database).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let direct: PgConnectOptions = database.url().parse().unwrap();
    let socket =
        direct.get_socket().expect("the shared cluster's socket").join(format!(".s.PGSQL.{}", direct.get_port()));
    // Free a moment ago; nobody else listens there now.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(free.port())
        .username(direct.get_username())
        .database(database.name());
    let server = Server::bind(start(folder.path())).await.unwrap();
    let (public, edge) = (server.public_address().unwrap(), server.edge_address().unwrap());
    let (stop, stopped) = watch::channel(false);
    let access = std::future::ready(Some(Access { database: options, migrate: None, listen: None, alone: true }));
    let serving = tokio::spawn(server.serve(access, stopped));

    // Not there yet.
    for (address, path) in [(public, "/readyz"), (public, "/api/v1/customers"), (public, "/x"), (edge, "/edge/v1/read")]
    {
        refused(&answer(send(address, "GET", path, "").await).await);
        assert_eq!(status(address, "/healthz").await, "200");
    }
    let between = Between::new(free, socket).await;
    assert_eq!(between.address, free);
    until("it is ready", public, "/readyz", "200").await;
    let made = r#"{"name": "acme/pay", "repository_url": "/a.git"}"#;
    assert!(answer(send(public, "POST", "/api/v1/packages", made).await).await.starts_with("HTTP/1.1 201"));

    for _ in 0..2 {
        // A sync that nobody will do, and an upload that is on its way.
        let waiting = send(public, "POST", "/api/v1/packages/acme/pay/sync?wait=true", "").await;
        let mut upload = TcpStream::connect(public).await.unwrap();
        let upload_head = head("PUT", "/api/v1/packages/acme/pay/versions/1.0.0", 1 << 20)
            .replace("application/json", "application/zip");
        upload.write_all(upload_head.as_bytes()).await.unwrap();
        until("both are under way", public, "/readyz", "200").await;

        between.flows.send_replace(false);
        let silent = Instant::now();
        let asked = [(public, "/api/v1/customers"), (public, "/readyz"), (edge, "/edge/v1/read")];
        let mut streams = vec![waiting, upload];
        for (address, path) in asked {
            streams.push(send(address, if address == edge { "POST" } else { "GET" }, path, r#"{"keys":[]}"#).await);
        }
        let answers = futures::future::join_all(streams.into_iter().map(answer)).await;
        let took = silent.elapsed();
        // An edge that asks for nothing needs no database.
        answers.iter().take(4).for_each(|text| refused(text));
        assert!(took < SOON, "{took:?}");
        let again = Instant::now();
        refused(&answer(send(public, "GET", "/api/v1/customers", "").await).await);
        assert!(again.elapsed() < Duration::from_millis(500));
        assert_eq!(status(public, "/healthz").await, "200");

        between.flows.send_replace(true);
        until("it is well again", public, "/api/v1/customers", "200").await;
        until("it is ready again", public, "/readyz", "200").await;
    }
    stop.send_replace(true);
    serving.await.unwrap().unwrap();
}

/// Trying again would not help.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_us_ends_the_start() {
    let database = tokio::task::spawn_blocking(cargoman_testkit::postgres::database).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::bind(start(folder.path())).await.unwrap();
    let nobody = database.url_as("nobody_of_this_name").parse().unwrap();
    let access = std::future::ready(Some(Access { database: nobody, migrate: None, listen: None, alone: true }));
    let (_stop, stopped) = watch::channel(false);
    let ended = tokio::time::timeout(LIMIT, server.serve(access, stopped)).await.expect("it ends");
    assert!(matches!(ended, Err(StartError::Migrate(MigrateError::Connect(_)))), "{ended:?}");
}
