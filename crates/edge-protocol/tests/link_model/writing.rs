//! Changes through an instance, and how long they wait until they are effective.

use std::rc::Rc;
use std::time::Duration;

use cargoman_edge_protocol::link::propagation::{Member, pending};
use chrono::DateTime;
use uuid::Uuid;

use crate::database::{MemberRow, Standing};
use crate::fact::{Key, Value};
use crate::instance::Instance;
use crate::rules::Break;
use crate::scheduler::Millis;
use crate::world::{LEASE, World};

/// How long an answer may take.
const PATIENCE: Millis = 5_000;

/// A change that was committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    key: Key,
    version: u64,
    event: Uuid,
}

/// A wall clock for people: only compared with itself.
fn wall(at: Millis) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp_millis(i64::try_from(at).expect("small")).expect("a time")
}

impl Instance {
    /// Changes a fact; none when it is not known to be committed.
    async fn write(self: &Rc<Self>, key: Key, value: Value) -> Option<Written> {
        let (world, event) = (Rc::clone(&self.world), self.world.scheduler.uuid());
        let write = move |database: &mut crate::database::Database, _| {
            let version = world.judge.next_version();
            database.write(key, value, version, event).then_some(version)
        };
        let version = self.world.ask(write).await??;
        self.world.scheduler.note(|| format!("version {version} of {key:?} is {value:?}, through {}", self.number));
        self.kick.raise(&self.world.scheduler);
        Some(Written { key, version, event })
    }

    /// Waits until a change is effective; false when that was not so in time.
    async fn wait(self: &Rc<Self>, written: Written) -> bool {
        let scheduler = Rc::clone(&self.world.scheduler);
        // The commit was before this; a clock that is read now counts from after it.
        let since = scheduler.now();
        let mut remembered = None;
        while scheduler.now() < since + PATIENCE {
            let world = Rc::clone(&self.world);
            let standing = self.world.ask(move |database, now| {
                database.number();
                (database.standing(written.event, now), world.judge.restores.get())
            });
            if let Some((standing, restores)) = standing.await {
                remembered = standing.seq.or(remembered);
                if self.is_effective(written, &standing, remembered, scheduler.now() - since) {
                    self.world.judge.told(written.key, written.version, restores, &self.world.database.borrow());
                    let (key, version) = (written.key, written.version);
                    scheduler.note(|| format!("version {version} of {key:?} is effective"));
                    return true;
                }
            }
            self.acked.wait(&scheduler, scheduler.now() + 200).await;
        }
        false
    }

    fn is_effective(&self, written: Written, standing: &Standing, remembered: Option<i64>, since: Millis) -> bool {
        let rules = &self.world.rules;
        let known = if rules.is_broken(Break::LostIsEffective) { remembered } else { standing.seq };
        // Without a number it is lost, or so old that nobody can tell.
        let Some(seq) = known else { return false };
        let member = |(incarnation, row): &(Uuid, MemberRow)| {
            let here = self.acked_here(*incarnation, standing.epoch, seq, written.event);
            let counts = row.epoch == standing.epoch;
            let acked = if counts { row.acked } else { 0 }.max(here);
            let mode_known = match standing.mode {
                (_, Some(mode_seq)) => acked >= mode_seq,
                // Too old to be remembered: then this event is younger.
                (_, None) => acked >= seq,
            };
            let closed = standing.mode.0 == Value::FailClosed && (mode_known || rules.is_broken(Break::ModeOfNow));
            let stale = !closed && !rules.is_broken(Break::GraceIgnored);
            Member {
                name: row.name.clone(),
                acked,
                lease: Duration::from_millis(LEASE),
                lease_ends: wall(row.lease_ends),
                stale_until: stale.then(|| wall(row.stale_until)),
            }
        };
        let members: Vec<Member> = standing.members.iter().map(member).collect();
        pending(seq, &members, Duration::from_millis(since), wall(standing.now)).is_empty()
    }

    /// What this instance itself has heard, if its feed has come by this very event.
    fn acked_here(&self, incarnation: Uuid, epoch: i64, seq: i64, event: Uuid) -> i64 {
        if !self.has_handed_out(seq, event) {
            return 0;
        }
        let sessions = self.sessions.borrow();
        let of_it = sessions.values().filter(|joined| joined.incarnation.get() == Some(incarnation));
        let acked = of_it.filter_map(|joined| {
            let session = joined.session.borrow();
            (session.sent()?.epoch == epoch && joined.follows.get()).then(|| session.acked())
        });
        acked.max().unwrap_or(0)
    }
}

impl World {
    /// A person changes something through one instance, and asks again through the other when it takes long.
    pub(crate) async fn change(self: Rc<Self>, through: usize, key: Key, value: Value) -> bool {
        let Some(instance) = self.instances.borrow().get(&through).cloned() else { return false };
        let first = Rc::clone(&instance);
        let work = async move {
            let written = first.write(key, value).await?;
            Some((written, first.wait(written).await))
        };
        let Some(Some((written, effective))) = self.elsewhere(instance.process, 60_000, work).await else {
            return false;
        };
        if effective {
            return true;
        }
        self.judge.late.set(self.judge.late.get() + 1);
        let Some(other) = self.instances.borrow().get(&(1 - through)).cloned() else { return false };
        let process = other.process;
        self.elsewhere(process, 60_000, async move { other.wait(written).await }).await.unwrap_or(false)
    }
}
