//! Simulated time: tasks of processes that wait, are held up between any two steps, and die. The same seed gives the same schedule.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use cargoman_testkit::random::Random;

/// Milliseconds since the beginning.
pub(crate) type Millis = u64;

/// Whom a task belongs to. Number 0 is the world itself, which is never held up.
pub(crate) type ProcessId = usize;

/// The world itself: clients, the network, the database.
pub(crate) const WORLD: ProcessId = 0;

type Work = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    process: ProcessId,
    future: Option<Work>,
}

/// The clock and all tasks.
pub(crate) struct Scheduler {
    now: Cell<Millis>,
    order: Cell<u64>,
    current: Cell<u64>,
    next_task: Cell<u64>,
    queue: RefCell<BinaryHeap<Reverse<(Millis, u64, u64)>>>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    stalled: RefCell<BTreeMap<ProcessId, Millis>>,
    random: RefCell<Random>,
    trace: RefCell<Option<Vec<String>>>,
    strikes: RefCell<Strikes>,
    struck: Signal,
}

/// What happens to a process between two of its steps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Strike {
    Stall(Millis),
    Kill,
}

#[derive(Default)]
struct Strikes {
    planned: BTreeMap<(ProcessId, u64), Strike>,
    counted: BTreeMap<ProcessId, u64>,
    kills: Vec<ProcessId>,
}

