//! TLS with clients: which certificate they are shown, which protocols they are offered, how long a handshake may take.
//!
//! Must never show a certificate of one name to whoever asked for another, and takes nothing before the handshake is over (no 0-RTT).

mod certificates;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::{Stream, l4};
use pingora::time::timeout;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::ServerSessionMemoryCache;
use tokio_rustls::TlsAcceptor;

pub use self::certificates::CertificateFiles;
pub(crate) use self::certificates::Certificates;
pub(crate) use self::stream::{Asked, Secure, asked};

/// Sessions that can be taken up again by clients of TLS 1.2 without tickets.
const SESSIONS: usize = 4_096;

/// TLS of the listeners that have it.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    listeners: Vec<SocketAddr>,
    handshake: Duration,
}

/// AES with keys of 128 bits goes first: it is as safe for this, and large archives cost a quarter less than with 256.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let name = suite.suite().as_str().unwrap_or_default();
        (!name.starts_with("TLS13_"), !name.contains("AES_128"))
    });
    provider
}

impl Tls {
    /// For the listeners with these addresses.
    pub(crate) fn new(
        certificates: Arc<Certificates>,
        listeners: Vec<SocketAddr>,
        handshake: Duration,
    ) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ignore_client_order = true;
        // Its keys change every few hours and die with the process.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), listeners, handshake })
    }

    /// Whether connections to this address of ours begin with a handshake. An address of every interface is known by its port.
    pub(crate) fn is_for(&self, listener: SocketAddr) -> bool {
        let same = |tls: &SocketAddr| {
            tls.port() == listener.port() && (tls.ip().is_unspecified() || tls.ip() == listener.ip().to_canonical())
        };
        self.listeners.iter().any(same)
    }

    /// The connection behind a handshake; none when that fails or takes too long.
    pub(crate) async fn accept(&self, stream: Stream) -> Option<Stream> {
        let stream: Box<l4::stream::Stream> = stream.into_any().downcast().ok()?;
        match timeout(self.handshake, self.acceptor.accept(*stream)).await {
            Ok(Ok(stream)) => Some(Box::new(Secure::new(stream)?)),
            Ok(Err(error)) => {
                tracing::debug!(target: "cargoman::edge", %error, "a TLS handshake failed");
                None
            }
            Err(_) => None,
        }
    }
}
