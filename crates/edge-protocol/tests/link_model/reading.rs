//! How an edge answers: under its lease from what it keeps, else what the tenant's mode allows.

use std::cell::RefCell;
use std::rc::Rc;

use crate::cache::Stamp;
use crate::database::Fact;
use crate::edge::Edge;
use crate::fact::{Key, Value};
use crate::rules::Break;
use crate::scheduler::{Millis, Signal};
use crate::world::World;

/// How long a read waits for a lease to be renewed.
const RENEWAL_LIMIT: Millis = 1_000;

/// What a fetch brought; none when it failed.
type Landed = Option<(Fact, Option<Stamp>)>;

/// A fetch that is under way.
#[derive(Default)]
pub(crate) struct Flight {
    /// What it brought, once it has.
    landed: RefCell<Option<Landed>>,
    landing: Signal,
}

impl Edge {
    fn is_leased(&self) -> bool {
        self.world.scheduler.now() < self.leased_until.get()
    }

    /// The fact that a request is answered by; none when it is refused.
    async fn answer(self: &Rc<Self>, key: Key) -> Option<Fact> {
        let scheduler = Rc::clone(&self.world.scheduler);
        scheduler.gap().await;
        if self.leaving.get() {
            return None;
        }
        let mut leased = self.is_leased();
        let patience = scheduler.now() + RENEWAL_LIMIT;
        while !leased && scheduler.now() < patience {
            self.leased.wait(&scheduler, patience).await;
            leased = self.is_leased();
        }
        if !leased && scheduler.now() >= self.stale_until.get() {
            return None;
        }
        scheduler.gap().await;
        let mode = if leased || self.world.rules.is_broken(Break::ModeFetchedDetached) {
            self.known(Key::Tenant).await?
        } else {
            // Only what was known while the lease held may say that the edge goes on: a tenant who wants it by now may not have
            // wanted it when his changes were said to be effective.
            self.cache.borrow().get(Key::Tenant)?
        };
        if !leased && mode.value != Value::ServeStale {
            return None;
        }
        let fact = self.known(key).await?;
        scheduler.gap().await;
        Some(fact)
    }

    /// From what is kept, else from what another read is fetching, else fetched for this read.
    async fn known(self: &Rc<Self>, key: Key) -> Option<Fact> {
        if let Some(fact) = self.cache.borrow().get(key) {
            return Some(fact);
        }
        let flight = self.flights.borrow().get(&key).cloned();
        if let Some(flight) = flight {
            let scheduler = &self.world.scheduler;
            let until = scheduler.now() + 2_500;
            while flight.landed.borrow().is_none() && scheduler.now() < until {
                flight.landing.wait(scheduler, until).await;
            }
            let landed = *flight.landed.borrow();
            let (fact, stamp) = landed??;
            // It began before this read, so it may be served only as anything else that is kept.
            let holds = stamp.is_some_and(|stamp| self.cache.borrow().holds(key, stamp));
            if holds || self.world.rules.is_broken(Break::FlightUnchecked) {
                return Some(fact);
            }
        }
        self.fetch(key).await
    }

    async fn fetch(self: &Rc<Self>, key: Key) -> Option<Fact> {
        let flight: Rc<Flight> = Rc::default();
        self.flights.borrow_mut().insert(key, Rc::clone(&flight));
        let begun = self.cache.borrow().begin();
        let reply = self.world.fetch(self.number, key).await;
        self.world.scheduler.gap().await;
        let landed = reply.map(|(fact, as_of)| {
            let stamp = self.cache.borrow().stamp(begun, as_of, &self.world.rules);
            (fact, stamp)
        });
        let keeps = self.is_leased() || self.world.rules.is_broken(Break::ModeFetchedDetached);
        if let Some((fact, Some(stamp))) = landed.filter(|_| keeps) {
            self.cache.borrow_mut().keep(key, stamp, fact);
            let number = self.number;
            self.world.scheduler.note(|| format!("edge {number} keeps version {} of {key:?}, {stamp:?}", fact.version));
        }
        flight.landed.replace(Some(landed));
        flight.landing.raise(&self.world.scheduler);
        let mut flights = self.flights.borrow_mut();
        if flights.get(&key).is_some_and(|present| Rc::ptr_eq(present, &flight)) {
            flights.remove(&key);
        }
        landed.map(|(fact, _)| fact)
    }
}

impl World {
    /// A customer asks an edge; gives what he is answered by.
    pub(crate) async fn read(self: Rc<Self>, number: usize, key: Key) -> Option<Fact> {
        let edge = self.edges.borrow().get(&number).cloned()?;
        let (promise, known) = (self.judge.promise(key), self.disks[number].borrow().restores_known);
        let (process, asked) = (edge.process, Rc::clone(&edge));
        let fact = self.elsewhere(process, 60_000, async move { asked.answer(key).await }).await.flatten()?;
        self.scheduler.note(|| format!("edge {number} answers version {} of {key:?}, {:?}", fact.version, fact.value));
        self.judge.answered(number, known, key, promise, &fact);
        Some(fact)
    }
}
