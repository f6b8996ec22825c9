//! Which edges have a stream to this instance, so that one can be closed from outside.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cargoman_edge_protocol::link::{Closing, Incarnation};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use crate::domain::id::EdgeId;

#[derive(Debug)]
struct Stream {
    number: u64,
    state: Uuid,
    edge: Option<EdgeId>,
    close: mpsc::Sender<Closing>,
}

/// The open streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Mutex<HashMap<Incarnation, Stream>>,
    next: AtomicU64,
    left: Notify,
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, HashMap<Incarnation, Stream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a stream in; an earlier one of the same run is closed. Its number, and what tells it to close.
    pub(super) fn enter(
        &self,
        incarnation: Incarnation,
        state: Uuid,
        edge: Option<EdgeId>,
    ) -> (u64, mpsc::Receiver<Closing>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (close, closed) = mpsc::channel(1);
        let earlier = self.open().insert(incarnation, Stream { number, state, edge, close });
        if let Some(earlier) = earlier {
            earlier.close.try_send(Closing::Again).ok();
        }
        (number, closed)
    }

    /// Lets a stream go; whether it was still the last one of that run.
    pub(super) fn leave(&self, incarnation: Incarnation, number: u64) -> bool {
        let mut open = self.open();
        let last = open.get(&incarnation).is_some_and(|stream| stream.number == number);
        if last {
            open.remove(&incarnation);
            self.left.notify_one();
        }
        last
    }

    /// Closes the streams of an edge.
    pub(super) fn close_edge(&self, edge: EdgeId, reason: Closing) {
        for stream in self.open().values().filter(|stream| stream.edge == Some(edge) || stream.state == edge.0) {
            // Full: it is told to close already.
            stream.close.try_send(reason).ok();
        }
    }

    /// Waits until there is none.
    pub(super) async fn all_left(&self) {
        while !self.open().is_empty() {
            self.left.notified().await;
        }
    }
}
