//! Where a connection comes from, which holds for every request on it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{SocketDigest, Stream};

use super::{Client, client};
use crate::tls::{self, Asked};

/// A connection's two ends, and what was said in its handshake.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    peer: Option<SocketAddr>,
    pub(super) listener: Option<SocketAddr>,
    pub(super) asked: Option<Asked>,
    /// As Pingora wants to be shown them.
    pub(super) socket: Option<Arc<SocketDigest>>,
    pub(super) tls: Option<Arc<SslDigest>>,
    pub(super) proxy: Option<Arc<ProxyDigest>>,
}

impl Origin {
    pub(super) fn of(stream: &Stream) -> Self {
        let socket = stream.get_socket_digest();
        let address = |address: Option<&pingora::protocols::l4::socket::SocketAddr>| address?.as_inet().copied();
        let proxy = stream.get_proxy_digest();
        Self {
            peer: socket.as_deref().and_then(|socket| address(socket.peer_addr())),
            listener: socket.as_deref().and_then(|socket| address(socket.local_addr())),
            asked: tls::asked(proxy.as_deref()).cloned(),
            socket,
            tls: stream.get_ssl_digest(),
            proxy,
        }
    }

    /// Whose a request with these fields is.
    pub(super) fn client(&self, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Option<Client> {
        client(self.peer.as_ref(), self.tls.is_some(), headers, trusted_proxies)
    }
}
