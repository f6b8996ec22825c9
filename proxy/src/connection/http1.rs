//! One HTTP/1 connection: reads a head, answers it or hands the request to Pingora, and begins anew.
//!
//! Times: a head must be whole `limits.head_seconds` after its first byte, a new connection must begin with one in the same time, and
//! between requests it may be idle for `limits.keep_alive_seconds`. Nothing a client sends makes any of them longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use pingora::apps::HttpServerApp;
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;
use tokio::io::AsyncReadExt;

use super::head::{self, Head};
use super::origin::Origin;
use super::{Client, wire};
use crate::config::{EdgeConfig, Limits};
use crate::edge::EdgeProxy;
use crate::request::admit::Fault;
use crate::request::refuse::Refusal;
use crate::request::visit::Visit;
use crate::request::{Answer, Asking, Parts, answer};

/// Most heads need no more; a longer one makes it grow.
pub(crate) const USUAL_HEAD: usize = 4 << 10;

/// Serves HTTP/1 connections.
pub(crate) struct Http1 {
    parts: Arc<Parts>,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
}

/// A connection, between its requests.
struct Connection {
    stream: Stream,
    read: BytesMut,
    out: BytesMut,
    origin: Origin,
}

/// What came next.
enum Next {
    Head(Box<Head>),
    /// It cannot be read; the connection ends.
    Malformed(Fault),
    /// The client is gone, or was silent for too long.
    Over,
}

/// A request without a body.
pub(super) struct Question<'a>(pub(super) &'a RequestHeader);

impl Asking for Question<'_> {
    fn head(&self) -> &RequestHeader {
        self.0
    }

    async fn body(&mut self, _: usize) -> Result<Bytes, Refusal> {
        Ok(Bytes::new())
    }
}

impl Http1 {
    pub(crate) fn new(config: &EdgeConfig, parts: Arc<Parts>) -> Self {
        Self { parts, limits: config.limits.clone(), trusted_proxies: config.trusted_proxies.clone() }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve(&self, stream: Stream, proxy: &Arc<HttpProxy<EdgeProxy>>, stopping: &ShutdownWatch) {
        let mut connection = Connection::new(stream);
        let mut patience = self.limits.head;
        loop {
            match connection.next(patience, self.limits.head).await {
                Next::Head(head) if head.plain => {
                    if !self.answer(&mut connection, *head, stopping).await {
                        return connection.stream.shutdown().await;
                    }
                }
                Next::Head(head) => match self.hand_over(connection, &head, proxy, stopping).await {
                    Some(stream) => connection = Connection::new(stream),
                    None => return,
                },
                Next::Malformed(fault) => {
                    self.refuse(&mut connection, fault).await;
                    return connection.stream.shutdown().await;
                }
                Next::Over => return connection.stream.shutdown().await,
            }
            patience = self.limits.keep_alive;
        }
    }

    /// Answers a question of Composer's; whether the connection goes on.
    async fn answer(&self, connection: &mut Connection, head: Head, stopping: &ShutdownWatch) -> bool {
        let mut visit = Visit::new(Instant::now(), (self.parts.now)(), *stopping.borrow());
        visit.client = self.client(connection, &head.request);
        visit.listener = connection.origin.listener;
        visit.asked_for.clone_from(&connection.origin.asked);
        let mut reply = match answer(&self.parts, &mut visit, &mut Question(&head.request)).await {
            Answer::Reply(reply) => reply,
            // Its paths are no questions of Composer's: `head.rs` knows them apart.
            Answer::PassThrough(_) => Refusal::NotFound.reply(),
        };
        // Asked before the stop, answered after it.
        reply.close |= head.close || *stopping.borrow();
        let (status, close) = (reply.status, reply.close);
        let head_only = head.request.method == http::Method::HEAD;
        let Connection { stream, out, .. } = connection;
        let written = wire::write(stream, out, reply, (head_only, visit.began, self.limits.stall)).await;
        visit.done(&self.parts, &head.request, Some(status), *written.as_ref().unwrap_or(&0));
        written.is_ok() && !close
    }

    /// Lets Pingora serve one request; gives the connection back if it can be used again.
    async fn hand_over(
        &self,
        connection: Connection,
        head: &Head,
        proxy: &Arc<HttpProxy<EdgeProxy>>,
        stopping: &ShutdownWatch,
    ) -> Option<Stream> {
        let mut read = BytesMut::with_capacity(head.raw.len() + connection.read.len());
        read.extend_from_slice(&head.raw);
        read.extend_from_slice(&connection.read);
        let mut session = ServerSession::new_http1(connection.stream);
        session.set_keepalive(Some(self.limits.keep_alive.as_secs()));
        session.set_pipelined_prefix(read);
        let reused = proxy.process_new_http(session, stopping).await?;
        Some(reused.consume().0)
    }

    async fn refuse(&self, connection: &mut Connection, fault: Fault) {
        let reply = Refusal::Fault(fault).reply();
        let Ok(nothing) = RequestHeader::build_no_case("-", b"/", None) else { return };
        let mut visit = Visit::new(Instant::now(), (self.parts.now)(), false);
        visit.client = self.client(connection, &nothing);
        let status = reply.status;
        let Connection { stream, out, .. } = connection;
        let written = wire::write(stream, out, reply, (false, visit.began, self.limits.stall)).await;
        visit.done(&self.parts, &nothing, Some(status), written.unwrap_or(0));
    }

    fn client(&self, connection: &Connection, request: &RequestHeader) -> Option<Client> {
        connection.origin.client(&request.headers, &self.trusted_proxies)
    }
}

impl Connection {
    fn new(stream: Stream) -> Self {
        Self { origin: Origin::of(&stream), stream, read: BytesMut::new(), out: BytesMut::new() }
    }

    /// Waits for the next head: for its first byte as long as `patience`, from then on for `limit`.
    async fn next(&mut self, patience: Duration, limit: Duration) -> Next {
        let mut begun: Option<Instant> = None;
        loop {
            match head::take(&mut self.read) {
                Ok(Some(head)) => return Next::Head(Box::new(head)),
                Ok(None) => {}
                Err(fault) => return Next::Malformed(fault),
            }
            let wait = match self.read.is_empty() {
                true => patience,
                false => limit.saturating_sub(begun.get_or_insert_with(Instant::now).elapsed()),
            };
            self.read.reserve(USUAL_HEAD);
            match timeout(wait, self.stream.read_buf(&mut self.read)).await {
                Ok(Ok(1..)) => {}
                _ => return Next::Over,
            }
        }
    }
}
