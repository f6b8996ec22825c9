//! A control-plane instance: its feed, which follows the outbox, and what it holds of the streams.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use cargoman_edge_protocol::link::session::Session;
use cargoman_edge_protocol::link::{Closing, Event, FromControlPlane, Incarnation, Position, Seq};

use crate::database::Fact;
use crate::fact::Key;
use crate::network::Stream;
use crate::rules::Break;
use crate::scheduler::{ProcessId, Signal};
use crate::world::{GRACE, LEASE, World, instance_process};

/// How many events the feed remembers having handed out.
const RECENT: usize = 200;

/// A stream that is being served.
pub(crate) struct Joined {
    pub(crate) stream: Stream,
    pub(crate) session: RefCell<Session>,
    pub(crate) incarnation: Cell<Option<Incarnation>>,
    /// Leases to be granted once events up to these heads were sent.
    pub(crate) waiting: RefCell<Vec<(u64, Position)>>,
    /// It gets what the feed hands out. Before that it catches up by itself.
    pub(crate) follows: Cell<bool>,
    pub(crate) over: Cell<bool>,
}

pub(crate) struct Instance {
    pub(crate) world: Rc<World>,
    pub(crate) process: ProcessId,
    pub(crate) number: usize,
    position: Cell<Option<Position>>,
    recent: RefCell<VecDeque<Event>>,
    pub(crate) kick: Signal,
    pub(crate) sessions: RefCell<BTreeMap<u64, Rc<Joined>>>,
    pub(crate) asks: RefCell<Vec<(Rc<Joined>, u64)>>,
    pub(crate) asked: Signal,
    pub(crate) acked: Signal,
    /// The feed has moved.
    pub(crate) moved: Signal,
}

impl Instance {
    pub(crate) fn start(world: &Rc<World>, number: usize) -> Rc<Self> {
        let instance = Rc::new(Self {
            world: Rc::clone(world),
            process: instance_process(number),
            number,
            position: Cell::new(None),
            recent: RefCell::default(),
            kick: Signal::default(),
            sessions: RefCell::default(),
            asks: RefCell::default(),
            asked: Signal::default(),
            acked: Signal::default(),
            moved: Signal::default(),
        });
        let scheduler = &world.scheduler;
        scheduler.spawn(instance.process, Rc::clone(&instance).feed());
        scheduler.spawn(instance.process, Rc::clone(&instance).clerk());
        scheduler.spawn(instance.process, Rc::clone(&instance).flush_acks());
        instance
    }

    pub(crate) fn position(&self) -> Option<Position> {
        self.position.get()
    }

    pub(crate) fn streams(&self) -> Vec<Stream> {
        self.sessions.borrow().values().map(|joined| joined.stream.clone()).collect()
    }

    fn all(&self) -> Vec<Rc<Joined>> {
        self.sessions.borrow().values().cloned().collect()
    }

    /// Whether this very event was handed out.
    pub(crate) fn has_handed_out(&self, seq: Seq, event: uuid::Uuid) -> bool {
        self.recent.borrow().iter().any(|known| known.seq == seq && known.event == event)
    }

    /// Follows the outbox.
    async fn feed(self: Rc<Self>) {
        let scheduler = Rc::clone(&self.world.scheduler);
        loop {
            let _ = self.look().await;
            self.kick.wait(&scheduler, scheduler.now() + 1_000).await;
        }
    }

    async fn look(self: &Rc<Self>) -> Option<()> {
        let before = self.position();
        let head = self.world.ask(|database, _| database.number()).await?;
        self.world.judge.numbers(&self.world.database.borrow());
        if !self.verify(before, head).await {
            return None;
        }
        while let Some(position) = self.position().filter(|position| position.seq < head.seq) {
            let (epoch, rows) = self.world.ask(move |database, _| database.rows(position.seq)).await?;
            let continues = rows.first().is_some_and(|row| row.seq == position.seq && row.event == position.event)
                || position.seq == 0;
            if epoch != position.epoch || !continues {
                // Pruned or restored: nobody can go on from here.
                self.restored(position, rows.first().is_some_and(|row| row.seq == position.seq)).await;
                return None;
            }
            self.hand_out(epoch, &rows).await;
        }
        Some(())
    }

