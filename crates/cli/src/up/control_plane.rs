//! The control plane inside `up`: a thread with a runtime of its own.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use cargoman_control_plane::server::{Access, Server, Start};
use tokio::sync::{oneshot, watch};

use crate::exit::Failure;

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) public: SocketAddr,
    pub(super) edge: SocketAddr,
}

pub(super) struct Thread {
    handle: JoinHandle<Result<(), Failure>>,
    opened: mpsc::Receiver<Addresses>,
    address_of_edge: Option<mpsc::Sender<String>>,
}

/// What it is told while it runs.
pub(super) struct Signals {
    /// How the database is reached, once that is known.
    pub(super) access: oneshot::Receiver<Access>,
    /// Turns true when it is to end.
    pub(super) end: watch::Receiver<bool>,
    /// To be told when it ended.
    pub(super) stop_all: watch::Sender<bool>,
}

impl Thread {
    /// Starts it; it opens its listeners and then waits for [`Self::serve`].
    pub(super) fn start(start: Start, signals: Signals) -> Result<Self, Failure> {
        let (opened_sender, opened) = mpsc::channel();
        let (address_of_edge, address) = mpsc::channel();
        let handle = std::thread::Builder::new()
            .name("control-plane".to_owned())
            .spawn(move || {
                let stop_all = signals.stop_all.clone();
                let ended = run(start, &opened_sender, &address, signals);
                stop_all.send_replace(true);
                ended
            })
            .map_err(Failure::failed)?;
        Ok(Self { handle, opened, address_of_edge: Some(address_of_edge) })
    }

    /// Where it listens; none when it ended instead.
    pub(super) fn addresses(&self) -> Option<Addresses> {
        self.opened.recv().ok()
    }

    /// Lets it answer. `address_of_edge` is the public address unless another was configured.
    pub(super) fn serve(&mut self, address_of_edge: &str) {
        if let Some(sender) = self.address_of_edge.take() {
            // An error means that it ended already; joining tells why.
            sender.send(address_of_edge.to_owned()).ok();
        }
    }

    /// Waits for its end.
    pub(super) fn join(mut self) -> Result<(), Failure> {
        // Without an address it never serves, so this ends one that still waits.
        self.address_of_edge = None;
        self.handle.join().map_err(|_| Failure::failed("the control plane panicked; see the log"))?
    }
}

fn run(
    start: Start,
    opened: &mpsc::Sender<Addresses>,
    address_of_edge: &mpsc::Receiver<String>,
    signals: Signals,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let mut server = Server::bind(start).await?;
        let addresses = Addresses {
            public: server.public_address().map_err(Failure::failed)?,
            edge: server.edge_address().map_err(Failure::failed)?,
        };
        // An error on either channel means that the main thread gave up: nothing is to be served then.
        if opened.send(addresses).is_err() {
            return Ok(());
        }
        let Ok(address) = address_of_edge.recv() else { return Ok(()) };
        server.set_default_public_url(address);
        // Whoever could say where the database is tells himself why he does not.
        let access = async { signals.access.await.ok() };
        Ok(server.serve(access, signals.end).await?)
    })
}
