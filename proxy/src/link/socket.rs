//! Opens a WebSocket to a control plane's edge API.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cargoman_edge_protocol::link::{LINK_PATH, MOST_FRAME};
use futures::FutureExt;
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::Url;

use super::beside::first_good;

/// An instance that did not answer within this may be held up: the next one is tried beside it.
const BESIDE: Duration = Duration::from_millis(900);
/// How long opening a stream may take; on a slow network it takes its time.
const OPEN: Duration = Duration::from_secs(8);

/// A connection, with TLS or without.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// An open stream.
pub(super) type Socket = WebSocketStream<Box<dyn Transport>>;

/// Why no stream could be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// Nobody answers.
    #[error("{address}: {error}; is the control plane running, and is control_plane.edge_url its edge API?")]
    Unreachable { address: String, error: std::io::Error },
    /// Not in time.
    #[error("{0}: no answer in time")]
    Late(String),
    /// Not as it should be.
    #[error(
        "{address}: {error}; is control_plane.edge_url the edge API of a control plane of this release or a later one?"
    )]
    Refused { address: String, error: String },
    /// The credential is not good.
    #[error("{0}: the credential of this edge is refused; join it anew with a join token")]
    Credential(String),
    /// The edge was fenced.
    #[error("{0}: this edge was fenced")]
    Fenced(String),
    /// The address makes no sense.
    #[error("{0}: not an address of a control plane")]
    Address(String),
}

/// Opens streams, to one address after another.
pub(crate) struct Connector {
    addresses: Vec<Url>,
    authorization: HeaderValue,
    tls: Arc<ClientConfig>,
    next: AtomicUsize,
}

impl Connector {
    /// Streams to these addresses.
    pub(crate) fn new(addresses: Vec<Url>, authorization: HeaderValue, tls: Arc<ClientConfig>) -> Self {
        Self { addresses, authorization, tls, next: AtomicUsize::new(0) }
    }

    /// Opens a stream to the address that gives one first. They are tried one after another, beginning after the one before; one
    /// that takes long goes on while the next is tried.
    pub(super) async fn connect(&self) -> Result<Socket, ConnectError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.addresses.len().max(1);
        let mut tries = Vec::with_capacity(self.addresses.len());
        for address in self.addresses.iter().cycle().skip(first).take(self.addresses.len()) {
            tries.push(self.open_in_time(address).boxed());
        }
        let opened = first_good(tries, BESIDE).await;
        opened.map_err(|last| last.unwrap_or_else(|| ConnectError::Address("control_plane.edge_url".to_owned())))
    }

    async fn open_in_time(&self, address: &Url) -> Result<Socket, ConnectError> {
        let late = |_| ConnectError::Late(address.to_string());
        timeout(OPEN, self.open(address)).await.map_err(late)?
    }

    async fn open(&self, address: &Url) -> Result<Socket, ConnectError> {
        let bad = || ConnectError::Address(address.to_string());
        let (host, port) = address.host_str().zip(address.port_or_known_default()).ok_or_else(bad)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let unreachable = |error| ConnectError::Unreachable { address: address.to_string(), error };
        let tcp = TcpStream::connect((bare, port)).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let transport: Box<dyn Transport> = match address.scheme() {
            "https" => {
                let name = ServerName::try_from(bare.to_owned()).map_err(|_| bad())?;
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.tls));
                Box::new(connector.connect(name, tcp).await.map_err(unreachable)?)
            }
            _ => Box::new(tcp),
        };
        let mut request = format!("ws://{host}:{port}{LINK_PATH}").into_client_request().map_err(|_| bad())?;
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        let config = WebSocketConfig::default().max_message_size(Some(MOST_FRAME)).max_frame_size(Some(MOST_FRAME));
        match client_async_with_config(request, transport, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status() == StatusCode::UNAUTHORIZED => {
                Err(ConnectError::Credential(address.to_string()))
            }
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status() == StatusCode::GONE => {
                Err(ConnectError::Fenced(address.to_string()))
            }
            Err(error) => Err(ConnectError::Refused { address: address.to_string(), error: error.to_string() }),
        }
    }
}
