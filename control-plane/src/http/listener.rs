//! A listener's connections: takes them, does their TLS, counts them, and stops taking them when the program is to end. What is
//! said on them is not its business. It must never let those who say nothing keep out those who do.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; strangers who begin one and say nothing must not use up the memory. With one more the oldest is given up: one
/// that is meant takes milliseconds.
const MOST_HANDSHAKES: usize = 256;
/// Connections at once. With more there would be no files left for the database and the storage.
const MOST_CONNECTIONS: usize = 8_192;
/// After a failure to take a connection: too many files are open, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the stop.
pub(crate) struct Connections {
    taken: mpsc::Receiver<Connection>,
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
    ) -> Self {
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
        Self { taken, open }
    }

    pub(crate) fn open(&self) -> Open {
        self.open.clone()
    }

    /// The next one; none once the stop came.
    pub(crate) async fn next(&mut self) -> Option<Connection> {
        self.taken.recv().await
    }
}

async fn take_all(listener: TcpListener, tls: Option<TlsAcceptor>, open: Open, sender: mpsc::Sender<Connection>) {
    let mut handshakes = Handshakes::default();
    loop {
        open.fewer_than(MOST_CONNECTIONS).await;
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
                if sender.send(connection).await.is_err() {
                    return;
                }
            }
            Some(acceptor) => {
                let (accepting, sender) = (acceptor.accept(stream), sender.clone());
                handshakes.begin(async move {
                    match tokio::time::timeout(HANDSHAKE, accepting).await {
                        Ok(Ok(stream)) => {
                            let stream = Stream::Tls(Box::new(stream));
                            // An error means that nobody serves any more.
                            sender.send(Connection { stream, _counted: counted }).await.ok();
                        }
                        Ok(Err(error)) => tracing::debug!(%error, %address, "no TLS handshake"),
                        Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
                    }
                });
            }
        }
    }
}

/// Those under way, oldest first.
#[derive(Default)]
struct Handshakes(VecDeque<AbortHandle>);

impl Handshakes {
    fn begin(&mut self, handshake: impl Future<Output = ()> + Send + 'static) {
        if self.0.len() >= MOST_HANDSHAKES {
            self.0.retain(|handshake| !handshake.is_finished());
        }
        if self.0.len() >= MOST_HANDSHAKES
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(tokio::spawn(handshake).abort_handle());
    }
}

impl Open {
    fn enter(&self) -> Counted {
        self.0.send_modify(|open| *open += 1);
        Counted(self.clone())
    }

    /// Waits until there are none.
    pub(crate) async fn none(&self) {
        self.fewer_than(1).await;
    }

    async fn fewer_than(&self, most: usize) {
        // We hold the sender, so that it cannot fail.
        self.0.subscribe().wait_for(|open| *open < most).await.ok();
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
