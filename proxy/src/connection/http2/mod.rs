//! One HTTP/2 connection over TLS: its streams are answered as they come, many in one go.
//!
//! What Composer asks is answered at once, and the answers to all questions that came together go out together. All else becomes a
//! request of HTTP/1 in memory and goes to Pingora (`bridge.rs`), as it would have over a connection of its own.
//!
//! Bounds: streams, size of heads and resets by h2's own counts; a connection that is idle for `limits.keep_alive_seconds`, or that
//! does not take what it asked for, is cut.

mod bridge;
mod frames;
mod gather;
mod respond;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::Method;
use ipnet::IpNet;
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;
use tokio::time::{Sleep, sleep};

use self::gather::{Gather, Sending, gather};
use super::http1::Question;
use super::origin::Origin;
use crate::config::{EdgeConfig, Limits};
use crate::edge::EdgeProxy;
use crate::request::admit::MOST_BYTES;
use crate::request::refuse::Refusal;
use crate::request::target;
use crate::request::visit::Visit;
use crate::request::{Answer, Parts, answer};

/// Streams that a client may have open.
const MOST_STREAMS: u32 = 100;
/// Streams that are taken in before any is answered.
const MOST_AT_ONCE: usize = 32;
/// How often a connection is looked at: whether it is idle or stuck.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// Bytes of a stream that may wait: what is read long before it is sent has left the processor's caches by then.
const MOST_WAITING: usize = 128 << 10;

type Incoming = (http::Request<RecvStream>, SendResponse<Bytes>);
type Connection = h2::server::Connection<Gather, Bytes>;

/// Serves HTTP/2 connections.
pub(crate) struct Http2 {
    parts: Arc<Parts>,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
}

/// What the streams of a connection have in common.
struct Shared {
    server: Arc<Http2>,
    origin: Origin,
    proxy: Arc<HttpProxy<EdgeProxy>>,
    stopping: ShutdownWatch,
}

/// What came next.
enum Next {
    Streams(Vec<Incoming>),
    /// Time to look whether it is idle or stuck.
    Look,
    Stop,
    Over,
}

impl Http2 {
    pub(crate) fn new(config: &EdgeConfig, parts: Arc<Parts>) -> Self {
        Self { parts, limits: config.limits.clone(), trusted_proxies: config.trusted_proxies.clone() }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve(
        self: &Arc<Self>,
        stream: Stream,
        proxy: &Arc<HttpProxy<EdgeProxy>>,
        stop: &ShutdownWatch,
    ) {
        let origin = Origin::of(&stream);
        let Some((io, sending)) = gather(stream) else { return };
        let handshake = options().handshake::<_, Bytes>(io);
        let Ok(Ok(mut connection)) = timeout(self.limits.head, handshake).await else { return };
        let shared =
            Arc::new(Shared { server: Arc::clone(self), origin, proxy: Arc::clone(proxy), stopping: stop.clone() });
        let every = LOOKS_EVERY.min(self.limits.keep_alive).min(self.limits.stall);
        let mut waiting = Waiting::new(sending, stop.clone(), every);
        let mut last = Instant::now();
        loop {
            match waiting.next(&mut connection).await {
                Next::Streams(streams) => {
                    last = Instant::now();
                    streams.into_iter().for_each(|incoming| shared.begin(incoming));
                }
                Next::Look => {
                    let idle = !connection.has_streams() && last.elapsed() >= self.limits.keep_alive;
                    if idle || waiting.sending.is_stuck(self.limits.stall) {
                        return;
                    }
                }
                Next::Stop => connection.graceful_shutdown(),
                Next::Over => return,
            }
        }
    }
}

/// What h2 bounds by itself.
fn options() -> Builder {
    let mut options = Builder::new();
    let fields = u32::try_from(MOST_BYTES + target::MOST_TARGET).unwrap_or(u32::MAX);
    options.max_concurrent_streams(MOST_STREAMS).max_header_list_size(fields).max_send_buffer_size(MOST_WAITING);
    options
}

/// What is waited for beside the next stream.
struct Waiting {
    sending: Sending,
    every: Duration,
    look: Pin<Box<Sleep>>,
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Waiting {
    fn new(sending: Sending, mut stop: ShutdownWatch, every: Duration) -> Self {
        // A sender that is gone cannot ask any more: that is as good as asking.
        let stopped = async move { stop.wait_for(|stopped| *stopped).await.map(drop).unwrap_or_default() };
        Self { sending, every, look: Box::pin(sleep(every)), stop: Some(Box::pin(stopped)) }
    }

    async fn next(&mut self, connection: &mut Connection) -> Next {
        poll_fn(|cx| self.poll(connection, cx)).await
    }

    /// All streams that are there: their answers go out together once the connection is polled again.
    fn poll(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Poll<Next> {
        let mut streams = Vec::new();
        while streams.len() < MOST_AT_ONCE {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(incoming))) => streams.push(incoming),
                Poll::Ready(_) if streams.is_empty() => {
                    // The farewell, if the client takes it.
                    return self.sending.poll(cx).map(|_| Next::Over);
                }
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        if !streams.is_empty() {
            return Poll::Ready(Next::Streams(streams));
        }
        if let Poll::Ready(Err(_)) = self.sending.poll(cx) {
            return Poll::Ready(Next::Over);
        }
        if self.look.as_mut().poll(cx).is_ready() {
            self.look.set(sleep(self.every));
            return Poll::Ready(Next::Look);
        }
        if self.stop.as_mut().is_some_and(|stop| stop.as_mut().poll(cx).is_ready()) {
            self.stop = None;
            return Poll::Ready(Next::Stop);
        }
        Poll::Pending
    }
}

impl Shared {
    /// Begins to answer a stream. Nearly every answer is there at once; what takes longer becomes a task.
    fn begin(self: &Arc<Self>, (request, respond): Incoming) {
        let mut answering: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(Arc::clone(self).answer(Instant::now(), request, respond));
        let mut nobody = Context::from_waker(std::task::Waker::noop());
        // Whatever it waits for is waited for anew by the task.
        if answering.as_mut().poll(&mut nobody).is_pending() {
            tokio::spawn(answering);
        }
    }

    async fn answer(
        self: Arc<Self>,
        started: Instant,
        request: http::Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) {
        let (head, body) = request.into_parts();
        let head = RequestHeader::from(head);
        let own = matches!(head.method, Method::GET | Method::HEAD) && body.is_end_stream();
        if !own || !target::is_of_composer(head.raw_path()) {
            // Boxed, as it is large and rare: every stream would carry its room about.
            return Box::pin(bridge::cross(&self, head, body, respond)).await;
        }
        let Http2 { parts, limits, trusted_proxies } = &*self.server;
        let mut visit = Visit::new(started, (parts.now)(), *self.stopping.borrow());
        visit.client = self.origin.client(&head.headers, trusted_proxies);
        visit.listener = self.origin.listener;
        visit.asked_for.clone_from(&self.origin.asked);
        let reply = match answer(parts, &mut visit, &mut Question(&head)).await {
            Answer::Reply(reply) => reply,
            // Its paths are no questions of Composer's.
            Answer::PassThrough(_) => Refusal::NotFound.reply(),
        };
        let status = reply.status;
        let head_only = head.method == Method::HEAD;
        let sent = respond::respond(respond, reply, (head_only, visit.began, limits.stall)).await;
        visit.done(parts, &head, Some(status), sent.unwrap_or(0));
    }
}
