//! What an edge has in its state folder: a saved state, a journal of what came after it, the log of revoked tokens.

use std::collections::BTreeSet;

use cargoman_edge_protocol::link::{Epoch, Position};
use uuid::Uuid;

use crate::cache::Cache;
use crate::fact::Key;
use crate::scheduler::Millis;

/// A line of the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Note {
    Applied(Position, Option<Key>),
    Passed(Position),
    Dropped,
}

#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) state: Uuid,
    saved: Cache,
    journal: Vec<Note>,
    /// How many lines were ever struck off the journal's beginning.
    struck: usize,
    pub(crate) revoked: BTreeSet<u8>,
    pub(crate) revoked_epoch: Option<Epoch>,
    /// Until when the saved state may be served from.
    pub(crate) stale_until: Millis,
    /// How often the database had been restored when this edge was last taken in. Only the judge looks at it.
    pub(crate) restores_known: u32,
}

impl Disk {
    pub(crate) fn new(state: Uuid) -> Self {
        Self {
            state,
            saved: Cache::default(),
            journal: Vec::new(),
            struck: 0,
            revoked: BTreeSet::new(),
            revoked_epoch: None,
            stale_until: 0,
            restores_known: 0,
        }
    }

    pub(crate) fn write(&mut self, note: Note) {
        self.journal.push(note);
    }

    /// How many lines there ever were.
    pub(crate) fn lines(&self) -> usize {
        self.struck + self.journal.len()
    }

    /// Saves what held when the journal had `lines` lines.
    pub(crate) fn save(&mut self, cache: Cache, lines: usize) {
        self.saved = cache;
        let old = lines.saturating_sub(self.struck).min(self.journal.len());
        self.journal.drain(..old);
        self.struck += old;
    }

    /// What a start finds.
    pub(crate) fn load(&self) -> Cache {
        let mut cache = self.saved.clone();
        for note in &self.journal {
            cache.follow(*note);
        }
        cache
    }
}
