//! Forgets what has served its time: deletions that can no longer be undone, what the brake counts no more, single downloads.

use std::time::Duration;

use crate::state::State;
use crate::store::StoreError;

/// All deletes look at an index or at a small table; nothing depends on when exactly they run.
const EVERY: Duration = Duration::from_secs(600);

/// Purges now and then, for as long as the program runs. Several instances may do so at once.
pub(super) async fn run(state: State) {
    loop {
        match once(&state).await {
            Ok(0) => {}
            Ok(deletions) => tracing::info!(deletions, "deletions can no longer be undone: purged"),
            Err(error) => tracing::warn!(%error, "cannot purge old deletions; trying again later"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Purges once; how many deletions went.
async fn once(state: &State) -> Result<u64, StoreError> {
    let system = state.database.system();
    system.purge_access_losses().await?;
    system.purge_usage().await?;
    system.purge_deliveries().await?;
    system.purge_deletions().await
}
