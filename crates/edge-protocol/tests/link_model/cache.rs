//! The stamp rule of edges: which of the facts that an edge keeps may be used.

use std::collections::BTreeMap;

use cargoman_edge_protocol::link::{Position, Seq};

use crate::database::Fact;
use crate::disk::Note;
use crate::fact::{BUCKETS, Key};
use crate::rules::{Break, Rules};

/// When a fact was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    generation: u64,
    seq: Seq,
}

/// When a fetch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    generation: u64,
    stream: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Cache {
    facts: BTreeMap<Key, (Stamp, Fact)>,
    last: [Seq; BUCKETS],
    generation: u64,
    /// Everything was dropped, and where things go on is not known yet.
    adrift: bool,
    /// Raised with every welcome.
    stream: u64,
    /// How far events were applied.
    pub(crate) position: Option<Position>,
}

impl Cache {
    /// Does what a line of the journal says.
    pub(crate) fn follow(&mut self, note: Note) {
        match note {
            Note::Applied(position, key) => {
                self.position = Some(position);
                if let Some(key) = key {
                    self.last[key.bucket()] = position.seq;
                }
            }
            Note::Passed(position) => {
                self.position = Some(position);
                self.stream += 1;
                if std::mem::take(&mut self.adrift) {
                    self.last = [position.seq; BUCKETS];
                }
            }
            Note::Dropped => {
                self.facts.clear();
                self.generation += 1;
                self.adrift = true;
            }
        }
    }

    /// Forgets the floor of the new start: only to break the rule.
    pub(crate) fn without_floor(&mut self) {
        self.last = [0; BUCKETS];
    }

    pub(crate) fn begin(&self) -> Begun {
        Begun { generation: self.generation, stream: self.stream }
    }

    /// The stamp of what was read `as_of` by a fetch that began then; none when it must not be kept.
    pub(crate) fn stamp(&self, begun: Begun, as_of: Position, rules: &Rules) -> Option<Stamp> {
        let position = self.position?;
        if rules.is_broken(Break::FillUnchecked) {
            return Some(Stamp { generation: self.generation, seq: Seq::MAX });
        }
        let epoch = as_of.epoch == position.epoch;
        let stream = begun.stream == self.stream || rules.is_broken(Break::FillOfAnotherStream);
        let capped = if rules.is_broken(Break::StampAhead) { as_of.seq } else { as_of.seq.min(position.seq) };
        (epoch && stream).then_some(Stamp { generation: begun.generation, seq: capped })
    }

    /// Whether a fact with this stamp may be used now.
    pub(crate) fn holds(&self, key: Key, stamp: Stamp) -> bool {
        !self.adrift && stamp.generation == self.generation && stamp.seq >= self.last[key.bucket()]
    }

    pub(crate) fn keep(&mut self, key: Key, stamp: Stamp, fact: Fact) {
        self.facts.insert(key, (stamp, fact));
    }

    pub(crate) fn get(&self, key: Key) -> Option<Fact> {
        let (stamp, fact) = self.facts.get(&key)?;
        self.holds(key, *stamp).then_some(*fact)
    }
}
