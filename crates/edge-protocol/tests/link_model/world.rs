//! Everything there is: the database and the way to it, instances, edges, the network, and who judges them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cargoman_edge_protocol::link::Position;
use uuid::Uuid;

use crate::database::{Database, Fact};
use crate::disk::Disk;
use crate::edge::Edge;
use crate::fact::Key;
use crate::instance::Instance;
use crate::judge::Judge;
use crate::network::{Line, Stream};
use crate::rules::Rules;
use crate::scheduler::{Millis, ProcessId, Scheduler, Signal, WORLD};

pub(crate) const INSTANCES: usize = 2;
pub(crate) const EDGES: usize = 3;

/// How long a lease lasts.
pub(crate) const LEASE: Millis = 3_000;
/// How long after it an edge may serve.
pub(crate) const GRACE: Millis = 6_000;
/// How long a call may take.
const CALL_LIMIT: Millis = 2_000;
const DATABASE_LIMIT: Millis = 8_000;

/// The way to the database.
#[derive(Default)]
pub(crate) struct Reach {
    pub(crate) hangs_until: Cell<Millis>,
    pub(crate) refuses_until: Cell<Millis>,
    /// Raised whenever all connections break.
    pub(crate) start: Cell<u32>,
    /// Which asking of which process takes long.
    pub(crate) slow: RefCell<BTreeMap<(ProcessId, u64), Millis>>,
    asked: RefCell<BTreeMap<ProcessId, u64>>,
}

impl Reach {
    /// The next askings of a process take long.
    pub(crate) fn slow_down(&self, process: ProcessId, which: u64, time: Millis) {
        let asked = self.asked.borrow().get(&process).copied().unwrap_or(0);
        let mut slow = self.slow.borrow_mut();
        slow.extend((0..64).filter(|next| which >> next & 1 == 1).map(|next| ((process, asked + 1 + next), time)));
    }

    fn slowness(&self, process: ProcessId) -> Millis {
        let mut asked = self.asked.borrow_mut();
        let number = asked.entry(process).or_default();
        *number += 1;
        self.slow.borrow_mut().remove(&(process, *number)).unwrap_or(0)
    }
}

pub(crate) struct World {
    pub(crate) scheduler: Rc<Scheduler>,
    pub(crate) rules: Rules,
    pub(crate) database: RefCell<Database>,
    pub(crate) backups: RefCell<Vec<Database>>,
    pub(crate) reach: Reach,
    pub(crate) lines: Vec<Line>,
    pub(crate) streams: RefCell<BTreeMap<usize, Stream>>,
    pub(crate) instances: RefCell<BTreeMap<usize, Rc<Instance>>>,
    pub(crate) edges: RefCell<BTreeMap<usize, Rc<Edge>>>,
    pub(crate) disks: Vec<RefCell<Disk>>,
    pub(crate) judge: Judge,
    next_stream: Cell<u64>,
}

pub(crate) const fn instance_process(number: usize) -> ProcessId {
    1 + number
}

pub(crate) const fn edge_process(number: usize) -> ProcessId {
    1 + INSTANCES + number
}

impl World {
    pub(crate) fn new(seed: u64, rules: Rules, traced: bool) -> Rc<Self> {
        let scheduler = Scheduler::new(seed, traced);
        let world = Rc::new(Self {
            rules,
            database: RefCell::new(Database::new(Uuid::nil())),
            backups: RefCell::default(),
            reach: Reach::default(),
            lines: (0..EDGES).map(|_| Line::default()).collect(),
            streams: RefCell::default(),
            instances: RefCell::default(),
            edges: RefCell::default(),
            disks: (0..EDGES).map(|_| RefCell::new(Disk::new(scheduler.uuid()))).collect(),
            judge: Judge::default(),
            next_stream: Cell::new(1),
            scheduler,
        });
        (0..INSTANCES).for_each(|number| world.start_instance(number));
        (0..EDGES).for_each(|number| world.start_edge(number));
        world
    }

    pub(crate) fn start_instance(self: &Rc<Self>, number: usize) {
        self.scheduler.note(|| format!("instance {number} starts"));
        self.instances.borrow_mut().insert(number, Instance::start(self, number));
    }

    pub(crate) fn start_edge(self: &Rc<Self>, number: usize) {
        self.scheduler.note(|| format!("edge {number} starts"));
        self.edges.borrow_mut().insert(number, Edge::start(self, number));
    }

    /// Ends a process as `kill -9` does.
    pub(crate) fn kill(self: &Rc<Self>, process: ProcessId) {
        self.scheduler.note(|| format!("process {process} is killed"));
        self.scheduler.kill(process);
        for number in 0..INSTANCES {
            if process == instance_process(number)
                && let Some(instance) = self.instances.borrow_mut().remove(&number)
            {
                instance.streams().iter().for_each(|stream| self.close(stream));
            }
        }
        for number in 0..EDGES {
            if process == edge_process(number) && self.edges.borrow_mut().remove(&number).is_some() {
                self.streams.borrow().get(&number).iter().for_each(|stream| self.close(stream));
            }
        }
    }

