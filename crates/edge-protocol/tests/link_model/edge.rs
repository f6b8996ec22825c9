//! An edge: its stream, what it does with the effects of frames, its state folder.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use cargoman_edge_protocol::Change;
use cargoman_edge_protocol::link::edge::{EdgeLink, Effect, Identity};
use cargoman_edge_protocol::link::{FromControlPlane, FromEdge, Position, Revoked};

use crate::cache::Cache;
use crate::disk::{Disk, Note};
use crate::fact::{Key, TENANT, digest, key, token};
use crate::network::Stream;
use crate::reading::Flight;
use crate::rules::Break;
use crate::scheduler::{Millis, ProcessId, Scheduler, Signal};
use crate::world::{World, edge_process};

/// How often a lease is asked for.
const RENEW_EVERY: Millis = 1_000;
/// How long a stream may bring no lease.
const SILENCE: Millis = 5_000;

pub(crate) struct Edge {
    pub(crate) world: Rc<World>,
    pub(crate) process: ProcessId,
    pub(crate) number: usize,
    link: RefCell<EdgeLink>,
    pub(crate) cache: RefCell<Cache>,
    pub(crate) leased_until: Cell<Millis>,
    pub(crate) stale_until: Cell<Millis>,
    pub(crate) leased: Signal,
    pub(crate) leaving: Cell<bool>,
    left: Cell<bool>,
    pub(crate) flights: RefCell<BTreeMap<Key, Rc<Flight>>>,
}

/// Whether the stream goes on.
#[derive(PartialEq, Eq)]
enum Goes {
    On,
    Over,
}

impl Edge {
    pub(crate) fn start(world: &Rc<World>, number: usize) -> Rc<Self> {
        let disk = world.disks[number].borrow();
        let identity = Identity {
            name: format!("edge {number}"),
            state: disk.state,
            incarnation: world.scheduler.uuid(),
            software: String::new(),
        };
        let cache = disk.load();
        let edge = Rc::new(Self {
            world: Rc::clone(world),
            process: edge_process(number),
            number,
            link: RefCell::new(EdgeLink::new(identity, cache.position)),
            cache: RefCell::new(cache),
            leased_until: Cell::new(0),
            stale_until: Cell::new(disk.stale_until),
            leased: Signal::default(),
            leaving: Cell::new(false),
            left: Cell::new(false),
            flights: RefCell::default(),
        });
        world.scheduler.spawn(edge.process, Rc::clone(&edge).run());
        world.scheduler.spawn(edge.process, Rc::clone(&edge).save());
        edge
    }

    fn scheduler(&self) -> &Rc<Scheduler> {
        &self.world.scheduler
    }

    pub(crate) fn disk(&self) -> &RefCell<Disk> {
        &self.world.disks[self.number]
    }

    /// Up to where the link is, for the judge.
    pub(crate) fn position(&self) -> Option<Position> {
        self.link.borrow().position()
    }

    async fn run(self: Rc<Self>) {
        while !self.left.get() {
            if let Some(stream) = self.world.connect(self.number).await {
                self.follow(&stream).await;
                self.world.close(&stream);
            }
            self.scheduler().sleep(100 + self.scheduler().below(400)).await;
        }
    }

    async fn follow(&self, stream: &Stream) {
        let scheduler = self.scheduler();
        let revoked_epoch = self.disk().borrow().revoked_epoch;
        let hello = self.link.borrow_mut().open(revoked_epoch);
        stream.to_instance.send(hello.write());
        let (mut next_ask, mut silent_at) = (scheduler.now(), scheduler.now() + SILENCE);
        let mut said_leaving = false;
        while !self.left.get() && scheduler.now() < silent_at {
            let frame = stream.to_edge.receive(next_ask.min(silent_at)).await;
            if frame.is_none() && stream.to_edge.is_broken() {
                return;
            }
            let now = scheduler.now();
            if now >= next_ask {
                let asking = self.link.borrow_mut().ask(now_of(now));
                next_ask = now + if asking.is_some() { RENEW_EVERY } else { 20 };
                scheduler.gap().await;
                asking.iter().for_each(|message| stream.to_instance.send(message.write()));
            }
            if self.leaving.get() && !said_leaving {
                said_leaving = true;
                stream.to_instance.send(FromEdge::Leaving.write());
            }
            if let Some(frame) = frame {
                let before = self.leased_until.get();
                if self.take(stream, &frame).await == Goes::Over {
                    return;
                }
                if self.leased_until.get() > before {
                    silent_at = scheduler.now() + SILENCE;
                }
            }
        }
    }

