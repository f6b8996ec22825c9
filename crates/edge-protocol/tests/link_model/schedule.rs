//! Runs one plan to its end.

use std::rc::Rc;

use crate::fact::{Key, Value};
use crate::network::Mangle;
use crate::plan::{CALM_AT, Plan, Step};
use crate::rules::Rules;
use crate::scheduler::{Millis, WORLD};
use crate::world::{EDGES, INSTANCES, World, edge_process, instance_process};

/// By then everything must be as if nothing had happened.
const WHOLE_AT: Millis = CALM_AT + 14_000;
/// When the last change must be effective.
const END: Millis = WHOLE_AT + 6_000;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) fault: Option<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) answers: u64,
    pub(crate) effective: u64,
    pub(crate) late: u64,
}

pub(crate) fn run(plan: &Plan, rules: Rules, traced: bool) -> Outcome {
    let world = World::new(plan.seed, rules, traced);
    for (at, step) in &plan.steps {
        if let Step::Strike { process, gap, strike } = *step {
            world.scheduler.plan(process, gap, strike);
        }
        if let Step::Slow { process, asking, time } = *step {
            world.reach.slow.borrow_mut().insert((process, asking), time);
        }
        let (world, at, step) = (Rc::clone(&world), *at, *step);
        let scheduler = Rc::clone(&world.scheduler);
        scheduler.clone().spawn(WORLD, async move {
            scheduler.sleep(at).await;
            world.take(step).await;
        });
    }
    world.scheduler.spawn(WORLD, strikes(Rc::clone(&world)));
    world.scheduler.spawn(WORLD, calm(Rc::clone(&world)));
    let judged = Rc::clone(&world);
    world.scheduler.run(END, move || judged.judge.verdict().is_some());
    let outcome = Outcome {
        fault: world.judge.verdict(),
        trace: world.scheduler.take_trace(),
        answers: world.judge.answers.get(),
        effective: world.judge.effective.get(),
        late: world.judge.late.get(),
    };
    // Tasks hold the world, and the world holds the tasks.
    (1..=INSTANCES + EDGES).for_each(|process| world.scheduler.kill(process));
    world.scheduler.kill_all();
    world.instances.borrow_mut().clear();
    world.edges.borrow_mut().clear();
    outcome
}

/// Ends the processes that the plan ends between two steps.
async fn strikes(world: Rc<World>) {
    loop {
        for process in world.scheduler.next_kills().await {
            let back = 1 + world.scheduler.below(3_000);
            world.end(process, back);
        }
    }
}

impl World {
    fn end(self: &Rc<Self>, process: usize, back: Millis) {
        self.kill(process);
        let world = Rc::clone(self);
        self.scheduler.spawn(WORLD, async move {
            world.scheduler.sleep(back).await;
            world.start(process);
        });
    }

    async fn take(self: Rc<Self>, step: Step) {
        let (now, scheduler) = (self.scheduler.now(), Rc::clone(&self.scheduler));
        if !matches!(step, Step::Read { .. } | Step::Change { .. }) {
            scheduler.note(|| format!("{step:?}"));
        }
        match step {
            Step::Change { through, key, value } => self.change_and_look(through, key, value).await,
            Step::Read { edge, key } => drop(self.read(edge, key).await),
            Step::Strike { .. } | Step::Slow { .. } => {}
            Step::Stall { process, time } => scheduler.stall(process, now + time),
            Step::Kill { process, back } => self.end(process, back),
            Step::Leave { edge, back } => self.leave(edge, back).await,
            Step::SlowNow { process, which, time } => self.reach.slow_down(process, which, time),
            Step::Hang { time } => self.reach.hangs_until.set(now + time),
            Step::Refuse { time } => self.refuse(time),
            Step::Backup => self.backups.borrow_mut().push(self.database.borrow().clone()),
            Step::Restore { time } => self.restore(time),
            Step::Prune => self.database.borrow_mut().prune(),
            Step::Cut { edge, up, time, loses } => {
                let way = self.way(edge, up);
                way.loses.set(loses);
                way.cut_until.set(now + time);
            }
            Step::Mangle { edge, up, after, mangle } => {
                let way = self.way(edge, up);
                way.later(after, mangle);
                // A lost frame is lost by a connection that breaks sooner or later.
                if mangle == Mangle::Drop && scheduler.chance(50) {
                    scheduler.sleep(scheduler.below(2_000)).await;
                    self.break_stream(edge);
                }
            }
            Step::RefuseEdge { edge, time } => self.lines[edge].refuses_until.set(now + time),
            Step::Break { edge } => self.break_stream(edge),
        }
    }

