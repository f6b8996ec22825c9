//! Where metrics are asked for: `/metrics`, and beside it `/healthz` and `/readyz`, for whoever may not reach the public listeners.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use super::Metrics;
use crate::observe::health;
use crate::request::Parts;
use crate::request::reply::Body;

/// Connections at a time; whoever scrapes needs one.
const MOST: usize = 32;
/// How long a head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may last.
const LONGEST: Duration = Duration::from_secs(300);

/// A listener that is bound.
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers for as long as the process runs.
    pub(crate) async fn serve(self, metrics: Metrics, parts: Arc<Parts>) {
        let listener = match tokio::net::TcpListener::from_std(self.0) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(target: "cargoman::edge", %error, "metrics cannot be served"),
        };
        let (metrics, permits) = (Arc::new(metrics), Arc::new(Semaphore::new(MOST)));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of files, mostly: it passes.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
            let (metrics, parts) = (Arc::clone(&metrics), Arc::clone(&parts));
            tokio::spawn(async move {
                let answer = service_fn(|request| answer(request, Arc::clone(&metrics), Arc::clone(&parts)));
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEAD);
                let connection = server.serve_connection(TokioIo::new(stream), answer);
                // Whatever ends it, there is nobody to tell.
                tokio::time::timeout(LONGEST, connection).await.ok();
                drop(permit);
            });
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    metrics: Arc<Metrics>,
    parts: Arc<Parts>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(reply) = health::answer(request.method(), request.uri().path(), &parts.reading, false).await {
        let body = if let Body::Bytes(bytes) = reply.body { bytes } else { Bytes::new() };
        return Ok(plain(reply.status, "application/json", body));
    }
    if request.uri().path() != "/metrics" {
        return Ok(plain(
            StatusCode::NOT_FOUND,
            TEXT,
            Bytes::from_static(b"there are /metrics, /healthz and /readyz\n"),
        ));
    }
    if request.method() != Method::GET {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::from_static(b"ask with GET\n")));
    }
    Ok(match metrics.text() {
        Ok(text) => plain(StatusCode::OK, OPEN_METRICS, Bytes::from(text)),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, TEXT, Bytes::new()),
    })
}

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn plain(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
