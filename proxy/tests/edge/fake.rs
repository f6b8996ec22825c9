//! A control plane in memory: the read API, dists, the link, usage and a public API that tells what reached it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cargoman_edge_protocol::{Answer, Batch, Entry, Key, ReadReply, ReadRequest, Revision, UsageEvent};

use tokio::sync::watch;

use super::fake_link::FakeLink;

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) facts: Mutex<HashMap<Key, (Revision, Entry)>>,
    pub(crate) dists: Mutex<HashMap<String, Vec<u8>>>,
    /// Archives stop at this byte until it moves.
    pub(crate) dist_stops: Mutex<Option<watch::Receiver<usize>>>,
    /// Every batch that came, counted or not.
    pub(crate) batches: Mutex<Vec<Batch>>,
    /// What batches are answered; 0 stands for 204.
    pub(crate) usage_status: AtomicU16,
    pub(crate) down: AtomicBool,
    pub(crate) reads: AtomicUsize,
    /// `traceparent` of the reads that had one.
    pub(crate) parents: Mutex<Vec<String>>,
    pub(crate) found: AtomicUsize,
    pub(crate) fills: AtomicUsize,
    pub(crate) credential: String,
    pub(crate) link: FakeLink,
}

impl Fake {
    /// Puts a fact in place, with a revision of its own.
    pub(crate) fn put(&self, key: Key, entry: Entry) {
        let mut facts = self.facts.lock().unwrap();
        let revision = facts.get(&key).map_or(1, |(revision, _)| revision.0 + 1);
        facts.insert(key.clone(), (Revision(revision), entry));
        drop(facts);
        self.link.changed(&key, false);
    }

    pub(crate) fn remove(&self, key: &Key) {
        self.facts.lock().unwrap().remove(key);
        self.link.changed(key, true);
    }

    /// All events that came, those of a batch that came twice once.
    pub(crate) fn events(&self) -> Vec<UsageEvent> {
        let batches = self.batches.lock().unwrap();
        let first = |at: usize| batches.iter().position(|batch| batch.id == batches[at].id) == Some(at);
        (0..batches.len()).filter(|at| first(*at)).flat_map(|at| batches[at].events.clone()).collect()
    }

    fn answer(&self, request: &ReadRequest) -> Vec<Answer> {
        let facts = self.facts.lock().unwrap();
        let answer = |known: &cargoman_edge_protocol::KnownKey| match facts.get(&known.key) {
            None => Answer::Absent,
            Some((revision, _)) if known.revision == Some(*revision) => Answer::Unchanged,
            Some((revision, entry)) => {
                self.found.fetch_add(1, Ordering::SeqCst);
                Answer::Found { revision: *revision, entry: entry.clone() }
            }
        };
        request.keys.iter().map(answer).collect()
    }

    pub(crate) fn knows(&self, headers: &HeaderMap) -> bool {
        headers
            .get("authorization")
            .is_some_and(|value| value.as_bytes() == format!("Bearer {}", self.credential).as_bytes())
    }
}

/// Serves `fake` on free ports in a thread of its own: the edge API, then the public API.
pub(crate) fn serve(fake: &Arc<Fake>) -> (SocketAddr, SocketAddr) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let fake = Arc::clone(fake);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let edge_api = Router::new()
                .route(cargoman_edge_protocol::READ_PATH, post(read))
                .route("/edge/v1/dists/{tenant}/{sha256}", get(dist))
                .route(cargoman_edge_protocol::link::LINK_PATH, get(super::fake_link::link))
                .route(cargoman_edge_protocol::USAGE_PATH, post(usage))
                .with_state(fake);
            let public_api = Router::new().fallback(echo);
            let edge = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let public = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send((edge.local_addr().unwrap(), public.local_addr().unwrap())).unwrap();
            let (edge, public) = tokio::join!(axum::serve(edge, edge_api), axum::serve(public, public_api));
            edge.and(public).unwrap();
        });
    });
    receiver.recv().unwrap()
}

async fn read(State(fake): State<Arc<Fake>>, headers: HeaderMap, Json(request): Json<ReadRequest>) -> Response {
    fake.reads.fetch_add(1, Ordering::SeqCst);
    if let Some(parent) = headers.get("traceparent").and_then(|value| value.to_str().ok()) {
        fake.parents.lock().unwrap().push(parent.to_owned());
    }
    if fake.down.load(Ordering::SeqCst) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if !fake.knows(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let as_of = fake.link.as_of();
    let answers = fake.answer(&request);
    fake.link.hold_fills(request.keys.len()).await;
    Json(ReadReply { answers, as_of }).into_response()
}

async fn dist(
    State(fake): State<Arc<Fake>>,
    headers: HeaderMap,
    Path((tenant, sha256)): Path<(String, String)>,
) -> Response {
    fake.fills.fetch_add(1, Ordering::SeqCst);
    if !fake.knows(&headers) || fake.down.load(Ordering::SeqCst) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let bytes = fake.dists.lock().unwrap().get(&format!("{tenant}/{sha256}")).cloned();
    // Long enough for everyone who asks at once to be waiting for the one fill.
    tokio::task::yield_now().await;
    let stops = fake.dist_stops.lock().unwrap().clone();
    match (bytes, stops) {
        (None, _) => StatusCode::NOT_FOUND.into_response(),
        (Some(bytes), None) => bytes.into_response(),
        (Some(bytes), Some(stops)) => stopping(bytes, stops).into_response(),
    }
}

/// Bytes that come as far as they may.
fn stopping(bytes: Vec<u8>, stops: watch::Receiver<usize>) -> Body {
    let pieces = bytes.chunks(50_000).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter();
    let next = |(mut pieces, mut stops, sent): (std::vec::IntoIter<Vec<u8>>, watch::Receiver<usize>, usize)| async move {
        let piece = pieces.next()?;
        stops.wait_for(|stop| *stop >= sent + piece.len()).await.ok()?;
        let sent = sent + piece.len();
        Some((Ok::<_, std::io::Error>(piece), (pieces, stops, sent)))
    };
    Body::from_stream(futures::stream::unfold((pieces, stops, 0), next))
}

async fn usage(State(fake): State<Arc<Fake>>, headers: HeaderMap, Json(batch): Json<Batch>) -> StatusCode {
    if !fake.knows(&headers) {
        return StatusCode::UNAUTHORIZED;
    }
    fake.batches.lock().unwrap().push(batch);
    match fake.usage_status.load(Ordering::SeqCst) {
        0 => StatusCode::NO_CONTENT,
        status => StatusCode::from_u16(status).unwrap(),
    }
}

/// What reached the public API, one line per field, so that tests can look.
async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut text = format!("{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    text.push_str(&format!("\n{}", String::from_utf8_lossy(&body)));
    (StatusCode::OK, [("x-upstream", "yes")], text).into_response()
}
