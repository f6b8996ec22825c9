//! What happens in one schedule, made from a seed: faults, changes, reads. A plan can be made smaller while it still fails.

use std::fmt::Debug;

use cargoman_testkit::random::Random;

use crate::fact::{Key, TOKENS, Value};
use crate::network::Mangle;
use crate::scheduler::{Millis, ProcessId, Strike};
use crate::world::{EDGES, INSTANCES};

/// When faults end.
pub(crate) const CALM_AT: Millis = 18_000;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Somebody changes a fact.
    Change {
        through: usize,
        key: Key,
        value: Value,
    },
    /// Somebody asks.
    Read {
        edge: usize,
        key: Key,
    },
    /// A process is held up or ends in its n-th gap.
    Strike {
        process: ProcessId,
        gap: u64,
        strike: Strike,
    },
    /// A process is held up now.
    Stall {
        process: ProcessId,
        time: Millis,
    },
    /// A process ends now, and comes back.
    Kill {
        process: ProcessId,
        back: Millis,
    },
    /// An edge leaves in order, and comes back.
    Leave {
        edge: usize,
        back: Millis,
    },
    /// The n-th asking of a process takes long.
    Slow {
        process: ProcessId,
        asking: u64,
        time: Millis,
    },
    /// Some of the next askings of a process take long: the first one for bit 0, and so on.
    SlowNow {
        process: ProcessId,
        which: u64,
        time: Millis,
    },
    /// The database does nothing for a while.
    Hang {
        time: Millis,
    },
    /// The database takes no connections for a while.
    Refuse {
        time: Millis,
    },
    Backup,
    /// The last backup is put in place.
    Restore {
        time: Millis,
    },
    /// The outbox forgets old rows.
    Prune,
    /// Frames in one direction do not come through.
    Cut {
        edge: usize,
        up: bool,
        time: Millis,
        loses: bool,
    },
    /// Something happens to the frames after the next few.
    Mangle {
        edge: usize,
        up: bool,
        after: usize,
        mangle: Mangle,
    },
    /// No connection is made for a while.
    RefuseEdge {
        edge: usize,
        time: Millis,
    },
    /// A stream breaks.
    Break {
        edge: usize,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) steps: Vec<(Millis, Step)>,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut steps = Vec::new();
        let mut add = |random: &mut Random, most: usize, make: fn(&mut Random) -> Step| {
            for _ in 0..random.below(most + 1) {
                let at = millis(random, CALM_AT);
                steps.push((at, make(random)));
            }
        };
        add(&mut random, 25, change);
        add(&mut random, 60, read);
        add(&mut random, 12, |random| Step::Strike {
            process: 1 + random.below(INSTANCES + EDGES),
            gap: 1 + random.draw() % 600,
            strike: if random.below(3) == 0 { Strike::Kill } else { Strike::Stall(stall(random)) },
        });
        // Each schedule has a weakness of its own.
        let (process, database, network) = *random.pick(&[(6, 2, 4), (2, 12, 4), (3, 4, 20), (4, 4, 8)]);
        add(&mut random, 6, |random| Step::Slow {
            process: 1 + random.below(INSTANCES),
            asking: 1 + random.draw() % 150,
            time: stall(random),
        });
        add(&mut random, process, broken_process);
        add(&mut random, database, broken_database);
        add(&mut random, network, broken_network);
        match random.below(5) {
            0 => steps.extend(crate::stories::a_restore(&mut random)),
            1 => steps.extend(crate::stories::a_long_absence(&mut random)),
            2 => steps.extend(crate::stories::a_slow_renewal(&mut random)),
            _ => {}
        }
        steps.sort_by_key(|(at, _)| *at);
        Self { seed, steps }
    }
}

pub(crate) fn millis(random: &mut Random, below: Millis) -> Millis {
    random.draw() % below
}

fn stall(random: &mut Random) -> Millis {
    let most = *random.pick(&[50, 500, 4_000, 12_000]);
    1 + millis(random, most)
}

pub(crate) fn key(random: &mut Random) -> Key {
    // Some are asked for more often than others.
    match random.below(10) {
        0 => Key::Tenant,
        number @ 1..4 => Key::Token(u8::try_from(number).expect("small") % TOKENS),
        _ => Key::Token(1),
    }
}

pub(crate) fn change(random: &mut Random) -> Step {
    let key = key(random);
    let value = match key {
        Key::Tenant => *random.pick(&[Value::ServeStale, Value::FailClosed, Value::FailClosed]),
        Key::Token(_) if random.below(8) == 0 => Value::Revoked,
        Key::Token(_) => Value::Valid,
    };
    Step::Change { through: random.below(INSTANCES), key, value }
}

pub(crate) fn read(random: &mut Random) -> Step {
    Step::Read { edge: random.below(EDGES), key: key(random) }
}

fn broken_process(random: &mut Random) -> Step {
    let process = 1 + random.below(INSTANCES + EDGES);
    match random.below(5) {
        0 => Step::Kill { process, back: stall(random) },
        1 => Step::Leave { edge: random.below(EDGES), back: stall(random) },
        _ => Step::Stall { process, time: stall(random) },
    }
}

fn broken_database(random: &mut Random) -> Step {
    match random.below(8) {
        0 => Step::Hang { time: stall(random) },
        1 => Step::Refuse { time: stall(random) },
        2 | 3 => Step::Backup,
        4 | 5 => Step::Prune,
        _ => Step::Restore { time: (stall(random) / 10).max(1) },
    }
}

fn broken_network(random: &mut Random) -> Step {
    let (edge, up) = (random.below(EDGES), random.below(2) == 0);
    match random.below(12) {
        0 | 1 => Step::Cut { edge, up, time: stall(random), loses: random.below(2) == 0 },
        2 => Step::RefuseEdge { edge, time: stall(random) },
        3 => Step::Break { edge },
        _ => {
            let delay = Mangle::Delay(stall(random));
            let mangles = [Mangle::Drop, Mangle::Double, Mangle::Swap, Mangle::Truncate, Mangle::Unknown, delay, delay];
            Step::Mangle { edge, up, after: random.below(6), mangle: *random.pick(&mangles) }
        }
    }
}

/// The smallest plan that still fails, as far as it is found by leaving steps out.
pub(crate) fn shrink(plan: &Plan, fails: impl Fn(&Plan) -> bool) -> Plan {
    let mut smallest = plan.clone();
    let mut size = smallest.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < smallest.steps.len() {
            let mut less = smallest.clone();
            less.steps.drain(at..(at + size).min(less.steps.len()));
            if fails(&less) {
                smallest = less;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    smallest
}