    async fn take(&self, stream: &Stream, frame: &str) -> Goes {
        let rules = self.world.rules;
        let mut frame = frame.to_owned();
        if rules.is_broken(Break::HeadIgnored)
            && let Ok(Some(FromControlPlane::Lease(mut lease))) = FromControlPlane::read(&frame)
        {
            lease.head = 0;
            frame = FromControlPlane::Lease(lease).write();
        }
        let mut effects = self.link.borrow_mut().receive(&frame);
        if rules.is_broken(Break::AckBeforeApply) {
            effects.sort_by_key(|effect| !matches!(effect, Effect::Send(_)));
        }
        let mut late_notes = Vec::new();
        for effect in effects {
            self.scheduler().gap().await;
            if self.put(stream, effect, &mut late_notes).await == Goes::Over {
                return Goes::Over;
            }
        }
        for note in late_notes {
            self.scheduler().gap().await;
            self.disk().borrow_mut().write(note);
        }
        Goes::On
    }

    async fn put(&self, stream: &Stream, effect: Effect, late_notes: &mut Vec<Note>) -> Goes {
        match effect {
            Effect::DropAll => self.note(Note::Dropped, late_notes).await,
            Effect::Apply(position, change) => {
                self.world.judge.applied(self.number, self.cache.borrow().position, position);
                if let Change::Token { digest, revoked: true, .. } = &change {
                    let mut disk = self.disk().borrow_mut();
                    disk.revoked.extend(token(digest));
                    disk.revoked_epoch.get_or_insert(position.epoch);
                }
                self.note(Note::Applied(position, key(&change)), late_notes).await;
            }
            Effect::Pass(position) => self.note(Note::Passed(position), late_notes).await,
            Effect::Send(message) => stream.to_instance.send(message.write()),
            Effect::HandOver => self.hand_over(stream).await,
            Effect::Leased { until, grace } => self.take_lease(stream, until, grace),
            Effect::Left => self.left.set(true),
            Effect::Close(_) => return Goes::Over,
        }
        Goes::On
    }

    /// First what is known changes, then the journal says so, and only then goes an ack out.
    async fn note(&self, note: Note, late_notes: &mut Vec<Note>) {
        let (number, rules) = (self.number, self.world.rules);
        self.scheduler().note(|| format!("edge {number}: {note:?}"));
        self.cache.borrow_mut().follow(note);
        if matches!(note, Note::Passed(_)) && rules.is_broken(Break::NoFloorAtStart) {
            self.cache.borrow_mut().without_floor();
        }
        if rules.is_broken(Break::JournalAfterAck) {
            late_notes.push(note);
            return;
        }
        self.scheduler().gap().await;
        self.disk().borrow_mut().write(note);
    }

    async fn hand_over(&self, stream: &Stream) {
        let tokens: Vec<_> = self.disk().borrow().revoked.iter().map(|number| (TENANT, digest(*number))).collect();
        let parts = tokens.len().div_ceil(2).max(1);
        for number in 0..parts {
            let part = tokens.iter().skip(2 * number).take(2).copied().collect();
            let part = FromEdge::Revoked(Revoked { tokens: part, last: number + 1 == parts });
            stream.to_instance.send(part.write());
            self.scheduler().gap().await;
        }
    }

    fn take_lease(&self, stream: &Stream, until: Duration, grace: Duration) {
        if self.leaving.get() {
            return;
        }
        let until = Millis::try_from(until.as_millis()).expect("small");
        let stale_until = until + Millis::try_from(grace.as_millis()).expect("small");
        let (number, now) = (self.number, self.scheduler().now());
        self.scheduler().note(|| format!("edge {number}: a lease until {until}, in {}", until.saturating_sub(now)));
        self.leased_until.set(until.max(self.leased_until.get()));
        self.stale_until.set(stale_until.max(self.stale_until.get()));
        let mut disk = self.disk().borrow_mut();
        disk.stale_until = self.stale_until.get();
        // No lease comes before the log was handed over.
        if disk.revoked_epoch.is_some() {
            disk.revoked_epoch = self.cache.borrow().position.map(|position| position.epoch);
        }
        disk.restores_known = self.world.judge.admitted_in(stream.number);
        drop(disk);
        self.leased.raise(self.scheduler());
    }

    /// Saves what is known, again and again.
    async fn save(self: Rc<Self>) {
        loop {
            self.scheduler().sleep(300 + self.scheduler().below(2_000)).await;
            self.scheduler().gap().await;
            let mut cache = self.cache.borrow().clone();
            if self.world.rules.is_broken(Break::SavedAhead) {
                cache.position = self.position();
            }
            let lines = self.disk().borrow().lines();
            self.scheduler().sleep(self.scheduler().below(10)).await;
            self.scheduler().gap().await;
            self.disk().borrow_mut().save(cache, lines);
        }
    }

    /// It stops serving, and says so. What it has saved is no good any more: nobody waits for it.
    pub(crate) fn leave(&self) {
        self.leaving.set(true);
        if !self.world.rules.is_broken(Break::LeftButSaved) {
            self.disk().borrow_mut().stale_until = 0;
        }
    }
}

fn now_of(now: Millis) -> Duration {
    Duration::from_millis(now)
}
