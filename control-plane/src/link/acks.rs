//! What the edges on this instance have applied: known here at once, and written down together for the other instances.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cargoman_edge_protocol::link::{Epoch, Incarnation, Position, Seq};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use uuid::Uuid;

use super::PATIENCE;
use super::feed::Feed;
use crate::store::System;

/// After a failure it waits so long.
const RECOVERY: Duration = Duration::from_millis(200);

/// So many edges of other instances are remembered; those that are gone would stay for ever.
const MOST_ELSEWHERE: usize = 10_000;

/// How far one edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ack {
    /// The history in which it was told.
    pub(super) generation: u64,
    /// Of the number.
    pub(super) epoch: Epoch,
    /// The last event that it applied.
    pub(super) seq: Seq,
}

#[derive(Debug, Default)]
struct Known {
    acks: HashMap<Incarnation, Ack>,
    /// Not written down yet.
    waiting: HashMap<Incarnation, Ack>,
    /// Of edges on other instances, as these told it.
    elsewhere: HashMap<Incarnation, Position>,
}

/// How far everybody is.
#[derive(Debug, Default)]
pub(super) struct Acks {
    known: Mutex<Known>,
    write: Notify,
    /// Counts what came in, here or elsewhere.
    here: watch::Sender<u64>,
    elsewhere: watch::Sender<u64>,
}

impl Acks {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An edge on this instance has applied something.
    pub(super) fn note(&self, incarnation: Incarnation, ack: Ack) {
        let mut known = self.known();
        known.acks.insert(incarnation, ack);
        known.waiting.insert(incarnation, ack);
        drop(known);
        self.here.send_modify(|count| *count += 1);
        self.write.notify_one();
    }

    /// An edge's stream is gone.
    pub(super) fn forget(&self, incarnation: Incarnation) {
        self.known().acks.remove(&incarnation);
    }

    /// How far an edge on this instance is.
    pub(super) fn of(&self, incarnation: Incarnation) -> Option<Ack> {
        self.known().acks.get(&incarnation).copied()
    }

    /// Edges on another instance have applied something: this, or what must be looked up.
    pub(super) fn note_elsewhere(&self, acks: Option<Vec<(Incarnation, Position)>>) {
        let Some(acks) = acks else {
            self.elsewhere.send_modify(|count| *count += 1);
            return;
        };
        let mut known = self.known();
        if known.elsewhere.len() > MOST_ELSEWHERE {
            // All of it is in the database too.
            known.elsewhere.clear();
        }
        known.elsewhere.extend(acks);
        drop(known);
        self.here.send_modify(|count| *count += 1);
    }

    /// How far an edge on another instance said that it is. Whether that is of the same history must be looked at.
    pub(super) fn elsewhere(&self, incarnation: Incarnation) -> Option<Position> {
        self.known().elsewhere.get(&incarnation).copied()
    }

    /// Tells of what is known to be applied.
    pub(super) fn watch_here(&self) -> watch::Receiver<u64> {
        self.here.subscribe()
    }

    /// Tells when what is applied on others must be looked up.
    pub(super) fn watch_elsewhere(&self) -> watch::Receiver<u64> {
        self.elsewhere.subscribe()
    }

    /// What could not be written down waits on, unless something newer does.
    fn wait_again(&self, acks: HashMap<Incarnation, Ack>) {
        let mut known = self.known();
        for (incarnation, ack) in acks {
            known.waiting.entry(incarnation).or_insert(ack);
        }
    }

    /// Writes down until the stop. What comes in while it writes goes together into the next write.
    pub(super) async fn run(&self, system: &System, feed: &Feed, control_plane: Uuid, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = self.write.notified() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let waiting = std::mem::take(&mut self.known().waiting);
            let acks: Vec<(Incarnation, Position)> = waiting
                .iter()
                .filter_map(|(incarnation, ack)| {
                    let event = feed.event_at(ack.generation, ack.seq)?;
                    Some((*incarnation, Position { epoch: ack.epoch, seq: ack.seq, event }))
                })
                .collect();
            if acks.is_empty() {
                continue;
            }
            if let Ok(Ok(())) = timeout(PATIENCE, system.note_acks(&acks, control_plane)).await {
                continue;
            }
            self.wait_again(waiting);
            tokio::time::sleep(RECOVERY).await;
            self.write.notify_one();
        }
    }
}
