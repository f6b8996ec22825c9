//! Speaks HTTP/1.1 on a listener's connections. Decides how long one may be silent or slow before it is closed, and how all of them
//! end; what is answered is the service's business.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;

use crate::http::listener::{Connection, Connections};

/// A request's head is whole so long after the connection was opened or after the answer before it; else the connection is closed. It is
/// longer than edges and proxies keep idle connections (50 and 60 s), so that none is closed at the moment at which one is used.
const HEAD: Duration = Duration::from_secs(75);

/// Answers with `service` until `quiet` ends; then no more connections are taken, and those there are end with the request they are at.
pub(crate) async fn serve(mut connections: Connections, service: Router, quiet: impl Future<Output = ()>) {
    let open = connections.open();
    let ending = watch::Sender::new(false);
    let mut quiet = pin!(quiet);
    loop {
        let connection = tokio::select! {
            connection = connections.next() => connection,
            () = &mut quiet => break,
        };
        // None: no more will come; those that are there go on.
        let Some(connection) = connection else {
            quiet.await;
            break;
        };
        tokio::spawn(converse(connection, service.clone(), ending.subscribe()));
    }
    drop(connections);
    ending.send_replace(true);
    open.none().await;
}

async fn converse(connection: Connection, service: Router, mut ending: watch::Receiver<bool>) {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let service = TowerToHyperService::new(service);
    let mut talk = pin!(builder.serve_connection(TokioIo::new(connection), service).with_upgrades());
    // An error means that nobody serves any more: that is an end too.
    let ended = async move { drop(ending.wait_for(|ending| *ending).await) };
    let talked = tokio::select! {
        talked = talk.as_mut() => talked,
        () = ended => {
            talk.as_mut().graceful_shutdown();
            talk.await
        }
    };
    if let Err(error) = talked {
        tracing::debug!(%error, "a connection ends");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    use super::*;

    /// In a time that jumps ahead whenever nothing happens.
    #[tokio::test(start_paused = true)]
    async fn whoever_is_silent_or_slow_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::take(listener, None, std::future::pending());
        tokio::spawn(serve(connections, Router::new(), std::future::pending()));
        for sent in ["", "GET / HTTP/1.1\r\nhost: x\r\n", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let begun = Instant::now();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(begun.elapsed() >= HEAD && begun.elapsed() < 2 * HEAD, "{sent:?}: {:?}", begun.elapsed());
            assert_eq!(answer.starts_with("HTTP/1.1 404"), sent.ends_with("\r\n\r\n"), "{sent:?}: {answer}");
        }
    }

    #[tokio::test]
    async fn what_is_asked_is_answered_before_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = watch::Sender::new(false);
        let stopped = || {
            let mut asked = asked.subscribe();
            async move { drop(asked.wait_for(|asked| *asked).await) }
        };
        let (connections, quiet) = (Connections::take(listener, None, stopped()), stopped());
        let service = Router::new().fallback(async move || {
            asked.send_replace(true);
            tokio::time::sleep(Duration::from_millis(50)).await;
            "here"
        });
        let served = tokio::spawn(serve(connections, service, quiet));
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut asking = TcpStream::connect(address).await.unwrap();
        asking.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        served.await.unwrap();
        TcpStream::connect(address).await.unwrap_err();
    }
}
