//! How slowly a client may take an answer: something within each stall, and on the average [`SLOWEST`] bytes a second (E-R6).

use std::io;
use std::time::{Duration, Instant};

use pingora::time::timeout;

use crate::request::write::SLOWEST;

/// The pace of one client at one answer.
#[derive(Debug)]
pub(super) struct Pace {
    stall: Duration,
    /// Set once something did not go at once: most answers need no clock.
    began: Option<Instant>,
    taken: u64,
}

impl Pace {
    pub(super) const fn new(stall: Duration) -> Self {
        Self { stall, began: None, taken: 0 }
    }

    /// Waits for a step that says how many bytes were taken.
    pub(super) async fn step(&mut self, step: impl Future<Output = io::Result<usize>>) -> io::Result<usize> {
        let taken = timeout(self.stall, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.taken += taken as u64;
        Ok(taken)
    }

    /// The client had room for so many bytes at once.
    pub(super) fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// Says that there is more to come, and asks whether the client was quick enough so far.
    pub(super) fn goes_on(&mut self) -> io::Result<()> {
        let began = *self.began.get_or_insert_with(Instant::now);
        match is_slow(began.elapsed(), self.taken, self.stall) {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(()),
        }
    }
}

fn is_slow(elapsed: Duration, taken: u64, stall: Duration) -> bool {
    elapsed > stall && (taken as f64) < elapsed.as_secs_f64() * SLOWEST as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E-R6.
    #[test]
    fn table() {
        let stall = Duration::from_secs(30);
        for (seconds, taken, expected) in [
            (0, 0, false),
            (30, 0, false),
            (31, 0, true),
            (31, 30_000, true),
            (31, 32_000, false),
            (1_000, 1_000_000, true),
            (1_000, 1_100_000, false),
        ] {
            assert_eq!(is_slow(Duration::from_secs(seconds), taken, stall), expected, "{seconds} {taken}");
        }
    }
}
