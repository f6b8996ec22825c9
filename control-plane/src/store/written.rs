//! Notes for a call what it wrote that edges must hear of, so that no handler has to think of it. Whoever wants to know calls the
//! work inside [`Written::over`]; every commit that put something into the outbox says so there.

use std::sync::{Arc, Mutex, PoisonError};

use cargoman_edge_protocol::TenantId;
use tokio::time::Instant;

tokio::task_local! {
    static WRITTEN: Written;
}

/// What one call wrote.
#[derive(Debug, Clone, Default)]
pub struct Written {
    last: Arc<Mutex<Option<Wrote>>>,
}

/// Something that edges must hear of.
#[derive(Debug, Clone, Copy)]
pub struct Wrote {
    /// Whose.
    pub tenant: TenantId,
    /// After the last commit.
    pub committed: Instant,
}

impl Written {
    /// Runs the work and notes what it writes.
    pub async fn over<F: Future>(&self, work: F) -> F::Output {
        WRITTEN.scope(self.clone(), work).await
    }

    /// What was written, if anything was.
    #[must_use]
    pub fn wrote(&self) -> Option<Wrote> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was committed just now. Where nobody asks, nothing is noted.
    pub(super) fn note(tenant: TenantId) {
        let wrote = Wrote { tenant, committed: Instant::now() };
        let note = |written: &Self| *written.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(wrote);
        // An error means that nobody asks.
        WRITTEN.try_with(note).ok();
    }
}
