//! Gives entries of the audit trail their places in the tenants' chains: after their commit, as events get their numbers, but off
//! the way of the write, which no edge waits for. Each instance tries; whoever comes second has nothing to do.

use std::time::Duration;

use tokio::sync::watch;

use crate::store::System;

const EVERY: Duration = Duration::from_secs(1);
/// A transaction's work.
const MOST: i32 = 500;

/// Chains until the stop.
pub(super) async fn run(system: &System, mut stop: watch::Receiver<bool>) {
    loop {
        let pause = match system.chain_audit(MOST).await {
            Ok(done) if done == i64::from(MOST) => Duration::ZERO,
            Ok(_) => EVERY,
            Err(error) => {
                // The feed says aloud that the database is away.
                tracing::debug!(%error, "cannot chain the audit trail; it is tried again");
                EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
