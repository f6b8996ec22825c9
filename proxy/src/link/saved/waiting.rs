//! Facts that are still to be written. One thread writes them at a time, and only so many wait: while the disk is slow, memory stays
//! what it is. A fact that finds no place is not lost, for the file is then written anew.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many wait; each is as large as a fact is.
const MOST: usize = 4_096;

type Writing = Box<dyn FnOnce() + Send>;

/// What waits, and whether somebody is at it.
#[derive(Default)]
pub(super) struct Waiting {
    queue: Mutex<Queue>,
    /// Whether something found no place since the file was last written anew.
    missed: AtomicBool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Writing>,
    being_written: bool,
}

impl Waiting {
    /// Has it written soon, away from the threads that serve.
    pub(super) fn add(self: &Arc<Self>, writing: impl FnOnce() + Send + 'static) {
        let mut queue = self.lock();
        if queue.waiting.len() >= MOST {
            self.missed.store(true, Ordering::Relaxed);
            return;
        }
        queue.waiting.push_back(Box::new(writing));
        if !std::mem::replace(&mut queue.being_written, true) {
            let waiting = Arc::clone(self);
            // Detached: what the process does not get to before it ends is asked for again.
            drop(tokio::task::spawn_blocking(move || waiting.write_all()));
        }
    }

    /// Whether something found no place.
    pub(super) fn missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// The file is about to be written anew, with everything.
    pub(super) fn begin_anew(&self) {
        self.missed.store(false, Ordering::Relaxed);
    }

    fn write_all(&self) {
        while let Some(writing) = self.next() {
            writing();
        }
    }

    fn next(&self) -> Option<Writing> {
        let mut queue = self.lock();
        let next = queue.waiting.pop_front();
        queue.being_written = next.is_some();
        next
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn in_order_and_bounded() {
        let waiting = Arc::<Waiting>::default();
        let (open, closed) = channel::<()>();
        let (sender, written) = channel();
        waiting.add(move || assert!(closed.recv().is_err()));
        for number in 0..MOST + 100 {
            let sender = sender.clone();
            waiting.add(move || sender.send(number).unwrap());
        }
        assert!(waiting.missed());
        drop((open, sender));
        let written: Vec<usize> = tokio::task::block_in_place(|| written.iter().collect());
        // The first one may have been taken out by then.
        assert!((MOST - 1..=MOST).contains(&written.len()), "{}", written.len());
        assert!(written.iter().copied().eq(0..written.len()));
        waiting.begin_anew();
        assert!(!waiting.missed());
        // Somebody is at it again when something comes later.
        let (sender, written) = channel();
        waiting.add(move || sender.send(7).unwrap());
        assert_eq!(tokio::task::block_in_place(|| written.recv()), Ok(7));
    }
}
