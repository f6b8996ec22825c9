//! Decides when a client that runs as a program of its own has been silent for too long: a read from a pipe has no time limit.

use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that says nothing for so long is away.
const SILENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Ends the client when the other side is silent for too long: a read from a pipe has no time limit.
pub(super) struct Watch {
    pub(super) child: Arc<Mutex<Child>>,
    last: Arc<Mutex<Instant>>,
    over: Arc<AtomicBool>,
    overdue: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn begin(child: Child, deadline: Instant) -> Self {
        let watch = Self {
            child: Arc::new(Mutex::new(child)),
            last: Arc::new(Mutex::new(Instant::now())),
            over: Arc::default(),
            overdue: Arc::default(),
        };
        let (child, last) = (Arc::clone(&watch.child), Arc::clone(&watch.last));
        let (over, overdue) = (Arc::clone(&watch.over), Arc::clone(&watch.overdue));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let silent = last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > SILENCE;
                if silent || Instant::now() >= deadline {
                    overdue.store(true, Ordering::Relaxed);
                    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
                    return;
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        watch
    }

    pub(super) fn alive(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Ends the client; whether it had been ended for its silence.
    pub(super) fn end(&self) -> bool {
        self.over.store(true, Ordering::Relaxed);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
        self.overdue.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}
