//! Answers the edges' askings for leases, many at once. The order is everything: the lease's end is noted and committed, then the
//! head is read, then it is known here, and only then a stream may grant. What PostgreSQL does not serve in time is not answered.

use std::time::Duration;

use cargoman_edge_protocol::link::{Closing, Incarnation, Position};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::PATIENCE;
use super::feed::Feed;
use crate::store::{StoreError, System};

/// Askings that are served together.
const MOST: usize = 1_000;

/// A stream asks for a lease.
#[derive(Debug)]
pub(super) struct Asking {
    /// For whom.
    pub(super) incarnation: Incarnation,
    /// Which asking.
    pub(super) ask: u64,
    /// When it came in.
    pub(super) at: Instant,
    /// Where the answer goes.
    pub(super) answer: mpsc::Sender<Renewal>,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// It may be granted once everything up to the head was sent.
    Noted {
        /// Which asking.
        ask: u64,
        /// When it came in.
        at: Instant,
        /// Read after it came in and after the lease's end was noted.
        head: Position,
        /// The history in which the head is known.
        generation: u64,
    },
    /// The stream must end.
    Refused(Closing),
}

/// How long leases are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The lease.
    pub(super) lease: Duration,
    /// How long after it tenants who want that may be served.
    pub(super) grace: Duration,
}

/// Serves until every stream and the stop's sender are gone.
pub(super) async fn run(
    mut askings: mpsc::Receiver<Asking>,
    system: &System,
    feed: &Feed,
    control_plane: Uuid,
    terms: Terms,
    mut stop: watch::Receiver<bool>,
) {
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            count = askings.recv_many(&mut batch, MOST) => if count == 0 { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let now = Instant::now();
        batch.retain(|asking| now.saturating_duration_since(asking.at) < PATIENCE);
        let until = now + PATIENCE;
        // The feed says it aloud.
        match timeout_at(until, serve(&batch, system, feed, control_plane, terms)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, edges = batch.len(), "cannot note leases: edges get none"),
            Err(_) => tracing::debug!(edges = batch.len(), "leases are not noted in time: edges get none"),
        }
        batch.clear();
    }
}

async fn serve(
    batch: &[Asking],
    system: &System,
    feed: &Feed,
    control_plane: Uuid,
    terms: Terms,
) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let incarnations: Vec<Incarnation> = batch.iter().map(|asking| asking.incarnation).collect();
    let noted = system.note_leases(&incarnations, control_plane, terms.lease, terms.grace).await?;
    let head = system.number_outbox().await?;
    let Some(generation) = feed.reach(head, PATIENCE).await else { return Ok(()) };
    for asking in batch {
        let renewal = match noted.contains(&asking.incarnation) {
            true => Renewal::Noted { ask: asking.ask, at: asking.at, head, generation },
            // Fenced, forgotten, or with another stream: its next hello tells which.
            false => Renewal::Refused(Closing::Again),
        };
        // A stream that does not take it is gone or too slow, and gets no lease.
        asking.answer.try_send(renewal).ok();
    }
    Ok(())
}
