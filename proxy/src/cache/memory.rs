//! Everything that is kept in memory, under the one bound of `cache.metadata_bytes`.

use std::sync::Arc;
use std::time::Duration;

use super::kept::Kept;
use super::room::divide;
use super::views::{Rooms, Views};
use crate::observe::counters::Counters;

/// Facts and documents.
pub(crate) struct Memory {
    /// For what can grow large.
    bound: u64,
    pub(crate) facts: Arc<Kept>,
    pub(crate) views: Arc<Views>,
}

/// Of sixteen parts of the memory, what hosts, collections and directories have together. It is not moved.
const SMALL: u64 = 1;

/// Shares of the rest: documents, who is shown which, documents in other codings, root files, accesses, packages.
const SHARES: [u64; 6] = [11, 2, 2, 1, 8, 8];

/// How often rooms are divided anew.
const EVERY: Duration = Duration::from_secs(1);

impl Memory {
    /// Room for `bytes`.
    pub(crate) fn new(bytes: u64, counters: Arc<Counters>) -> Self {
        let small = bytes / 16 * SMALL;
        let bound = bytes - small;
        // As if everybody were full: each has its own share.
        let [documents, shown, recoded, roots, accesses, packages] = divide(bound, SHARES, [bound; 6]);
        Self {
            bound,
            facts: Arc::new(Kept::new(small, accesses, packages)),
            views: Arc::new(Views::new(Rooms { documents, shown, recoded, roots }, counters)),
        }
    }

    /// Moves room to where it is needed, for as long as the process runs.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.move_rooms();
        }
    }

    /// What is taken by what, in bytes.
    pub(crate) fn taken(&self) -> [(&'static str, u64); 7] {
        let Rooms { documents, shown, recoded, roots } = self.views.taken();
        let facts = &self.facts;
        let others = facts.tenants.bytes() + facts.collections.bytes() + facts.directories.bytes();
        [
            ("documents", documents),
            ("choices_of_documents", shown),
            ("documents_in_other_codings", recoded),
            ("root_files", roots),
            ("tokens", facts.accesses.bytes()),
            ("packages", facts.packages.bytes()),
            ("other_facts", others),
        ]
    }

    fn move_rooms(&self) {
        let Rooms { documents, shown, recoded, roots } = self.views.taken();
        let (accesses, packages) = (&self.facts.accesses, &self.facts.packages);
        let taken = [documents, shown, recoded, roots, accesses.bytes(), packages.bytes()];
        let [documents, shown, recoded, roots, of_accesses, of_packages] = divide(self.bound, SHARES, taken);
        self.views.resize(Rooms { documents, shown, recoded, roots });
        accesses.resize(of_accesses);
        packages.resize(of_packages);
    }
}
