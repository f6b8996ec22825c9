//! Connections, from their first byte to their last: how many there may be, whose they are, and which requests come over them.
//!
//! Handshakes of TLS come first and count as connections. Heads of HTTP/1 are read here (`head.rs`, `http1.rs`), streams of HTTP/2
//! accepted here (`http2/`): what is malformed ends here, what Composer asks is answered here with one read and one write, and all
//! else goes to Pingora, one request at a time.

mod carried;
mod client;
pub(crate) mod head;
mod http1;
mod http2;
mod open;
mod origin;
mod pace;
mod sendfile;
pub(crate) mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

pub(crate) use self::client::{Client, client};
pub(crate) use self::http1::{Http1, USUAL_HEAD};
pub(crate) use self::http2::Http2;
pub(crate) use self::open::{Open, network};
pub(crate) use self::wire::Head;
use crate::edge::EdgeProxy;
use crate::observe::counters::{Counters, Event};
use crate::tls::Tls;

/// What serves the connections of the public listeners.
pub(crate) struct Connections {
    proxy: Arc<HttpProxy<EdgeProxy>>,
    http1: Http1,
    http2: Arc<Http2>,
    open: Arc<Open>,
    tls: Option<Tls>,
    counters: Arc<Counters>,
}

impl Connections {
    pub(crate) fn new(
        proxy: HttpProxy<EdgeProxy>,
        (http1, http2): (Http1, Http2),
        open: Arc<Open>,
        tls: Option<Tls>,
        counters: Arc<Counters>,
    ) -> Self {
        Self { proxy: Arc::new(proxy), http1, http2: Arc::new(http2), open, tls, counters }
    }
}

#[async_trait]
impl ServerApp for Connections {
    /// Lasts as long as the connection.
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let digest = stream.get_socket_digest();
        let peer = digest.as_deref().and_then(|digest| digest.peer_addr()?.as_inet());
        let Some(_counted) = self.open.enter(peer) else {
            self.counters.count(Event::ConnectionRefused);
            return None;
        };
        let listener = digest.as_deref().and_then(|digest| digest.local_addr()?.as_inet());
        let stream = match self.tls.as_ref().zip(listener).filter(|(tls, listener)| tls.is_for(**listener)) {
            Some((tls, _)) => {
                let stream = tls.accept(stream).await;
                self.counters.count(if stream.is_some() { Event::Handshake } else { Event::HandshakeFailed });
                stream?
            }
            None => stream,
        };
        match stream.selected_alpn_proto() {
            Some(ALPN::H2) => self.http2.serve(stream, &self.proxy, shutdown).await,
            _ => self.http1.serve(stream, &self.proxy, shutdown).await,
        }
        None
    }

    /// The listeners take no more. What is idle is not cut, as the proxy would do here: a request may be on its way. Whoever asks
    /// once more is told that it was the last time, and whoever does not is cut when the drain is over.
    async fn cleanup(&self) {
        self.open.closed();
    }
}
