//! Looks at repositories of which nobody says when they change. Those whose forge tells us of pushes are looked at seldom, in case that
//! something it told was lost.

use std::time::Duration;

use crate::state::State;
use crate::store::polls::Rhythm;

/// How often is looked whose turn it is.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Packages at once: more than are read meanwhile need not wait in the queue.
const MOST: i64 = 50;
/// A hook that was heard within this still works, as far as we know.
const HEARD: Duration = Duration::from_secs(3 * 24 * 3600);
/// Where a hook works, polls are so many times as seldom.
const SELDOM: u32 = 24;

/// Polls for as long as the program runs. Several instances may do so at once.
pub(super) async fn run(state: State) {
    tokio::join!(packages(&state), groups(&state));
}

/// Groups at forges: what became a package there without anybody telling us.
async fn groups(state: &State) {
    let every = Duration::from_secs(state.config.git.group_minutes * 60);
    if every.is_zero() {
        return;
    }
    loop {
        match state.database.system().queue_group_polls(every, MOST).await {
            Ok(0) => {}
            Ok(_) => state.jobs_waiting.notify_one(),
            Err(error) => tracing::warn!(%error, "cannot look which groups are to be polled; trying again"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn packages(state: &State) {
    let every = Duration::from_secs(state.config.git.poll_minutes * 60);
    if every.is_zero() {
        return;
    }
    let rhythm = Rhythm { every, with_hook: every * SELDOM, heard: HEARD };
    loop {
        match state.database.system().queue_polls(rhythm, MOST).await {
            Ok(0) => {}
            Ok(_) => state.jobs_waiting.notify_one(),
            Err(error) => tracing::warn!(%error, "cannot look which repositories are to be polled; trying again"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
