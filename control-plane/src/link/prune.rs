//! Forgets, every few minutes, what nobody asks for any more.

use std::time::Duration;

use tokio::sync::watch;

use crate::store::{StoreError, System};

const EVERY: Duration = Duration::from_secs(600);

/// Prunes until the stop.
pub(super) async fn run(system: &System, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = prune(system).await {
            tracing::warn!(%error, "cannot drop old events and edges that are long gone; it is tried again");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn prune(system: &System) -> Result<(), StoreError> {
    let (events, members) = (system.prune_outbox().await?, system.prune_members().await?);
    if events + members > 0 {
        tracing::info!(events, members, "dropped old events and edges that are long gone");
    }
    Ok(())
}
