//! Parts of plans that chance alone would hardly put together.

use cargoman_testkit::random::Random;

use crate::fact::{Key, Value};
use crate::plan::{Step, change, millis, read};
use crate::scheduler::Millis;
use crate::world::{EDGES, GRACE, INSTANCES, LEASE, edge_process, instance_process};

type Steps = Vec<(Millis, Step)>;

/// Some steps within `length` from `from` on.
fn some(random: &mut Random, count: usize, from: Millis, length: Millis, make: fn(&mut Random) -> Step) -> Steps {
    (0..=random.below(count)).map(|_| (from + millis(random, length), make(random))).collect()
}

/// The database is restored, and more happens before everyone has noticed: an instance lags behind, an edge is elsewhere.
pub(crate) fn a_restore(random: &mut Random) -> Steps {
    let backup = 2_000 + millis(random, 6_000);
    let restore = backup + millis(random, 3_000);
    let mut steps = vec![(backup, Step::Backup), (restore, Step::Restore { time: 1 + millis(random, 100) })];
    steps.extend(some(random, 3, backup, restore - backup + 1, change));
    steps.extend(some(random, 5, restore, 1_500, change));
    steps.extend(some(random, 6, restore, 3_000, read));
    let (edge, before) = (random.below(EDGES), millis(random, 3_000));
    let away = [
        Step::Break { edge },
        Step::Cut { edge, up: false, time: before + millis(random, 1_000), loses: random.below(2) == 0 },
        Step::Stall { process: edge_process(edge), time: before + millis(random, 1_000) },
    ];
    steps.push((restore.saturating_sub(before), *random.pick(&away)));
    if random.below(2) == 0 {
        let process = instance_process(random.below(INSTANCES));
        let which = *random.pick(&[0b1, 0b11]);
        let from = restore + 1 + millis(random, 200);
        steps.push((from, Step::SlowNow { process, which, time: 500 + millis(random, 6_000) }));
    }
    if random.below(3) == 0 {
        steps.push((restore + millis(random, 2_000), Step::Prune));
    }
    steps
}

/// An edge is away until nobody waits for it any more, and comes back while an instance is slow.
pub(crate) fn a_long_absence(random: &mut Random) -> Steps {
    let (edge, gone) = (random.below(EDGES), 1_000 + millis(random, 2_000));
    let time = 8_000 + millis(random, 4_000);
    let back = gone + time;
    let away = [
        Step::Stall { process: edge_process(edge), time },
        Step::Kill { process: edge_process(edge), back: time },
        Step::Leave { edge, back: time },
        Step::RefuseEdge { edge, time },
        Step::Cut { edge, up: random.below(2) == 0, time, loses: true },
    ];
    let mut steps = vec![(gone, *random.pick(&away))];
    if random.below(2) == 0 {
        steps.push((gone, Step::Break { edge }));
    }
    steps.extend(some(random, 4, gone.saturating_sub(1_000), 1_000, read));
    for instance in 0..INSTANCES {
        let (from, which) = (back + millis(random, 1_500), *random.pick(&[0b1, 0b11, 0b111]));
        let time = 1_000 + millis(random, 4_000);
        steps.push((from, Step::SlowNow { process: instance_process(instance), which, time }));
    }
    steps.extend(some(random, 3, back, 1_500, change));
    steps.extend(some(random, 4, back, 5_000, read));
    steps
}

/// An edge is held up until nobody waits for it any more, knowing what it knew. It asks for a lease just before somebody changes
/// something, and some of what the instance that it asks then asks the database takes longer than a lease lasts.
pub(crate) fn a_slow_renewal(random: &mut Random) -> Steps {
    let (edge, gone) = (random.below(EDGES), 600 + millis(random, 600));
    let time = LEASE + GRACE - 500 + millis(random, 1_500);
    let back = gone + time;
    let mut steps = vec![(gone, Step::Stall { process: edge_process(edge), time })];
    steps.extend(some(random, 4, 100, gone - 100, read));
    let through = random.below(INSTANCES);
    let (process, which) = (instance_process(1 - through), random.draw() & random.draw() & 0xffff);
    let slow = Step::SlowNow { process, which, time: LEASE + 200 + millis(random, 1_500) };
    steps.push((back + millis(random, 400), slow));
    for _ in 0..=random.below(4) {
        let change = Step::Change { through, key: Key::Token(1), value: Value::Valid };
        steps.push((back + 200 + millis(random, 1_500), change));
    }
    steps.extend((0..10).map(|_| (back + LEASE + millis(random, 5_000), Step::Read { edge, key: Key::Token(1) })));
    steps
}