    /// A change, with reads at every edge before, beside, and after it was said to be effective.
    async fn change_and_look(self: &Rc<Self>, through: usize, key: Key, value: Value) {
        let look = |most: Millis| {
            for edge in 0..EDGES {
                let (world, time) = (Rc::clone(self), self.scheduler.below(most));
                self.scheduler.spawn(WORLD, async move {
                    world.scheduler.sleep(time).await;
                    world.read(edge, key).await;
                });
            }
        };
        look(80);
        self.scheduler.sleep(self.scheduler.below(80)).await;
        if Rc::clone(self).change(through, key, value).await {
            look(1);
            look(1_500);
        }
    }

    fn way(&self, edge: usize, up: bool) -> &Rc<crate::network::Way> {
        if up { &self.lines[edge].up } else { &self.lines[edge].down }
    }

    fn break_stream(&self, edge: usize) {
        if let Some(stream) = self.streams.borrow().get(&edge) {
            self.close(stream);
        }
    }

    fn refuse(&self, time: Millis) {
        self.reach.refuses_until.set(self.scheduler.now() + time);
        self.reach.start.set(self.reach.start.get() + 1);
    }

    fn restore(&self, time: Millis) {
        let Some(backup) = self.backups.borrow().last().cloned() else { return };
        self.refuse(time);
        self.scheduler.note(|| format!("back to {}:{}", backup.head.epoch, backup.head.seq));
        let before = self.database.replace(backup);
        self.judge.restored(&before, &self.database.borrow());
    }

    async fn leave(self: &Rc<Self>, number: usize, back: Millis) {
        let Some(edge) = self.edges.borrow().get(&number).cloned() else { return };
        edge.leave();
        drop(edge);
        self.scheduler.sleep(2_000.min(back)).await;
        self.end(edge_process(number), back);
    }
}

/// Faults end; then everything must come right.
async fn calm(world: Rc<World>) {
    let scheduler = Rc::clone(&world.scheduler);
    scheduler.sleep(CALM_AT).await;
    scheduler.note(|| "calm".to_owned());
    scheduler.calm();
    scheduler.resume_all();
    world.reach.hangs_until.set(0);
    world.reach.slow.borrow_mut().clear();
    world.reach.refuses_until.set(0);
    for line in &world.lines {
        line.up.heal();
        line.down.heal();
        line.refuses_until.set(0);
    }
    scheduler.sleep(WHOLE_AT - CALM_AT).await;
    for number in 0..INSTANCES {
        world.start(instance_process(number));
    }
    for number in 0..EDGES {
        is_whole(&world, number);
    }
    let last = [(Key::Token(0), Value::Revoked), (Key::Tenant, Value::ServeStale)];
    for (number, (key, value)) in last.into_iter().enumerate() {
        let revoked = world.database.borrow().facts.get(&key).is_some_and(|fact| fact.value == Value::Revoked);
        if !revoked && !Rc::clone(&world).change(number, key, value).await {
            world.judge.fault(format!("the change of {key:?} was not effective at the end"));
        }
    }
    for key in Key::all() {
        for number in 0..EDGES {
            right_at_the_end(&world, number, key).await;
        }
    }
}

/// An edge is connected, at the head, under a lease; what it knows to be revoked is revoked.
fn is_whole(world: &Rc<World>, number: usize) {
    let edges = world.edges.borrow();
    let Some(edge) = edges.get(&number) else { return world.judge.fault(format!("edge {number} is not there")) };
    let database = world.database.borrow();
    let numbered = database.outbox.iter().all(|row| row.seq.is_some());
    if edge.position() != Some(database.head) || edge.cache.borrow().position != Some(database.head) || !numbered {
        let (position, head) = (edge.position(), database.head);
        world.judge.fault(format!("edge {number} is at {position:?}, the head at {head:?}"));
    }
    if edge.leased_until.get() <= world.scheduler.now() {
        world.judge.fault(format!("edge {number} has no lease"));
    }
    for token in &edge.disk().borrow().revoked {
        if database.facts.get(&Key::Token(*token)).is_none_or(|fact| fact.value != Value::Revoked) {
            world.judge.fault(format!("edge {number} knows token {token} to be revoked, the database does not"));
        }
    }
}

async fn right_at_the_end(world: &Rc<World>, number: usize, key: Key) {
    let answered = Rc::clone(world).read(number, key).await;
    let expected = world.database.borrow().facts.get(&key).copied();
    if answered != expected && !answered.is_some_and(|fact| world.judge.is_lost(key, fact.version)) {
        world.judge.fault(format!("at the end edge {number} answers {answered:?}, right is {expected:?}"));
    }
}