    /// Compares a head that was read after `before` was the position; begins anew when they are of two histories.
    pub(crate) async fn verify(self: &Rc<Self>, before: Option<Position>, head: Position) -> bool {
        let (Some(before), Some(now)) = (before, self.position()) else {
            if self.position().is_none() {
                self.begin_at(head);
            }
            return before.is_none();
        };
        if now.epoch != before.epoch {
            return false;
        }
        if head.epoch > before.epoch {
            self.begin_at(head);
            return false;
        }
        let same = head.epoch == before.epoch && head.seq >= before.seq;
        if !same || (head.seq == before.seq && head.event != before.event) {
            self.restored(before, true).await;
            return false;
        }
        true
    }

    async fn restored(self: &Rc<Self>, before: Position, certain: bool) {
        let raise = move |database: &mut crate::database::Database, _| {
            if certain && database.head.epoch <= before.epoch {
                database.raise_epoch(before.epoch);
            }
            database.number()
        };
        match self.world.ask(raise).await {
            Some(head) => self.begin_at(head),
            // Not even that is known: the next look begins at the beginning.
            None => self.forget(),
        }
    }

    fn forget(&self) {
        self.position.set(None);
        self.recent.borrow_mut().clear();
        self.all().iter().for_each(|joined| self.close(joined, Closing::Again));
    }

    fn begin_at(&self, head: Position) {
        self.world.scheduler.note(|| format!("instance {} begins at {}:{}", self.number, head.epoch, head.seq));
        self.forget();
        self.position.set(Some(head));
    }

    /// `rows` begin with the last one that was handed out.
    async fn hand_out(self: &Rc<Self>, epoch: i64, rows: &[Event]) {
        let Some(last) = rows.last() else { return };
        self.position.set(Some(Position { epoch, seq: last.seq, event: last.event }));
        self.recent.borrow_mut().extend(rows.iter().cloned());
        while self.recent.borrow().len() > RECENT {
            self.recent.borrow_mut().pop_front();
        }
        for joined in self.all() {
            if joined.follows.get() {
                self.send_events(&joined, epoch, rows);
            }
            self.world.scheduler.gap().await;
        }
        self.moved.raise(&self.world.scheduler);
        self.acked.raise(&self.world.scheduler);
    }

    pub(crate) fn send_events(&self, joined: &Joined, epoch: i64, rows: &[Event]) {
        if joined.over.get() {
            return;
        }
        let messages = joined.session.borrow_mut().send(epoch, rows);
        match messages {
            Ok(messages) => messages.iter().for_each(|message| joined.stream.to_edge.send(message.write())),
            Err(closing) => self.close(joined, closing),
        }
        self.grant(joined);
    }

    /// Grants what can be granted by now.
    pub(crate) fn grant(&self, joined: &Joined) {
        let waiting = joined.waiting.take();
        for (ask, head) in waiting {
            if joined.over.get() {
                return;
            }
            let granted = joined.session.borrow().grant(ask, head, LEASE, GRACE / 1_000);
            match granted {
                Ok(Some(lease)) => joined.stream.to_edge.send(FromControlPlane::Lease(lease).write()),
                Ok(None) => joined.waiting.borrow_mut().push((ask, head)),
                Err(closing) => self.close(joined, closing),
            }
        }
    }

    pub(crate) fn close(&self, joined: &Joined, reason: Closing) {
        if joined.over.replace(true) {
            return;
        }
        self.world.scheduler.note(|| format!("stream {} closed: {reason:?}", joined.stream.number));
        joined.stream.to_edge.send(FromControlPlane::Closing { reason }.write());
        self.world.close(&joined.stream);
        self.sessions.borrow_mut().remove(&joined.stream.number);
    }

    /// Reads a fact for an edge, with how new it is at least.
    pub(crate) async fn read(self: Rc<Self>, key: Key) -> Option<(Fact, Position)> {
        let read = self.world.ask(move |database, _| Some((*database.facts.get(&key)?, database.head)));
        let (fact, head) = read.await??;
        let stamp = if self.world.rules.is_broken(Break::StampFromMemory) { self.position()? } else { head };
        Some((fact, stamp))
    }
}
