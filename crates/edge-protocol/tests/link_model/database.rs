//! The one database: facts, the outbox that is numbered after commit, members. What happens here happens at one moment.

use std::collections::BTreeMap;

use cargoman_edge_protocol::Change;
use cargoman_edge_protocol::link::session::{Admission, admission};
use cargoman_edge_protocol::link::{Epoch, Event, Hello, Incarnation, Position, Seq};
use uuid::Uuid;

use crate::fact::{Key, Value, change};
use crate::rules::{Break, Rules};
use crate::scheduler::Millis;

/// How long after its last possible use a member's row is struck off.
const GONE_AFTER: Millis = 2_000;

/// A fact. Versions are never given twice, not even after a restore, so that the model knows older from newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) version: u64,
    pub(crate) value: Value,
    /// The event that this version stands in.
    pub(crate) event: Uuid,
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) seq: Option<Seq>,
    pub(crate) event: Uuid,
    pub(crate) change: Change,
}

#[derive(Debug, Clone)]
pub(crate) struct MemberRow {
    pub(crate) name: String,
    pub(crate) state: Uuid,
    pub(crate) epoch: Epoch,
    pub(crate) acked: Seq,
    pub(crate) lease_ends: Millis,
    pub(crate) stale_until: Millis,
}

#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) facts: BTreeMap<Key, Fact>,
    pub(crate) outbox: Vec<Row>,
    pub(crate) head: Position,
    pub(crate) members: BTreeMap<Incarnation, MemberRow>,
}

/// What a waiter reads in one moment.
pub(crate) struct Standing {
    pub(crate) now: Millis,
    pub(crate) epoch: Epoch,
    /// Number of the event asked about; none when it is lost.
    pub(crate) seq: Option<Seq>,
    pub(crate) members: Vec<(Incarnation, MemberRow)>,
    /// The tenant's mode, and the number of the event that set it, while the outbox still has it.
    pub(crate) mode: (Value, Option<Seq>),
}

impl Database {
    pub(crate) fn new(event: Uuid) -> Self {
        let fact = |key: Key| (key, Fact { version: 0, value: key.at_first(), event: Uuid::nil() });
        Self {
            facts: Key::all().map(fact).collect(),
            outbox: Vec::new(),
            head: Position { epoch: 1, seq: 0, event },
            members: BTreeMap::new(),
        }
    }

    /// Commits a change with its event, unnumbered. A token that is ended stays so.
    pub(crate) fn write(&mut self, key: Key, value: Value, version: u64, event: Uuid) -> bool {
        let Some(fact) = self.facts.get_mut(&key) else { return false };
        if fact.value == Value::Revoked {
            return false;
        }
        *fact = Fact { version, value, event };
        self.outbox.push(Row { seq: None, event, change: change(key, value) });
        true
    }

    /// The SQL function `number_outbox()`.
    pub(crate) fn number(&mut self) -> Position {
        for row in self.outbox.iter_mut().filter(|row| row.seq.is_none()) {
            self.head = Position { seq: self.head.seq + 1, event: row.event, ..self.head };
            row.seq = Some(self.head.seq);
        }
        self.head
    }

    /// At most 20 rows from `seq` on, with the present epoch.
    pub(crate) fn rows(&self, seq: Seq) -> (Epoch, Vec<Event>) {
        let numbered = self.outbox.iter().filter_map(|row| Some((row.seq?, row)));
        let event = |(seq, row): (Seq, &Row)| Event {
            seq,
            event: row.event,
            optional: false,
            change: serde_json::to_value(&row.change).expect("a change"),
        };
        (self.head.epoch, numbered.filter(|(at, _)| *at >= seq).take(20).map(event).collect())
    }

    /// Whether this event is (still) the one with this number.
    pub(crate) fn has(&self, seq: Seq, event: Uuid) -> bool {
        self.head.seq == seq && self.head.event == event
            || self.outbox.iter().any(|row| row.seq == Some(seq) && row.event == event)
    }