    /// Starts it again.
    pub(crate) fn start(self: &Rc<Self>, process: ProcessId) {
        let instance = (0..INSTANCES).find(|number| process == instance_process(*number));
        let edge = (0..EDGES).find(|number| process == edge_process(*number));
        match (instance, edge) {
            (Some(number), _) if !self.instances.borrow().contains_key(&number) => self.start_instance(number),
            (_, Some(number)) if !self.edges.borrow().contains_key(&number) => self.start_edge(number),
            _ => {}
        }
    }

    /// Does something in the database at one moment, and tells, if the answer comes back. What is asked may happen though no answer
    /// comes.
    pub(crate) async fn ask<R: 'static>(
        self: &Rc<Self>,
        act: impl FnOnce(&mut Database, Millis) -> R + 'static,
    ) -> Option<R> {
        let (world, start) = (Rc::clone(self), self.reach.start.get());
        let slowness = self.reach.slowness(self.scheduler.process());
        // Either the question or the answer is slow.
        let (before, after) = if self.scheduler.chance(50) { (slowness, 0) } else { (0, slowness) };
        let answer = async move {
            world.travel().await;
            world.scheduler.sleep(before).await;
            while world.reach.hangs_until.get() > world.scheduler.now() {
                world.scheduler.sleep(50).await;
            }
            let lost = || world.reach.start.get() != start || world.reach.refuses_until.get() > world.scheduler.now();
            if lost() {
                return None;
            }
            let result = act(&mut world.database.borrow_mut(), world.scheduler.now());
            world.travel().await;
            world.scheduler.sleep(after).await;
            (!lost()).then_some(result)
        };
        self.scheduler.gap().await;
        let answer = self.elsewhere(WORLD, DATABASE_LIMIT, answer).await;
        self.scheduler.gap().await;
        answer.flatten()
    }

    /// Runs something in another process and waits for it.
    pub(crate) async fn elsewhere<R: 'static>(
        self: &Rc<Self>,
        process: ProcessId,
        limit: Millis,
        work: impl Future<Output = R> + 'static,
    ) -> Option<R> {
        let slot: Rc<(RefCell<Option<R>>, Signal)> = Rc::default();
        let (fills, scheduler) = (Rc::clone(&slot), Rc::clone(&self.scheduler));
        self.scheduler.spawn(process, async move {
            let value = work.await;
            fills.0.replace(Some(value));
            fills.1.raise(&scheduler);
        });
        let until = self.scheduler.now() + limit;
        while slot.0.borrow().is_none() && self.scheduler.now() < until {
            slot.1.wait(&self.scheduler, until).await;
        }
        slot.0.take()
    }

    async fn travel(&self) {
        self.scheduler.clone().sleep(1 + self.scheduler.below(4)).await;
    }

    /// An edge reads a fact through some instance.
    pub(crate) async fn fetch(self: &Rc<Self>, edge: usize, key: Key) -> Option<(Fact, Position)> {
        self.travel().await;
        let line = &self.lines[edge];
        let now = self.scheduler.now();
        let through = [line.up.cut_until.get(), line.down.cut_until.get(), line.refuses_until.get()];
        if through.iter().any(|until| *until > now) {
            self.scheduler.sleep(CALL_LIMIT).await;
            return None;
        }
        let number = self.scheduler.below(INSTANCES as u64) as usize;
        let instance = self.instances.borrow().get(&number).cloned()?;
        let reply = async move { instance.read(key).await };
        let reply = self.elsewhere(instance_process(number), CALL_LIMIT, reply).await.flatten();
        self.travel().await;
        if self.scheduler.chance(5) {
            self.scheduler.sleep(self.scheduler.below(CALL_LIMIT)).await;
        }
        reply
    }

    /// An edge opens a stream to some instance.
    pub(crate) async fn connect(self: &Rc<Self>, edge: usize) -> Option<Stream> {
        self.travel().await;
        let line = &self.lines[edge];
        let number = self.scheduler.below(INSTANCES as u64) as usize;
        let instance = self.instances.borrow().get(&number).cloned()?;
        if line.refuses_until.get() > self.scheduler.now() {
            return None;
        }
        let stream = Stream::new(&self.scheduler, self.next_stream.get(), &line.down, &line.up);
        self.next_stream.set(stream.number + 1);
        self.scheduler.note(|| format!("edge {edge} opens stream {} to instance {number}", stream.number));
        self.streams.borrow_mut().insert(edge, stream.clone());
        instance.accept(stream.clone());
        Some(stream)
    }

    /// A stream ends; both ends learn it in a while.
    pub(crate) fn close(&self, stream: &Stream) {
        for pipe in [&stream.to_edge, &stream.to_instance] {
            let (pipe, scheduler) = (Rc::clone(pipe), Rc::clone(&self.scheduler));
            let time = if self.scheduler.chance(80) { 6 } else { self.scheduler.below(3_000) };
            self.scheduler.spawn(WORLD, async move {
                scheduler.sleep(time).await;
                pipe.break_off();
            });
        }
    }
}
