//! What must hold, and who says when it does not.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use cargoman_edge_protocol::link::Position;
use uuid::Uuid;

use crate::database::{Database, Fact};
use crate::fact::Key;

/// When a read began: what was promised then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    version: u64,
    restores: u32,
}

#[derive(Default)]
pub(crate) struct Judge {
    promised: RefCell<BTreeMap<Key, u64>>,
    pub(crate) restores: Cell<u32>,
    versions: Cell<u64>,
    /// Versions that a restore lost.
    lost: RefCell<Vec<(Key, RangeInclusive<u64>)>>,
    /// In which restore each stream was taken in.
    admitted: RefCell<BTreeMap<u64, u32>>,
    verdict: RefCell<Option<String>>,
    pub(crate) answers: Cell<u64>,
    pub(crate) effective: Cell<u64>,
    pub(crate) late: Cell<u64>,
}

impl Judge {
    pub(crate) fn next_version(&self) -> u64 {
        self.versions.set(self.versions.get() + 1);
        self.versions.get()
    }

    pub(crate) fn fault(&self, what: String) {
        self.verdict.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn verdict(&self) -> Option<String> {
        self.verdict.borrow().clone()
    }

    /// What was promised to somebody who asks now.
    pub(crate) fn promise(&self, key: Key) -> Promise {
        let version = self.promised.borrow().get(&key).copied().unwrap_or(0);
        Promise { version, restores: self.restores.get() }
    }

    /// A writer was told that his change is effective; members were read when there had been `restores` restores.
    pub(crate) fn told(&self, key: Key, version: u64, restores: u32, database: &Database) {
        // Looked at before a restore: somebody may have written it again since it was lost, with a newer version.
        let before = restores != self.restores.get() && self.is_lost(key, version);
        let lost = before || database.facts.get(&key).is_none_or(|fact| fact.version < version);
        if lost && restores == self.restores.get() {
            self.fault(format!("version {version} of {key:?} was said to be effective, but it is lost"));
        }
        if !lost {
            self.effective.set(self.effective.get() + 1);
            let mut promised = self.promised.borrow_mut();
            let before = promised.entry(key).or_default();
            *before = version.max(*before);
        }
    }

    /// The database was restored: what it lost was promised in vain.
    pub(crate) fn restored(&self, before: &Database, database: &Database) {
        for (key, fact) in &database.facts {
            let newest = before.facts.get(key).map_or(0, |fact| fact.version);
            self.lost.borrow_mut().push((*key, fact.version + 1..=newest));
        }
        self.restores.set(self.restores.get() + 1);
        for (key, version) in self.promised.borrow_mut().iter_mut() {
            *version = database.facts.get(key).map_or(0, |fact| fact.version).min(*version);
        }
    }

    /// Whether a restore lost this version. An edge that fetched it before its event had a number, or before anybody heard of that
    /// event, shares the whole history with the restored database: nobody can know that it knows too much.
    pub(crate) fn is_lost(&self, key: Key, version: u64) -> bool {
        self.lost.borrow().iter().any(|(lost, versions)| *lost == key && versions.contains(&version))
    }

    pub(crate) fn admitted(&self, stream: u64) {
        self.admitted.borrow_mut().insert(stream, self.restores.get());
    }

    pub(crate) fn admitted_in(&self, stream: u64) -> u32 {
        self.admitted.borrow().get(&stream).copied().unwrap_or(0)
    }

    /// An edge answered. An edge that was not taken in since the last restore cannot know of it, nor can anybody know of him.
    pub(crate) fn answered(&self, edge: usize, known: u32, key: Key, promise: Promise, fact: &Fact) {
        self.answers.set(self.answers.get() + 1);
        if known != self.restores.get() {
            return;
        }
        let now = self.promise(key).version;
        let least = if promise.restores == self.restores.get() { promise.version } else { promise.version.min(now) };
        if fact.version < least {
            let version = fact.version;
            self.fault(format!("edge {edge} answered version {version} of {key:?} after {least} was effective"));
        }
    }

    /// An edge applies an event.
    pub(crate) fn applied(&self, edge: usize, before: Option<Position>, event: Position) {
        let follows = before.is_some_and(|before| before.epoch == event.epoch && before.seq + 1 == event.seq);
        if !follows {
            self.fault(format!("edge {edge} applied {event:?} after {before:?}"));
        }
    }

    /// Numbers are without gaps, and no event has two.
    pub(crate) fn numbers(&self, database: &Database) {
        let numbered: Vec<(i64, Uuid)> = database.outbox.iter().filter_map(|row| Some((row.seq?, row.event))).collect();
        let in_order = numbered.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0 && pair[0].1 != pair[1].1);
        let ends = numbered.last().is_none_or(|last| *last == (database.head.seq, database.head.event));
        if !in_order || !ends {
            self.fault(format!("numbers {numbered:?}, head {:?}", database.head));
        }
    }
}
