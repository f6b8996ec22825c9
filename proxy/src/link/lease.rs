//! Decides whether the edge may believe what it knows. It must never say yes after the lease's end, whatever clocks and schedulers
//! do: the end is counted, on a clock that goes on while the machine sleeps, from before the lease was asked for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cargoman_edge_protocol::{Outage, OutageMode};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{Notify, watch};

/// How long a request waits for a lapsed lease to be renewed.
const WAIT: Duration = Duration::from_secs(1);

/// Time since the machine was started, sleep included.
pub(crate) fn boot_time() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// What may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Everything: the lease holds.
    Attached,
    /// What each tenant wants: the lease is over and was not renewed.
    Detached,
    /// Nothing: there never was a lease.
    Nothing,
}

/// The edge's lease.
pub(crate) struct Lease {
    clock: fn() -> Duration,
    /// End of the last lease in nanoseconds; 0: there was none.
    until: AtomicU64,
    /// How long after it tenants may be served, in seconds.
    grace: AtomicU64,
    /// The operator of this edge may shorten it.
    longest_grace: Duration,
    /// Set once waiting for a renewal was in vain, until there is one.
    detached: AtomicBool,
    /// Counts leases and failed attempts to get one.
    changed: watch::Sender<u64>,
    /// Rung by a request that finds the lease lapsed.
    lapsed: Notify,
}

impl Lease {
    /// No lease yet.
    pub(crate) fn new(longest_grace: Duration, clock: fn() -> Duration) -> Self {
        Self {
            clock,
            until: AtomicU64::new(0),
            grace: AtomicU64::new(0),
            longest_grace,
            detached: AtomicBool::new(false),
            changed: watch::channel(0).0,
            lapsed: Notify::new(),
        }
    }

    /// What may be believed now. Waits for a lapsed lease to be renewed, a second at most.
    pub(crate) async fn trust(&self) -> Trust {
        if self.is_held() {
            return Trust::Attached;
        }
        if !self.detached.load(Ordering::SeqCst) {
            self.lapsed.notify_one();
            let mut changed = self.changed.subscribe();
            let settled = changed.wait_for(|_| self.is_held() || self.detached.load(Ordering::SeqCst));
            if tokio::time::timeout(WAIT, settled).await.is_err() && !self.is_held() {
                self.detach();
            }
        }
        match self.until.load(Ordering::SeqCst) {
            _ if self.is_held() => Trust::Attached,
            0 => Trust::Nothing,
            _ => Trust::Detached,
        }
    }

    /// Whether the lease holds.
    pub(crate) fn is_held(&self) -> bool {
        nanoseconds((self.clock)()) < self.until.load(Ordering::SeqCst)
    }

    /// Whether a tenant may be served without a lease.
    pub(crate) fn covers(&self, outage: Outage) -> bool {
        if outage.mode == OutageMode::FailClosed {
            return false;
        }
        let wanted = outage.grace_seconds.map_or(self.longest_grace, Duration::from_secs);
        let granted = Duration::from_secs(self.grace.load(Ordering::SeqCst));
        let until = Duration::from_nanos(self.until.load(Ordering::SeqCst));
        (self.clock)() < until.saturating_add(granted.min(wanted).min(self.longest_grace))
    }

    /// A lease was granted, or one is known from before a restart.
    pub(crate) fn granted(&self, until: Duration, grace: Duration) {
        self.grace.store(grace.as_secs(), Ordering::SeqCst);
        self.until.fetch_max(nanoseconds(until), Ordering::SeqCst);
        if self.is_held() && self.detached.swap(false, Ordering::SeqCst) {
            tracing::info!(target: "cargoman::edge", "the control plane is back");
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Getting a lease failed: nobody needs to wait for it.
    pub(crate) fn failed(&self) {
        if !self.is_held() {
            self.detach();
        }
    }

    /// How long it holds from now on, in seconds; below zero since it is over.
    pub(crate) fn seconds_left(&self) -> f64 {
        let until = Duration::from_nanos(self.until.load(Ordering::SeqCst));
        until.as_secs_f64() - (self.clock)().as_secs_f64()
    }

    /// Gives the lease up, and what comes after it.
    pub(crate) fn give_up(&self) {
        self.grace.store(0, Ordering::SeqCst);
        self.until.store(u64::from(self.until.load(Ordering::SeqCst) > 0), Ordering::SeqCst);
    }

    /// End of the last lease, and how long after it tenants may be served.
    pub(crate) fn last(&self) -> (Duration, Duration) {
        let until = Duration::from_nanos(self.until.load(Ordering::SeqCst));
        (until, Duration::from_secs(self.grace.load(Ordering::SeqCst)))
    }

    /// Waits until a request found the lease lapsed.
    pub(crate) async fn wanted(&self) {
        self.lapsed.notified().await;
    }

    fn detach(&self) {
        if !self.detached.swap(true, Ordering::SeqCst) && self.until.load(Ordering::SeqCst) > 0 {
            tracing::warn!(
                target: "cargoman::edge",
                "the control plane does not renew the lease; serving what is known to tenants that want it"
            );
        }
        self.changed.send_modify(|count| *count += 1);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static NOW: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::from_secs(100)) };
    }

    fn clock() -> Duration {
        NOW.get()
    }

    fn at(seconds: u64) -> Duration {
        NOW.set(Duration::from_secs(seconds));
        NOW.get()
    }

    const STALE: Outage = Outage { mode: OutageMode::ServeStale, grace_seconds: None };

    #[tokio::test]
    async fn from_lease_to_grace_to_nothing() {
        let lease = Lease::new(Duration::from_secs(1_000), clock);
        lease.failed();
        assert_eq!(lease.trust().await, Trust::Nothing);
        lease.granted(at(100) + Duration::from_secs(3), Duration::from_secs(50));
        assert_eq!(lease.trust().await, Trust::Attached);
        at(103);
        lease.failed();
        assert_eq!(lease.trust().await, Trust::Detached);
        assert!(lease.covers(STALE));
        assert!(!lease.covers(Outage { mode: OutageMode::FailClosed, ..STALE }));
        assert!(!lease.covers(Outage { grace_seconds: Some(0), ..STALE }));
        at(153);
        assert!(!lease.covers(STALE), "the grace is over");
        assert!(!lease.covers(Outage { grace_seconds: Some(500), ..STALE }), "a tenant cannot make it longer");
        lease.granted(at(160) + Duration::from_secs(3), Duration::from_secs(50));
        assert_eq!(lease.trust().await, Trust::Attached);
        lease.give_up();
        lease.failed();
        assert_eq!(lease.trust().await, Trust::Detached);
        assert!(!lease.covers(STALE));
    }

    #[tokio::test]
    async fn an_older_answer_shortens_nothing_and_a_file_may_only_shorten() {
        let lease = Lease::new(Duration::from_secs(10), clock);
        lease.granted(at(100) + Duration::from_secs(3), Duration::from_secs(50));
        lease.granted(Duration::from_secs(101), Duration::from_secs(50));
        at(102);
        assert!(lease.is_held());
        at(112);
        assert!(lease.covers(STALE));
        at(113);
        assert!(!lease.covers(STALE));
    }
}