impl Scheduler {
    pub(crate) fn new(seed: u64, traced: bool) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(0),
            order: Cell::new(0),
            current: Cell::new(0),
            next_task: Cell::new(1),
            queue: RefCell::default(),
            tasks: RefCell::default(),
            stalled: RefCell::default(),
            random: RefCell::new(Random::new(seed)),
            trace: RefCell::new(traced.then(Vec::new)),
            strikes: RefCell::default(),
            struck: Signal::default(),
        })
    }

    pub(crate) fn now(&self) -> Millis {
        self.now.get()
    }

    /// A number below `limit`.
    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.random.borrow_mut().draw() % limit.max(1)
    }

    /// Whether something happens that happens `percent` times of a hundred.
    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn uuid(&self) -> uuid::Uuid {
        let mut random = self.random.borrow_mut();
        uuid::Uuid::from_u64_pair(random.draw(), random.draw())
    }

    /// Notes a step for people, if this run is to be read.
    pub(crate) fn note(&self, say: impl FnOnce() -> String) {
        if let Some(trace) = self.trace.borrow_mut().as_mut() {
            trace.push(format!("{:>7} {}", self.now(), say()));
        }
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.trace.borrow_mut().take().unwrap_or_default()
    }

    /// Starts a task of a process.
    pub(crate) fn spawn(&self, process: ProcessId, future: impl Future<Output = ()> + 'static) {
        let id = self.next_task.get();
        self.next_task.set(id + 1);
        self.tasks.borrow_mut().insert(id, Task { process, future: Some(Box::pin(future)) });
        self.wake(id, self.now());
    }

    fn wake(&self, task: u64, at: Millis) {
        let order = self.order.get();
        self.order.set(order + 1);
        self.queue.borrow_mut().push(Reverse((at.max(self.now()), order, task)));
    }

    /// Holds a process up as SIGSTOP does.
    pub(crate) fn stall(&self, process: ProcessId, until: Millis) {
        self.stalled.borrow_mut().insert(process, until);
    }

    /// Ends all tasks of a process as `kill -9` does. Only the world may call it.
    pub(crate) fn kill(&self, process: ProcessId) {
        assert_ne!(process, WORLD);
        self.stalled.borrow_mut().remove(&process);
        let dead: Vec<Task> = {
            let mut tasks = self.tasks.borrow_mut();
            tasks.extract_if(.., |_, task| task.process == process).map(|(_, task)| task).collect()
        };
        drop(dead);
    }

    /// Ends everything.
    pub(crate) fn kill_all(&self) {
        let dead = self.tasks.take();
        drop(dead);
    }

    /// Lets every process that is held up go on.
    pub(crate) fn resume_all(&self) {
        let now = self.now();
        for until in self.stalled.borrow_mut().values_mut() {
            *until = now.min(*until);
        }
    }

    /// Runs until `end`, or until `stop` says so.
    pub(crate) fn run(&self, end: Millis, stop: impl Fn() -> bool) {
        loop {
            let Some(Reverse((at, order, id))) = self.queue.borrow_mut().pop() else { break };
            if at > end {
                self.queue.borrow_mut().push(Reverse((at, order, id)));
                break;
            }
            self.now.set(at.max(self.now()));
            self.step(id);
            if stop() {
                return;
            }
        }
        self.now.set(end);
    }

    fn step(&self, id: u64) {
        let mut future = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(&id) else { return };
            if let Some(until) = self.stalled.borrow().get(&task.process)
                && *until > self.now()
            {
                // Looked at again soon: the end of a stall may be brought forward.
                self.wake(id, (*until).min(self.now() + 500));
                return;
            }
            let Some(future) = task.future.take() else { return };
            future
        };
        self.current.set(id);
        let over = future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let mut tasks = self.tasks.borrow_mut();
        if over {
            tasks.remove(&id);
        } else if let Some(task) = tasks.get_mut(&id) {
            task.future = Some(future);
        }
    }

    /// Waits.
    pub(crate) fn sleep(self: &Rc<Self>, time: Millis) -> impl Future<Output = ()> + use<> {
        let (scheduler, until, mut first) = (Rc::clone(self), self.now() + time, true);
        std::future::poll_fn(move |_| {
            if scheduler.now() >= until && !first {
                return Poll::Ready(());
            }
            if first {
                first = false;
                scheduler.wake(scheduler.current.get(), until);
            }
            Poll::Pending
        })
    }

    /// The gap between two steps, where anything else may happen; the plan may hold the process up or end it right here.
    pub(crate) async fn gap(self: &Rc<Self>) {
        self.strike();
        let time = if self.chance(90) { 0 } else { self.below(3) };
        self.sleep(time).await;
    }

    /// The process whose task runs.
    pub(crate) fn process(&self) -> ProcessId {
        self.tasks.borrow().get(&self.current.get()).map_or(WORLD, |task| task.process)
    }

    fn strike(&self) {
        let process = self.process();
        let mut strikes = self.strikes.borrow_mut();
        let number = strikes.counted.entry(process).or_default();
        *number += 1;
        let at = (process, *number);
        match strikes.planned.remove(&at) {
            Some(Strike::Stall(time)) => {
                self.note(|| format!("process {process} is held up for {time}"));
                self.stall(process, self.now() + time);
            }
            Some(Strike::Kill) => {
                strikes.kills.push(process);
                self.struck.raise(self);
            }
            None => {}
        }
    }

    /// What shall happen in which gap of which process.
    pub(crate) fn plan(&self, process: ProcessId, gap: u64, strike: Strike) {
        self.strikes.borrow_mut().planned.insert((process, gap), strike);
    }

    /// Nothing more strikes.
    pub(crate) fn calm(&self) {
        self.strikes.borrow_mut().planned.clear();
    }

    /// Processes that must be killed now.
    pub(crate) async fn next_kills(self: &Rc<Self>) -> Vec<ProcessId> {
        self.struck.wait(self, self.now() + 1_000).await;
        std::mem::take(&mut self.strikes.borrow_mut().kills)
    }
}

/// Something that tasks wait for.
#[derive(Default)]
pub(crate) struct Signal {
    times: Cell<u64>,
    waiting: RefCell<Vec<u64>>,
}

impl Signal {
    /// Wakes everyone who waits.
    pub(crate) fn raise(&self, scheduler: &Scheduler) {
        self.times.set(self.times.get() + 1);
        for task in self.waiting.take() {
            scheduler.wake(task, scheduler.now());
        }
    }

    /// Waits for the next [`Self::raise`], at most until `until`.
    pub(crate) async fn wait(&self, scheduler: &Rc<Scheduler>, until: Millis) {
        let (before, mut first) = (self.times.get(), true);
        std::future::poll_fn(move |_| {
            if self.times.get() != before || (scheduler.now() >= until && !first) {
                return Poll::Ready(());
            }
            if first {
                first = false;
                scheduler.wake(scheduler.current.get(), until);
            }
            self.waiting.borrow_mut().push(scheduler.current.get());
            Poll::Pending
        })
        .await;
    }
}
