//! Reports of installs on their way to the control plane. Handing one in never waits; when the way is blocked, reports are dropped
//! and counted, because a customer's `composer install` is worth more than its count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cargoman_edge_protocol::InstallReport;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::control_plane::ControlPlane;

/// Most reports that wait.
const WAITING: usize = 1_024;

/// Where reports are handed in.
pub(crate) struct Installs {
    sender: Sender<InstallReport>,
    dropped: AtomicU64,
}

/// Both ends: the one that takes reports, and the one to be [`forward`]ed.
pub(crate) fn installs() -> (Installs, Receiver<InstallReport>) {
    let (sender, receiver) = channel(WAITING);
    (Installs { sender, dropped: AtomicU64::new(0) }, receiver)
}

impl Installs {
    /// Takes a report in, or drops it.
    pub(crate) fn hand_in(&self, report: InstallReport) {
        if self.sender.try_send(report).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(target: "cargoman::edge", dropped, "reports of installs are being dropped");
            }
        }
    }
}

/// Sends reports one after another until the other end is gone.
pub(crate) async fn forward(mut reports: Receiver<InstallReport>, control_plane: Arc<ControlPlane>) {
    while let Some(report) = reports.recv().await {
        if let Err(error) = control_plane.report(&report).await {
            tracing::warn!(target: "cargoman::edge", %error, "a report of installs was lost");
        }
    }
}
