//! Numbers that only grow, for whoever watches an edge.

use std::sync::atomic::{AtomicU64, Ordering};

/// What an edge did since it started.
#[derive(Debug, Default)]
pub struct Counters {
    views_rendered: AtomicU64,
}

impl Counters {
    /// Documents of packages that were rendered: one for each set of rights in use, and anew when its package changes. Where it
    /// grows with the number of customers, they do not share what they should, or the cache is too small.
    #[must_use]
    pub fn views_rendered(&self) -> u64 {
        self.views_rendered.load(Ordering::Relaxed)
    }

    pub(crate) fn count_rendered_view(&self) {
        self.views_rendered.fetch_add(1, Ordering::Relaxed);
    }
}
