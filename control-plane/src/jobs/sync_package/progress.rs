//! Says how far a sync is, for whoever looks at its task. Never so often that the saying costs more than the sync.

use std::time::{Duration, Instant};

use crate::domain::job::Progress;
use crate::git::protocol::Phase;
use crate::state::State;
use crate::store::jobs::Claimed;

/// Short syncs say nothing: they are over before anybody looks.
const EVERY: Duration = Duration::from_millis(300);

/// What was last said.
pub(super) struct Told<'a> {
    state: &'a State,
    job: &'a Claimed,
    at: Instant,
}

impl<'a> Told<'a> {
    pub(super) fn new(state: &'a State, job: &'a Claimed) -> Self {
        Self { state, job, at: Instant::now() }
    }

    /// Says it, unless something was said a moment ago. That it cannot be said is no reason to stop.
    pub(super) async fn progress(&mut self, phase: Phase, done: u64, total: u64) {
        if self.at.elapsed() < EVERY {
            return;
        }
        self.at = Instant::now();
        let phase = serde_json::to_value(phase).ok().and_then(|phase| phase.as_str().map(str::to_owned));
        let progress = Progress { phase: phase.unwrap_or_default(), done, total };
        let Ok(progress) = serde_json::to_value(progress) else { return };
        if let Err(error) = self.state.database.system().note_progress(self.job, &progress).await {
            tracing::debug!(%error, job = %self.job.id, "cannot note how far a job is");
        }
    }
}