    /// Forgets old rows.
    pub(crate) fn prune(&mut self) {
        let oldest = self.head.seq - 3;
        self.outbox.retain(|row| row.seq.is_none_or(|seq| seq > oldest));
    }

    pub(crate) fn raise_epoch(&mut self, above: Epoch) -> Position {
        self.head.epoch = self.head.epoch.max(above) + 1;
        self.head
    }

    /// Decides how an edge is taken in and notes it as a member.
    pub(crate) fn admit(&mut self, hello: &Hello, rules: &Rules) -> (Admission, Position) {
        let head = self.number();
        let at = |position: Position| self.outbox.iter().find(|row| row.seq == Some(position.seq));
        let found = hello.position.and_then(at).map(|row| row.event);
        let mut taken = admission(hello.position, head, found);
        if taken == Admission::Restored {
            self.raise_epoch(hello.position.map_or(0, |position| position.epoch));
            taken = Admission::Resync;
        }
        let resumed = hello.position.filter(|_| taken == Admission::Resume);
        // An edge that is to drop everything has not done so yet: it may still serve what it knew.
        let mut acked = resumed.map_or(0, |position| position.seq);
        if rules.is_broken(Break::AckedAtAdmission) {
            acked = resumed.unwrap_or(self.head).seq;
        }
        let mut row = MemberRow {
            name: hello.name.clone(),
            state: hello.state,
            epoch: self.head.epoch,
            acked,
            lease_ends: 0,
            stale_until: 0,
        };
        for (incarnation, old) in self.members.extract_if(.., |_, old| old.state == hello.state) {
            if incarnation == hello.incarnation && old.epoch == row.epoch {
                row.acked = row.acked.max(old.acked);
            }
            if !rules.is_broken(Break::NothingInherited) {
                row.lease_ends = row.lease_ends.max(old.lease_ends);
                row.stale_until = row.stale_until.max(old.stale_until);
            }
        }
        self.members.insert(hello.incarnation, row);
        (taken, self.head)
    }

    /// Notes when leases will end at the latest; gives those whose members are there.
    pub(crate) fn note_leases(
        &mut self,
        who: &[Incarnation],
        lease_ends: Millis,
        stale_until: Millis,
    ) -> Vec<Incarnation> {
        let mut noted = Vec::new();
        for incarnation in who {
            if let Some(row) = self.members.get_mut(incarnation) {
                row.lease_ends = row.lease_ends.max(lease_ends);
                row.stale_until = row.stale_until.max(stale_until);
                noted.push(*incarnation);
            }
        }
        noted
    }

    /// Notes acks that were given in the history that `sent` is of.
    pub(crate) fn note_ack(&mut self, who: Incarnation, acked: Seq, sent: Position, rules: &Rules) -> bool {
        let known = self.has(sent.seq, sent.event) || rules.is_broken(Break::AcksOfAnotherHistory);
        let Some(row) = self.members.get_mut(&who) else { return false };
        let same_epoch = row.epoch == sent.epoch;
        if known && same_epoch {
            row.acked = row.acked.max(acked);
        }
        known
    }

    /// Strikes off those who can serve nothing any more.
    pub(crate) fn strike_off(&mut self, now: Millis) {
        self.members.retain(|_, row| row.lease_ends.max(row.stale_until) == 0 || row.stale_until + GONE_AFTER > now);
    }

    pub(crate) fn standing(&self, event: Uuid, now: Millis) -> Standing {
        let seq = |event: Uuid| self.outbox.iter().find(|row| row.event == event).and_then(|row| row.seq);
        let mode = self.facts.get(&Key::Tenant).map_or((Value::ServeStale, None), |fact| (fact.value, seq(fact.event)));
        let members = self.members.iter().map(|(incarnation, row)| (*incarnation, row.clone())).collect();
        Standing { now, epoch: self.head.epoch, seq: seq(event), members, mode }
    }
}
