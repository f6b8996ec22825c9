//! What Pingora runs: the service on its listeners, and all that goes on beside requests.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;

use crate::cache::memory::Memory;
use crate::connection::Connections;
use crate::link::spool::Sender;
use crate::observe::metrics::{Listener, Metrics};
use crate::request::Parts;
use crate::tls::Certificates;

/// Pingora's service on listeners that are bound already: it finds them where a process that took over from another would.
pub(super) struct Bound {
    pub(super) service: pingora::services::listening::Service<Connections>,
    pub(super) listeners: Vec<(SocketAddr, TcpListener)>,
    pub(super) stopping: ShutdownWatch,
    pub(super) background: Option<Background>,
    pub(super) threads: usize,
}

#[async_trait]
impl Service for Bound {
    async fn start_service(&mut self, fds: Option<ListenFds>, _: ShutdownWatch, listeners_per_fd: usize) {
        if let Some(fds) = &fds {
            let mut table = fds.lock();
            for (address, listener) in self.listeners.drain(..) {
                table.add(address.to_string(), listener.into_raw_fd());
            }
        }
        if let Some(background) = self.background.take() {
            background.start();
        }
        // Our own watch, not the server's: the server's only turns after the drain.
        self.service.start_service(fds, self.stopping.clone(), listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        "edge"
    }

    fn threads(&self) -> Option<usize> {
        Some(self.threads)
    }
}

/// What goes on beside requests.
pub(super) struct Background {
    pub(super) sender: Sender,
    pub(super) parts: Arc<Parts>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) memory: Arc<Memory>,
    pub(super) metrics: Option<(Listener, Metrics)>,
}

impl Background {
    /// Inside a runtime.
    fn start(self) {
        let parts = self.parts;
        if let Some(traces) = &parts.traces {
            traces.start(tokio::runtime::Handle::current());
        }
        tokio::spawn(self.memory.run());
        tokio::spawn(self.certificates.follow());
        tokio::spawn(self.sender.run());
        tokio::spawn(Arc::clone(&parts.uses).run(Arc::clone(&parts.spool)));
        if let Some((listener, metrics)) = self.metrics {
            tokio::spawn(listener.serve(metrics, Arc::clone(&parts)));
        }
        tokio::spawn(async move { parts.dists.adopt((parts.now)().timestamp()).await });
    }
}
