//! A listener's connections: takes them, does their TLS, counts them, and stops taking them when the program is to end. What is
//! said on them is not its business.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; strangers who begin one and say nothing must not use up the memory.
const MOST_HANDSHAKES: usize = 256;
/// After a failure to take a connection: too many files are open, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the stop.
pub(crate) struct Connections {
    taken: mpsc::Receiver<(Connection, SocketAddr)>,
    address: SocketAddr,
    open: Open,
}

/// Knows when all connections are gone.
#[derive(Debug, Clone)]
pub(crate) struct Open(Arc<watch::Sender<usize>>);

impl Connections {
    /// Begins to take connections; with a configuration they speak TLS.
    pub(crate) fn take(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        stopped: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let open = Open(Arc::new(watch::Sender::new(0)));
        let (sender, taken) = mpsc::channel(1);
        let taking = take_all(listener, tls.map(TlsAcceptor::from), open.clone(), sender);
        tokio::spawn(async move {
            // The listener closes with the future that owns it.
            tokio::select! {
                () = stopped => {}
                () = taking => {}
            }
        });
        Ok(Self { taken, address, open })
    }

    pub(crate) fn open(&self) -> Open {
        self.open.clone()
    }
}

impl axum::serve::Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.taken.recv().await {
            Some(taken) => taken,
            // No more will come; those that are there go on.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn take_all(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    open: Open,
    sender: mpsc::Sender<(Connection, SocketAddr)>,
) {
    let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let counted = open.enter();
        // Small answers go out at once; a failure costs time only.
        stream.set_nodelay(true).ok();
        match &tls {
            None => {
                let connection = Connection { stream: Stream::Plain(stream), _counted: counted };
                if sender.send((connection, address)).await.is_err() {
                    return;
                }
            }
            Some(acceptor) => {
                let Ok(turn) = Arc::clone(&handshakes).acquire_owned().await else { return };
                let (accepting, sender) = (acceptor.accept(stream), sender.clone());
                tokio::spawn(async move {
                    let shaken = tokio::time::timeout(HANDSHAKE, accepting).await;
                    drop(turn);
                    match shaken {
                        Ok(Ok(stream)) => {
                            let stream = Stream::Tls(Box::new(stream));
                            // An error means that nobody serves any more.
                            sender.send((Connection { stream, _counted: counted }, address)).await.ok();
                        }
                        Ok(Err(error)) => tracing::debug!(%error, %address, "no TLS handshake"),
                        Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
                    }
                });
            }
        }
    }
}

impl Open {
    fn enter(&self) -> Counted {
        self.0.send_modify(|open| *open += 1);
        Counted(self.clone())
    }

    /// Waits until there are none.
    pub(crate) async fn none(&self) {
        // We hold the sender, so that it cannot fail.
        self.0.subscribe().wait_for(|open| *open == 0).await.ok();
    }
}

#[derive(Debug)]
struct Counted(Open);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    _counted: Counted,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
