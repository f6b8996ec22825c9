//! The connection to the control plane: what is asked there, what is heard from there, and how long it may be believed.

mod beside;
pub(crate) mod control_plane;
mod effects;
pub(crate) mod lease;
pub(crate) mod reading;
mod revoked;
pub(crate) mod saved;
pub(crate) mod socket;
pub(crate) mod spool;
pub(crate) mod state;
mod stream;
pub(crate) mod tls;
pub(crate) mod token_uses;
pub(crate) mod usage;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use cargoman_edge_protocol::link::edge::{EdgeLink, Identity};
use tokio::sync::watch;
use uuid::Uuid;

use self::control_plane::ControlPlane;
use self::effects::Effects;
use self::lease::{Lease, boot_time};
use self::reading::Reading;
use self::revoked::Revoked;
use self::saved::{Clocks, Saved};
use self::socket::Connector;
use self::state::{OpenStateError, StateFolder};
use crate::cache::kept::Kept;
use crate::cache::stamps::Stamps;
use crate::cache::views::Views;
use crate::config::EdgeConfig;

/// The edge's end of the link, not started yet.
pub(crate) struct Link {
    machine: EdgeLink,
    effects: Effects,
    connector: Connector,
    leave_at_stop: bool,
    _folder: StateFolder,
}

/// A running link. Dropped without [`Self::stop`], it ends as if killed.
pub(crate) struct Running {
    leave: watch::Sender<Option<bool>>,
    thread: JoinHandle<()>,
    saved: Arc<Saved>,
    leave_at_stop: bool,
    now: fn() -> chrono::DateTime<chrono::Utc>,
    _folder: StateFolder,
}

impl Link {
    /// Takes over what the run before left in the state folder, and says how requests get their facts.
    ///
    /// # Errors
    /// When the state folder cannot be used.
    pub(crate) fn new(
        config: &EdgeConfig,
        folder: StateFolder,
        control_plane: Arc<ControlPlane>,
        connector: Connector,
        (facts, views): (Arc<Kept>, Arc<Views>),
        now: fn() -> chrono::DateTime<chrono::Utc>,
    ) -> Result<(Self, Reading), OpenStateError> {
        let stamps = Arc::new(Stamps::new());
        let lease = Arc::new(Lease::new(config.longest_grace, boot_time));
        let clocks = Clocks { boot: boot_id(), home: folder.home(), since_boot: boot_time(), wall: now() };
        let credential = config.control_plane.credential.expose();
        let revoked = Revoked::open(&folder.path, now());
        let opened = Saved::open(&folder.path, credential, &clocks, &revoked.tokens(), &facts, &stamps);
        let (saved, loaded) = opened.map_err(|error| OpenStateError::Io(folder.path.clone(), error))?;
        if loaded.position.is_some() {
            tracing::info!(target: "cargoman::edge", facts = loaded.facts, "took over the saved state");
        }
        if let Some((until, grace)) = loaded.lease {
            lease.granted(until, grace);
        }
        let saved = Arc::new(saved);
        let identity = Identity {
            name: config.name.clone(),
            state: folder.id,
            incarnation: Uuid::now_v7(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let effects = Effects {
            lease: Arc::clone(&lease),
            stamps: Arc::clone(&stamps),
            facts: Arc::clone(&facts),
            views,
            saved: Arc::clone(&saved),
            revoked,
            now,
            lease_saved: None,
            heard: loaded.position.is_some(),
            failure: None,
        };
        let machine = EdgeLink::new(identity, loaded.position);
        let reading = Reading::new(control_plane, facts, stamps, lease, saved);
        let link = Self { machine, effects, connector, leave_at_stop: config.leave_at_stop, _folder: folder };
        Ok((link, reading))
    }

    /// Starts it on a thread of its own: a busy edge must not be late with an acknowledgement.
    pub(crate) fn start(self) -> std::io::Result<Running> {
        let Self { machine, effects, connector, leave_at_stop, _folder } = self;
        let (leave, leaving) = watch::channel(None);
        let (saved, now) = (Arc::clone(&effects.saved), effects.now);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || runtime.block_on(stream::run(machine, effects, connector, leaving)))?;
        Ok(Running { leave, thread, saved, leave_at_stop, now, _folder })
    }
}

impl Running {
    /// Ends it: the edge serves nothing any more, says farewell if it should, and its state goes to the disk.
    pub(crate) fn stop(self) {
        self.leave.send_replace(Some(self.leave_at_stop));
        if self.thread.join().is_err() {
            tracing::error!(target: "cargoman::edge", "the thread of the link panicked");
        }
        self.saved.close((self.now)());
    }
}

/// Another one after each start of the machine.
fn boot_id() -> String {
    let id = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"));
    id.map(|id| id.trim().to_owned()).unwrap_or_else(|_| Uuid::now_v7().to_string())
}
