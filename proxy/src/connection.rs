//! Connections: how many there may be, and whose they are.
//!
//! The client's address is the peer's, unless the peer is a proxy that the configuration trusts; then it is the right-most address
//! that no trusted proxy has. Nothing else a client sends can change it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use ipnet::IpNet;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::sync::{Notify, watch};

use crate::edge::EdgeProxy;

/// The proxy behind a bound on connections.
pub(crate) struct Bounded {
    proxy: Arc<HttpProxy<EdgeProxy>>,
    open: Arc<Open>,
}

impl Bounded {
    pub(crate) fn new(proxy: HttpProxy<EdgeProxy>, open: Arc<Open>) -> Self {
        Self { proxy: Arc::new(proxy), open }
    }
}

#[async_trait]
impl ServerApp for Bounded {
    /// Lasts as long as the connection.
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let _counted = self.open.enter()?;
        self.proxy.process_new(stream, shutdown).await
    }

    /// The listeners take no more. What is idle is not cut, as the proxy would do here: a request may be on its way. Whoever asks
    /// once more is told that it was the last time, and whoever does not is cut when the drain is over.
    async fn cleanup(&self) {
        self.open.closed();
    }
}

/// A connection that was taken last may not have begun to count.
const BEGINS: Duration = Duration::from_millis(50);
/// The longest that the listeners may take until they are closed.
const CLOSES: Duration = Duration::from_secs(1);

/// Counts open connections.
pub(crate) struct Open {
    closed: watch::Sender<bool>,
    count: AtomicUsize,
    most: usize,
    none: Notify,
}

impl Open {
    /// At most `most` at a time.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { closed: watch::Sender::new(false), count: AtomicUsize::new(0), most, none: Notify::new() })
    }

    fn enter(self: &Arc<Self>) -> Option<Counted> {
        let counted = Counted(Arc::clone(self));
        let before = self.count.fetch_add(1, Ordering::AcqRel);
        (before < self.most).then_some(counted)
    }

    /// No more will come.
    fn closed(&self) {
        self.closed.send_replace(true);
    }

    /// Waits until no more come and all that came are counted.
    pub(crate) async fn wait_for_closed(&self) {
        let mut closed = self.closed.subscribe();
        let closing = tokio::time::timeout(CLOSES, closed.wait_for(|closed| *closed)).await.is_ok();
        if !closing {
            tracing::warn!(target: "cargoman::edge", "the listeners did not close in time");
        }
        tokio::time::sleep(BEGINS).await;
    }

    /// Waits until there are none.
    pub(crate) async fn wait_for_none(&self) {
        loop {
            let none = self.none.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

struct Counted(Arc<Open>);

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

/// Who is behind a connection, and whether he speaks TLS to the first machine of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) secure: bool,
}

/// The client of a request that came over a connection from `peer`.
pub(crate) fn client(peer: Option<&SocketAddr>, tls: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Option<Client> {
    let peer = peer?.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return Some(Client { address: peer, secure: tls });
    }
    let secure = headers.get("x-forwarded-proto").map_or(tls, |proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    Some(Client { address: forwarded_for(headers, is_trusted).unwrap_or(peer), secure })
}

/// None when the list is missing, malformed, or of trusted addresses only.
fn forwarded_for(headers: &HeaderMap, is_trusted: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let mut addresses = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        for part in value.to_str().ok()?.split(',') {
            addresses.push(part.trim().parse::<IpAddr>().ok()?.to_canonical());
        }
    }
    addresses.into_iter().rev().find(|address| !is_trusted(address))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(peer: &str, fields: &[(&'static str, &str)]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let client = client(Some(&SocketAddr::new(peer.parse().unwrap(), 1)), false, &headers, &trusted).unwrap();
        (client.address.to_string(), client.secure)
    }

    /// E-L1, E-L2.
    #[test]
    fn addresses() {
        const FOR: &str = "x-forwarded-for";
        for (peer, fields, expected) in [
            ("192.0.2.1", vec![], "192.0.2.1"),
            ("192.0.2.1", vec![(FOR, "198.51.100.1")], "192.0.2.1"),
            ("192.0.2.1", vec![("forwarded", "for=198.51.100.1"), ("x-real-ip", "198.51.100.1")], "192.0.2.1"),
            ("10.0.0.1", vec![(FOR, "198.51.100.1")], "198.51.100.1"),
            ("::ffff:10.0.0.1", vec![(FOR, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", vec![(FOR, "127.0.0.1, 198.51.100.1, 10.0.0.2")], "198.51.100.1"),
            ("10.0.0.1", vec![(FOR, "203.0.113.9"), (FOR, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", vec![(FOR, "198.51.100.1, nonsense")], "10.0.0.1"),
            ("10.0.0.1", vec![(FOR, "10.0.0.3, 10.0.0.2")], "10.0.0.1"),
            ("fd00::1", vec![(FOR, "2001:db8::1")], "2001:db8::1"),
        ] {
            assert_eq!(of(peer, &fields).0, expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn schemes() {
        assert!(!of("192.0.2.1", &[("x-forwarded-proto", "https")]).1);
        assert!(of("10.0.0.1", &[("x-forwarded-proto", "https")]).1);
        assert!(!of("10.0.0.1", &[("x-forwarded-proto", "http")]).1);
    }

    #[tokio::test]
    async fn bounded_and_drained() {
        let open = Open::new(2);
        let (first, second) = (open.enter(), open.enter());
        assert!(first.is_some() && second.is_some() && open.enter().is_none());
        drop(first);
        assert!(open.enter().is_some());
        let waiting = tokio::spawn({
            let open = Arc::clone(&open);
            async move { open.wait_for_none().await }
        });
        drop(second);
        tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await.unwrap().unwrap();
    }
}
