//! Decides when a remote is too slow or sends too much. The clock is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::failure::Result;
use super::super::protocol::{Failed, FailureCode, Limits};

/// Keeps the deadline, the rate and the bound on size.
pub(super) struct Meter {
    pub(super) limits: Limits,
    deadline: Instant,
    /// Start of the current stretch over which the rate is measured, and what came in it.
    since: Instant,
    bytes: u64,
    /// Bytes received so far by all bodies together, and how many there may be.
    pub(super) bound: Option<(Arc<AtomicU64>, u64)>,
}

impl Meter {
    pub(super) fn new(limits: Limits, deadline: Instant) -> Self {
        Self { limits, deadline, since: Instant::now(), bytes: 0, bound: None }
    }

    pub(super) fn count(&mut self, now: Instant, length: u64) -> Result<()> {
        if now >= self.deadline {
            return Err(too_slow(&self.limits));
        }
        self.bytes += length;
        if now.duration_since(self.since) >= Duration::from_secs(self.limits.rate_seconds) {
            if self.bytes < self.limits.minimum_rate.saturating_mul(self.limits.rate_seconds) {
                return Err(too_slow(&self.limits));
            }
            (self.since, self.bytes) = (now, 0);
        }
        if let Some((received, most)) = &self.bound
            && received.fetch_add(length, Ordering::Relaxed) + length > *most
        {
            return Err(Failed::limit(format!("the remote sends more than {} MiB", most >> 20)));
        }
        Ok(())
    }
}

pub(super) fn too_slow(limits: &Limits) -> Failed {
    Failed::new(
        FailureCode::Limit,
        format!(
            "the remote is too slow: it must send at least {} bytes a second over {} seconds, and all within {} seconds",
            limits.minimum_rate, limits.rate_seconds, limits.network_seconds
        ),
        "sync it again once the remote is faster; for very large repositories ask the operator of this registry to raise the limit",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G-S2. Nothing waits here.
    #[test]
    fn slow_or_endless_remotes() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let run = |bytes: u64, most: u64| {
            let (limits, bound) = (Limits::default(), Some((Arc::default(), most)));
            let mut meter = Meter { limits, deadline: start + 300 * second, since: start, bytes: 0, bound };
            (1..400u32).find_map(|at| meter.count(start + at * second, bytes).err().map(|failed| (at, failed.message)))
        };
        let (at, message) = run(1, u64::MAX).unwrap();
        assert!(at == 30 && message.contains("too slow"), "{at} {message}");
        assert_eq!(run(1023, u64::MAX).unwrap().0, 30);
        let (at, message) = run(1024, u64::MAX).unwrap();
        assert!(at == 300 && message.contains("within 300 seconds"), "{at} {message}");
        let (at, message) = run(1 << 20, 10 << 20).unwrap();
        assert!(at == 11 && message.contains("more than 10 MiB"), "{at} {message}");
    }
}
